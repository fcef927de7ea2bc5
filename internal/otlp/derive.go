package otlp

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Extractor is the version of the rules of this file and of convention.go. Whoever has a
// record can derive its fields again with newer ones: nothing else in it depends on them.
const Extractor = 1

// maxText bounds what is derived of the input, and of the output, in bytes.
const maxText = 1 << 20

// Derived is what was read out of an item. It is no evidence: the bytes are. Members that
// are columns of a pack have the columns' names.
type Derived struct {
	Convention, Service, Scope          string
	Provider, Operation, APIBase        string
	Model, ServedModel                  string
	ResponseID, ParentID                string
	Session, User, EndUser              string
	Team, TeamID, KeyAlias, KeyHash     string
	Status                              string
	FinishReasons, Tags                 []string
	ErrorClass, ErrorCode, ErrorMessage string
	Stream                              *bool
	FirstToken                          time.Time
	Input, Output                       []byte // JSON
	Cut                                 []string
	Cost                                *float64
	TokensIn, TokensOut                 *int64
	TokensCached, TokensReasoning       *int64
}

// derive reads what an item says of a call, by all conventions at once: of several names for one thing
// the current GenAI convention's comes first.
func (c *content) derive(sc *scope, d *Derived) {
	a := &c.attrs
	d.Service, d.Scope, d.ParentID = sc.resource.get("service.name").string(), sc.name, c.parentID
	invocation := jsonOf(a.get("llm.invocation_parameters", "embedding.invocation_parameters").text)
	output := gjson.Result{}
	if v := a.get("output.value"); v.kind == kindText && len(v.text) <= maxComposite && a.get("output.mime_type").text == "application/json" {
		output = jsonOf(v.text)
	}
	d.Provider = text(a, "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
	d.Operation = text(a, "gen_ai.operation.name", "llm.request.type")
	if d.Operation == "" {
		switch text(a, "openinference.span.kind") {
		case "LLM":
			d.Operation = "chat"
		case "EMBEDDING":
			d.Operation = "embeddings"
		case "RERANKER":
			d.Operation = "rerank"
		}
	}
	d.Model = either(text(a, "gen_ai.request.model", "llm.request.model"), invocation.Get("model").String())
	d.ServedModel = text(a, "gen_ai.response.model", "llm.response.model", "llm.model_name", "embedding.model_name")
	if a.has("openinference.span.kind") && d.Model == "" {
		d.Model = d.ServedModel // that of the request, until there is an answer
	}
	d.ResponseID = either(text(a, "gen_ai.response.id", "llm.response.id"), output.Get("id").String())
	d.FinishReasons = a.get("gen_ai.response.finish_reasons", "llm.finish_reason", "gen_ai.completion.0.finish_reason", "llm.response.finish_reason").list()
	d.TokensIn = count(a, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens")
	d.TokensOut = count(a, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens")
	d.TokensCached = count(a, "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.details.cache_read_tokens", "llm.token_count.prompt_details.cache_read")
	d.TokensReasoning = count(a, "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens", "llm.token_count.completion_details.reasoning", "llm.usage.reasoning_tokens")
	if n, ok := a.get("gen_ai.cost.total_cost", "operation.cost", "llm.cost.total").number(); ok {
		d.Cost = &n
	}
	if yes, ok := a.get("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "gen_ai.request.is_stream").bool(); ok {
		d.Stream = &yes
	} else if s := invocation.Get("stream"); s.IsBool() {
		d.Stream = new(s.Bool())
	}
	if s, ok := a.get("gen_ai.response.time_to_first_chunk").number(); ok && s >= 0 && s < 1e6 && c.start > 0 {
		d.FirstToken = moment(c.start + uint64(s*1e9))
	}
	d.Session = text(a, "gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id")
	d.User = text(a, "metadata.user_api_key_user_id", "enduser.id", "user.id", "traceloop.association.properties.user_id")
	d.EndUser = text(a, "metadata.user_api_key_end_user_id", "llm.user", "gen_ai.request.user")
	d.Team, d.TeamID = text(a, "metadata.user_api_key_team_alias"), text(a, "metadata.user_api_key_team_id")
	d.KeyAlias, d.KeyHash = text(a, "metadata.user_api_key_alias"), text(a, "metadata.user_api_key_hash")
	d.Tags = a.get("tag.tags", "request_tags", "metadata.requester_metadata.tags").list()
	d.APIBase = text(a, "gen_ai.openai.api_base", "llm.openai.api_base", "server.address")
	if port := text(a, "server.port"); port != "" && d.APIBase != "" && !strings.Contains(d.APIBase, "/") {
		d.APIBase += ":" + port
	}
	d.rest(a)
	d.errors(c)
	d.Input = d.cut("input", messages(a, inputNames, "gen_ai.prompt.", "llm.input_messages."))
	d.Output = d.cut("output", messages(a, outputNames, "gen_ai.completion.", "llm.output_messages."))
}

// rest reads what LiteLLM and Logfire have in JSON, or in a Python repr.
func (d *Derived) rest(a *attributes) {
	if hidden := jsonOf(a.get("hidden_params").text); hidden.Exists() {
		d.APIBase = either(d.APIBase, hidden.Get("api_base").String())
		if n := hidden.Get("response_cost"); d.Cost == nil && n.Type == gjson.Number {
			d.Cost = new(n.Num)
		}
	}
	usage := jsonOf(a.get("gen_ai.usage.raw").text)
	if v := a.get("metadata.usage_object", "llm.openai.usage"); !usage.Exists() && v.kind != kindNone {
		usage = gjson.Parse(shared(v.plain()))
	}
	for _, m := range [...]struct {
		to    **int64
		names []string
	}{
		{&d.TokensCached, []string{"prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens", "cache_read_input_tokens"}},
		{&d.TokensReasoning, []string{"completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"}},
	} {
		for _, name := range m.names {
			if n := usage.Get(name); *m.to == nil && n.Type == gjson.Number && n.Num >= 0 {
				*m.to = new(n.Int())
			}
		}
	}
}

// rawRequest reads attributes "llm.<provider>.<member>": the members of request and answer, lists and maps as
// Python reprs. The model in it is the one that answered, if anything was answered.
func (d *Derived) rawRequest(a *attributes) {
	for i := range a.list {
		rest, ok := strings.CutPrefix(a.list[i].key, "llm.")
		provider, member, dotted := strings.Cut(rest, ".")
		if !ok || !dotted {
			continue
		}
		v := a.list[i].value
		d.Provider = either(d.Provider, cutAt(provider, 256))
		switch member {
		case "id":
			d.ResponseID = either(d.ResponseID, cutAt(v.string(), 4096))
		case "model":
			d.Model = cutAt(v.string(), 4096)
		case "messages", "input", "contents":
			d.Input = d.cut("input", v.plain())
		case "choices", "content", "output":
			d.Output = d.cut("output", v.plain())
		}
	}
	if d.ResponseID != "" {
		d.ServedModel, d.Model = d.Model, ""
	}
}

// Names under which the conventions have what was asked, and what was answered, the most exact first.
var (
	inputNames  = []string{"gen_ai.input.messages", "gen_ai.prompt", "llm.prompts", "input.value", "request_data"}
	outputNames = []string{"gen_ai.output.messages", "gen_ai.completion", "output.value", "response_data"}
)

// errors reads what became of the call.
func (d *Derived) errors(c *content) {
	d.ErrorClass = text(&c.attrs, "error.type", "exception.type")
	d.ErrorMessage = either(c.message, text(&c.attrs, "error.message", "exception.message"))
	for i := range c.events {
		if e := &c.events[i]; e.name == "exception" {
			d.ErrorClass = either(d.ErrorClass, text(&e.attrs, "exception.type"))
			d.ErrorMessage = either(d.ErrorMessage, text(&e.attrs, "exception.message"))
		}
	}
	d.ErrorCode = text(&c.attrs, "error.code", "http.response.status_code")
	switch {
	case c.failed || text(&c.attrs, "error.type") != "":
		d.Status = "failure"
	default:
		d.Status, d.ErrorCode = "success", ""
	}
}

// cut notes that a text was longer than is kept.
func (d *Derived) cut(name string, v []byte) []byte {
	if len(v) <= maxText {
		return v
	}
	d.Cut = append(d.Cut, name)
	if v[0] == '"' {
		return appendString(nil, cutAt(gjson.ParseBytes(v).String(), maxText/2))
	}
	return appendString(nil, cutAt(shared(v), maxText/2)) // JSON that is cut is a text
}

// cutAt is the longest beginning of s within so many bytes that splits no character.
func cutAt(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// text is the first value under one of the names as text; at most 4 KiB of it.
func text(a *attributes, names ...string) string {
	for _, name := range names {
		if s := a.get(name).string(); s != "" {
			return cutAt(s, 4096)
		}
	}
	return ""
}

func count(a *attributes, names ...string) *int64 {
	for _, name := range names {
		if v := a.get(name); v.kind != kindNone {
			if n, ok := v.count(); ok {
				return new(n)
			}
		}
	}
	return nil
}

// jsonOf is a text as a JSON object or list; nothing if it is none.
func jsonOf(s string) gjson.Result {
	if len(s) < 2 || s[0] != '{' && s[0] != '[' || len(s) > maxComposite || !validJSON(bytesOf(s)) {
		return gjson.Result{}
	}
	return gjson.Parse(s)
}

// plain is the value as JSON with what texts hold as JSON, or as a Python repr, taken out of them. It may share the value's memory.
func (v value) plain() []byte {
	if v.kind == kindText {
		if j := jsonOf(v.text); j.Exists() {
			return bytesOf(v.text)
		}
		if len(v.text) <= maxComposite {
			if j, ok := pythonJSON(v.text); ok {
				return j
			}
		}
		s := cutAt(v.text, maxText)
		return appendString(make([]byte, 0, len(s)+len(s)/16+2), s)
	}
	return v.appendJSON(nil)
}

// list is the texts of the value: a list, a text that is one in JSON or as a Python repr, or one text.
func (v value) list() (out []string) {
	if v.kind == kindNone {
		return nil
	}
	j := gjson.Parse(shared(v.plain()))
	if !j.IsArray() {
		if s := j.String(); s != "" {
			out = append(out, cutAt(s, 4096))
		}
		return out
	}
	j.ForEach(func(_, e gjson.Result) bool {
		if s := e.String(); s != "" {
			out = append(out, cutAt(s, 4096))
		}
		return len(out) < 64
	})
	return out
}

// messages is what is under the first of the names, or the messages that are flattened under one of the prefixes.
func messages(a *attributes, names []string, prefixes ...string) []byte {
	if v := a.get(names[0]); v.kind != kindNone {
		return v.plain()
	}
	for _, prefix := range prefixes {
		if out := flattened(a, prefix); len(out) > 0 {
			return out
		}
	}
	if v := a.get(names[1:]...); v.kind != kindNone {
		return v.plain()
	}
	return nil
}

// flattened is a list with an object for each N of attributes "<prefix>N.<rest>", by N: the numbers
// may begin with 1 and may have gaps. The members are named by the rest, without "message.".
func flattened(a *attributes, prefix string) []byte {
	type member struct {
		n, at int // the number, and which attribute
		name  string
	}
	var space [32]member
	members, size := space[:0], 0
	for i := range a.list {
		rest, ok := strings.CutPrefix(a.list[i].key, prefix)
		if !ok {
			continue
		}
		digits, rest, ok := strings.Cut(rest, ".")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n < 0 {
			continue
		}
		members = append(members, member{n, i, strings.TrimPrefix(rest, "message.")})
		size += len(a.list[i].raw) + 8
	}
	if len(members) == 0 {
		return nil
	}
	slices.SortStableFunc(members, func(x, y member) int { return cmp.Compare(x.n, y.n) })
	dst := append(make([]byte, 0, size), '[')
	for i, m := range members {
		if i == 0 || members[i-1].n != m.n {
			if i > 0 {
				dst = append(dst, '}', ',')
			}
			dst = append(dst, '{')
		}
		dst = append(appendString(comma(dst), m.name), ':')
		dst = a.list[m.at].value.appendJSON(dst)
	}
	return append(dst, '}', ']')
}
