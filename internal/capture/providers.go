package capture

import (
	"encoding/json"
	"strconv"

	"github.com/tidwall/gjson"
)

// openai reads chat and text completions, whole or in chunks: also Azure's,
// Mistral's, vLLM's. A usage chunk has no choices, or null.
func (f *fold) openai(o *object) {
	f.provider("openai")
	f.model(o.get("model"))
	f.id(o.get("id"))
	o.get("choices").ForEach(func(_, choice gjson.Result) bool {
		c := f.objects.choice.read(choice)
		for _, name := range [...]string{"delta", "message"} {
			part := c.get(name)
			if !part.IsObject() {
				continue
			}
			m := f.objects.message.read(part)
			if content := m.get("content"); content.IsArray() {
				content.ForEach(func(_, part gjson.Result) bool { f.say(part.Get("text")); return true })
			} else {
				f.say(content)
			}
			f.say(m.get("refusal"))
			if r := m.get("reasoning_content"); r.Str != "" {
				f.contents++
			}
			n := 0
			m.get("tool_calls").ForEach(func(_, t gjson.Result) bool {
				index := t.Get("index")
				if !index.Exists() {
					index = gjson.Result{Type: gjson.Number, Raw: strconv.Itoa(n)}
				}
				n++
				f.tool(c.get("index").Raw+"/"+index.Raw).add(t.Get("id"), t.Get("function.name"), t.Get("function.arguments"))
				return true
			})
		}
		f.say(c.get("text"))
		f.reason(c.get("finish_reason"))
		return true
	})
	if u := o.get("usage"); u.IsObject() {
		f.usage(u, openaiTokens(u))
	}
}

// openaiTokens: cached tokens are part of the prompt's, reasoning of the completion's.
func openaiTokens(u gjson.Result) Tokens {
	t := Tokens{
		Input: u.Get("prompt_tokens").Int(), Output: u.Get("completion_tokens").Int(),
		Cached:    u.Get("prompt_tokens_details.cached_tokens").Int(),
		Reasoning: u.Get("completion_tokens_details.reasoning_tokens").Int(),
	}
	if u.Get("input_tokens").Exists() {
		t = Tokens{
			Input: u.Get("input_tokens").Int(), Output: u.Get("output_tokens").Int(),
			Cached:    u.Get("input_tokens_details.cached_tokens").Int(),
			Reasoning: u.Get("output_tokens_details.reasoning_tokens").Int(),
		}
	}
	return t
}

// responses reads the Responses API: the terminal event carries the whole response.
func (f *fold) responses(kind string, o *object) {
	f.provider("openai")
	switch kind {
	case "response.output_text.delta", "response.refusal.delta":
		f.say(o.get("delta"))
	case "response.function_call_arguments.delta":
		f.tool(o.get("item_id").Str).add(gjson.Result{}, gjson.Result{}, o.get("delta"))
	case "response.output_item.added":
		if item := o.get("item"); item.Get("type").Str == "function_call" {
			f.tool(item.Get("id").Str).add(item.Get("call_id"), item.Get("name"), gjson.Result{})
		}
	}
	r := o.get("response")
	if kind == "" {
		r = o.all
		r.Get("output").ForEach(func(_, item gjson.Result) bool {
			if item.Get("type").Str == "function_call" {
				f.tool(item.Get("id").Str).add(item.Get("call_id"), item.Get("name"), item.Get("arguments"))
			}
			item.Get("content").ForEach(func(_, part gjson.Result) bool {
				f.say(part.Get("text"))
				f.say(part.Get("refusal"))
				return true
			})
			return true
		})
	}
	if !r.IsObject() {
		return
	}
	f.model(r.Get("model"))
	f.id(r.Get("id"))
	if p := r.Get("previous_response_id").Str; p != "" {
		f.d.PreviousID = p
	}
	switch status := r.Get("status"); status.Str {
	case "completed", "failed", "cancelled":
		f.reason(status)
	case "incomplete":
		if why := r.Get("incomplete_details.reason"); why.Str != "" {
			f.reason(why)
		} else {
			f.reason(status)
		}
	}
	if e := r.Get("error"); e.IsObject() {
		f.fault(e, kind != "")
	}
	if u := r.Get("usage"); u.IsObject() {
		f.usage(u, openaiTokens(u))
	}
}

var anthropicEvents = map[string]bool{
	"message": true, "message_start": true, "message_delta": true, "message_stop": true,
	"content_block_start": true, "content_block_delta": true, "content_block_stop": true, "ping": true,
}

// anthropicUsage adds up what a stream says in parts: a later number replaces an earlier one.
type anthropicUsage struct {
	raw                               []json.RawMessage
	input, cacheRead, cacheMade, made int64
	reasoning                         int64
}

// anthropic reads messages, whole or as events.
func (f *fold) anthropic(kind string, o *object) {
	f.provider("anthropic")
	switch kind {
	case "message", "message_start":
		m := o.all
		if kind == "message_start" {
			m = o.get("message")
		}
		f.model(m.Get("model"))
		f.id(m.Get("id"))
		f.reason(m.Get("stop_reason"))
		m.Get("content").ForEach(func(i, b gjson.Result) bool { f.block(i.Raw, b); return true })
		f.anthropicUsage(m.Get("usage"))
	case "content_block_start":
		f.block(o.get("index").Raw, o.get("content_block"))
	case "content_block_delta":
		switch d := o.get("delta"); d.Get("type").Str {
		case "text_delta":
			f.say(d.Get("text"))
		case "input_json_delta":
			f.tool(o.get("index").Raw).add(gjson.Result{}, gjson.Result{}, d.Get("partial_json"))
		default:
			f.contents++
		}
	case "message_delta":
		f.reason(o.get("delta").Get("stop_reason"))
		f.anthropicUsage(o.get("usage"))
	}
}

// block reads a block of content, at its start or whole.
func (f *fold) block(index string, b gjson.Result) {
	switch b.Get("type").Str {
	case "text":
		f.say(b.Get("text"))
	case "tool_use", "server_tool_use":
		t := f.tool(index)
		t.add(b.Get("id"), b.Get("name"), gjson.Result{})
		if in := b.Get("input"); in.IsObject() && in.Raw != "{}" {
			t.call.Arguments = in.Raw
		}
	}
}

func (f *fold) anthropicUsage(u gjson.Result) {
	if !u.IsObject() {
		return
	}
	f.acts++
	a := &f.anthro
	a.raw = append(a.raw[:min(len(a.raw), 1)], json.RawMessage(u.Raw)) // the first and the last
	for name, to := range map[string]*int64{
		"input_tokens": &a.input, "cache_read_input_tokens": &a.cacheRead, "cache_creation_input_tokens": &a.cacheMade, "output_tokens": &a.made,
		"output_tokens_details.thinking_tokens": &a.reasoning,
	} {
		if v := u.Get(name); v.Type == gjson.Number {
			*to = v.Int()
		}
	}
	// The input does not count what was read from the cache or written to it.
	f.d.Usage = a.raw
	f.d.Tokens = &Tokens{Input: a.input + a.cacheRead + a.cacheMade, Output: a.made, Cached: a.cacheRead, CacheWrite: a.cacheMade, Reasoning: a.reasoning}
}

// gemini reads generateContent's answers, of the Gemini API and of Vertex.
func (f *fold) gemini(o *object) {
	f.provider("gemini")
	f.model(o.get("modelVersion"))
	f.id(o.get("responseId"))
	o.get("candidates").ForEach(func(_, c gjson.Result) bool {
		c.Get("content.parts").ForEach(func(_, p gjson.Result) bool {
			if p.Get("thought").Type == gjson.True {
				f.contents++
				return true
			}
			f.say(p.Get("text"))
			if call := p.Get("functionCall"); call.IsObject() {
				t := f.tool(strconv.Itoa(len(f.tools)))
				t.add(call.Get("id"), call.Get("name"), gjson.Result{})
				t.call.Arguments = call.Get("args").Raw
			}
			return true
		})
		f.reason(c.Get("finishReason"))
		return true
	})
	f.reason(o.get("promptFeedback").Get("blockReason"))
	if u := o.get("usageMetadata"); u.IsObject() {
		f.usage(u, geminiTokens(u))
	}
}

// geminiTokens: cached tokens are part of the prompt's. Whether thoughts are part of the
// candidates' differs between the APIs; the total tells.
func geminiTokens(u gjson.Result) Tokens {
	prompt, tools := u.Get("promptTokenCount").Int(), u.Get("toolUsePromptTokenCount").Int()
	made, thoughts, total := u.Get("candidatesTokenCount").Int(), u.Get("thoughtsTokenCount").Int(), u.Get("totalTokenCount").Int()
	t := Tokens{Input: prompt + tools, Output: made, Cached: u.Get("cachedContentTokenCount").Int(), Reasoning: thoughts}
	if total != prompt+tools+made {
		t.Output += thoughts
	}
	return t
}

// bedrockEvent reads an event of converse-stream or invoke-with-response-stream.
func (f *fold) bedrockEvent(name string, j gjson.Result) {
	f.provider("bedrock")
	switch {
	case len(name) > len("exception ") && name[:len("exception ")] == "exception ":
		f.fault(j, true)
		f.d.ErrorClass = name[len("exception "):]
	case name == "chunk":
		f.chunk(j.Get("bytes"))
	default:
		f.converse(name, j)
	}
}

// converse reads Bedrock's own format, whole or as events.
func (f *fold) converse(name string, j gjson.Result) {
	f.provider("bedrock")
	j.Get("output.message.content").ForEach(func(i, b gjson.Result) bool {
		f.say(b.Get("text"))
		if t := b.Get("toolUse"); t.IsObject() {
			call := f.tool(i.Raw)
			call.add(t.Get("toolUseId"), t.Get("name"), gjson.Result{})
			call.call.Arguments = t.Get("input").Raw
		}
		return true
	})
	switch name {
	case "contentBlockStart":
		if t := j.Get("start.toolUse"); t.IsObject() {
			f.tool(j.Get("contentBlockIndex").Raw).add(t.Get("toolUseId"), t.Get("name"), gjson.Result{})
		}
	case "contentBlockDelta":
		f.say(j.Get("delta.text"))
		if t := j.Get("delta.toolUse"); t.IsObject() {
			f.tool(j.Get("contentBlockIndex").Raw).add(gjson.Result{}, gjson.Result{}, t.Get("input"))
		}
	}
	f.reason(j.Get("stopReason"))
	if u := j.Get("usage"); u.IsObject() {
		read, made := u.Get("cacheReadInputTokens").Int(), u.Get("cacheWriteInputTokens").Int()
		f.usage(u, Tokens{Input: u.Get("inputTokens").Int() + read + made, Output: u.Get("outputTokens").Int(), Cached: read, CacheWrite: made})
	}
}

var cohereEvents = map[string]bool{
	"message-start": true, "message-end": true, "content-start": true, "content-delta": true, "content-end": true,
	"tool-plan-delta": true, "tool-call-start": true, "tool-call-delta": true, "tool-call-end": true, "citation-start": true, "citation-end": true,
}

// cohere reads v2's chat, whole or as events.
func (f *fold) cohere(j gjson.Result) {
	f.provider("cohere")
	f.id(j.Get("id"))
	f.say(j.Get("delta.message.content.text"))
	j.Get("message.content").ForEach(func(_, p gjson.Result) bool { f.say(p.Get("text")); return true })
	add := func(key string, t gjson.Result) {
		if t.IsObject() {
			f.tool(key).add(t.Get("id"), t.Get("function.name"), t.Get("function.arguments"))
		}
	}
	add(j.Get("index").Raw, j.Get("delta.message.tool_calls"))
	j.Get("message.tool_calls").ForEach(func(i, t gjson.Result) bool { add("m"+i.Raw, t); return true })
	f.reason(j.Get("finish_reason"))
	f.reason(j.Get("delta.finish_reason"))
	for _, u := range []gjson.Result{j.Get("usage"), j.Get("delta.usage")} {
		if u.IsObject() {
			f.usage(u, Tokens{Input: u.Get("tokens.input_tokens").Int(), Output: u.Get("tokens.output_tokens").Int(), Cached: u.Get("cached_tokens").Int()})
		}
	}
}

// ollama reads /api/chat and /api/generate.
func (f *fold) ollama(j gjson.Result) {
	f.provider("ollama")
	f.model(j.Get("model"))
	f.say(j.Get("message.content"))
	f.say(j.Get("response"))
	j.Get("message.tool_calls").ForEach(func(_, t gjson.Result) bool {
		call := f.tool(strconv.Itoa(len(f.tools)))
		call.add(t.Get("id"), t.Get("function.name"), gjson.Result{})
		call.call.Arguments = t.Get("function.arguments").Raw
		return true
	})
	if j.Get("done").Type != gjson.True {
		return
	}
	f.reason(j.Get("done_reason"))
	if eval := j.Get("eval_count"); eval.Exists() {
		raw, err := json.Marshal(map[string]int64{"prompt_eval_count": j.Get("prompt_eval_count").Int(), "eval_count": eval.Int()})
		if err == nil {
			f.usage(gjson.ParseBytes(raw), Tokens{Input: j.Get("prompt_eval_count").Int(), Output: eval.Int()})
		}
	}
}
