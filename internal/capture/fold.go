package capture

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/tidwall/gjson"
)

// fold adds up the events of one exchange. What an event is, is told by its own
// members: servers that imitate a provider answer under any name.
type fold struct {
	d      *Derived
	text   strings.Builder
	tools  []*tool
	failed bool // the status says so
	anthro anthropicUsage

	effects
	spoken  string // the last text that was added, as it stands in the bytes
	alike   alike
	objects *objects // used again by each event
}

// objects are those of an event, one in the other.
type objects struct{ top, choice, message object }

var objectsPool sync.Pool // of *objects, which refer to nothing

// tool is a call that comes in pieces.
type tool struct {
	key  string // tells it from the others of the answer
	call ToolCall
	args strings.Builder
}

// parse is b as a value that shares b's memory.
func parse(b []byte) gjson.Result { return gjson.Parse(unsafe.String(unsafe.SliceData(b), len(b))) }

func (f *fold) unparsed(what string) {
	f.acts++
	if !slices.Contains(f.d.Unparsed, what) {
		f.d.Unparsed = append(f.d.Unparsed, what)
	}
}

// finish closes what was open.
func (f *fold) finish() {
	if f.objects != nil {
		*f.objects = objects{}
		objectsPool.Put(f.objects)
		f.objects = nil
	}
	f.d.Text = f.text.String()
	for _, t := range f.tools {
		t.call.Arguments += t.args.String()
		f.d.ToolCalls = append(f.d.ToolCalls, t.call)
	}
	if f.d.Provider == "" {
		f.d.Provider = "unknown"
	}
	if len(f.d.FinishReasons) > 0 {
		f.d.FinishReason = f.d.FinishReasons[0]
	}
}

// provider notes whose format this is, where the configuration did not say.
func (f *fold) provider(name string) {
	if f.d.Provider == "" {
		f.d.Provider = name
	}
}

// operations are told by how the path ends.
var operations = []struct{ suffix, provider, operation string }{
	{"/chat/completions", "", "chat"},
	{"/fim/completions", "mistral", "fim"},
	{"/completions", "", "completions"},
	{"/responses", "openai", "responses"},
	{"/embeddings", "", "embeddings"},
	{"/images/generations", "openai", "images"},
	{"/images/edits", "openai", "images"},
	{"/audio/transcriptions", "openai", "transcription"},
	{"/audio/translations", "openai", "translation"},
	{"/audio/speech", "openai", "speech"},
	{"/moderations", "openai", "moderation"},
	{"/realtime", "openai", "realtime"},
	{"/messages", "anthropic", "messages"},
	{"/messages/count_tokens", "anthropic", "count_tokens"},
	{"/v2/chat", "cohere", "chat"},
	{"/v2/embed", "cohere", "embeddings"},
	{"/v2/rerank", "cohere", "rerank"},
	{"/api/chat", "ollama", "chat"},
	{"/api/generate", "ollama", "completions"},
	{"/api/embed", "ollama", "embeddings"},
	{"/converse", "bedrock", "converse"},
	{"/converse-stream", "bedrock", "converse"},
	{"/invoke", "bedrock", "invoke"},
	{"/invoke-with-response-stream", "bedrock", "invoke"},
	{":generateContent", "", "generate_content"},
	{":streamGenerateContent", "", "generate_content"},
	{":countTokens", "", "count_tokens"},
	{":embedContent", "", "embeddings"},
	{":batchEmbedContents", "", "embeddings"},
	{":rawPredict", "vertex_ai", "messages"},
	{":streamRawPredict", "vertex_ai", "messages"},
	{"/models", "", "models"},
}

// path reads the operation, and the model where it stands in the path.
func (f *fold) path(p string) {
	for _, o := range operations {
		if strings.HasSuffix(p, o.suffix) {
			f.d.Operation = o.operation
			if o.provider != "" {
				f.provider(o.provider)
			}
			break
		}
	}
	parts := strings.Split(p, "/")
	for i, part := range parts[:len(parts)-1] {
		next, err := url.PathUnescape(parts[i+1])
		if err != nil {
			continue
		}
		switch part {
		case "projects":
			f.provider("vertex_ai")
		case "deployments":
			f.provider("azure")
			f.d.RequestedModel = next
		case "model":
			if f.d.Operation == "converse" || f.d.Operation == "invoke" {
				f.d.RequestedModel = next
			}
		case "models":
			if model, method, ok := strings.Cut(next, ":"); ok && method != "" {
				f.provider("gemini")
				f.d.RequestedModel = model
			}
		}
	}
}

// request reads what was asked.
func (f *fold) request(j gjson.Result) {
	var users [3]string                         // the first one counts
	j.ForEach(func(name, v gjson.Result) bool { // one pass: prompts are long
		switch name.Str {
		case "model":
			if f.d.RequestedModel == "" { // Azure ignores the body's
				f.d.RequestedModel = v.Str
			}
		case "stream":
			f.d.Stream = v.Type == gjson.True
		case "previous_response_id":
			f.d.PreviousID = v.Str
		case "user":
			users[0] = v.Str
		case "metadata":
			users[1] = v.Get("user_id").Str
		case "safety_identifier":
			users[2] = v.Str
		}
		return true
	})
	f.d.User = cmp.Or(users[:]...)
}

// multipart reads the model of a form, as the audio and image calls send it.
func (f *fold) multipart(b []byte) {
	_, rest, ok := strings.Cut(string(b[:min(len(b), maxText)]), `name="model"`)
	if !ok {
		f.unparsed("request: a form")
		return
	}
	if _, value, ok := strings.Cut(rest, "\r\n\r\n"); ok {
		value, _, _ = strings.Cut(value, "\r\n")
		f.d.RequestedModel = value[:min(len(value), 256)]
	}
}

// event adds one event.
func (f *fold) event(e *event, kind framing) {
	if text, ok := f.alike.text(e); ok {
		f.say(said(text))
		return
	}
	before := f.effects
	f.read(e, kind)
	f.alike.learn(e, f.spoken, before, f.effects)
}

// read adds an event that is like no other.
func (f *fold) read(e *event, kind framing) {
	data := e.data
	if kind == framingSSE && string(data) == "[DONE]" {
		return
	}
	if kind != framingJSON && !valid(data) {
		f.unparsed("response: an event that is no JSON")
		return
	}
	j := parse(data)
	if kind == framingEventStream {
		f.bedrockEvent(e.name, j)
		return
	}
	if kind == framingSSE && e.name == "error" && !j.Get("error").Exists() {
		f.fault(j, true)
		return
	}
	f.body(j, kind != framingJSON)
}

// body adds one JSON value of any provider. stream says that it is an event.
func (f *fold) body(j gjson.Result, stream bool) {
	if j.IsArray() { // Gemini's errors come in an array of one
		j.ForEach(func(_, v gjson.Result) bool {
			f.body(v, stream)
			return true
		})
		return
	}
	if f.objects == nil {
		f.objects, _ = objectsPool.Get().(*objects)
		if f.objects == nil {
			f.objects = new(objects)
		}
	}
	o := f.objects.top.read(j)
	kind := o.get("type").Str
	switch fault := o.get("error"); {
	case fault.Exists() && fault.Type != gjson.Null && !o.get("output").Exists():
		f.fault(fault, stream && !f.failed)
	case kind == "error" || f.failed:
		f.fault(j, stream && !f.failed)
	case strings.HasPrefix(kind, "response.") || o.get("object").Str == "response":
		f.responses(kind, o)
	case o.get("candidates").Exists() || o.get("usageMetadata").Exists() || o.get("promptFeedback").Exists():
		f.gemini(o)
	case anthropicEvents[kind] && !(kind == "message" && !o.get("content").Exists()):
		f.anthropic(kind, o)
	case o.get("choices").IsArray() || strings.HasSuffix(o.get("object").Str, ".chunk"):
		f.openai(o)
	case cohereEvents[kind] || o.get("finish_reason").Exists() && o.get("message").IsObject():
		f.cohere(j)
	case j.Get("output.message").Exists() || o.get("stopReason").Exists():
		f.converse("", j)
	case o.get("done").IsBool():
		f.ollama(j)
	default:
		f.other(o)
	}
}

// other reads what all answers may have.
func (f *fold) other(o *object) {
	f.model(o.get("model"))
	f.id(o.get("id"))
	if u := o.get("usage"); u.IsObject() {
		f.usage(u, openaiTokens(u))
	}
}

func (f *fold) model(v gjson.Result) {
	if v.Type == gjson.String && v.Str != "" {
		f.d.ServedModel = v.Str
	}
}

func (f *fold) id(v gjson.Result) {
	if v.Type == gjson.String && v.Str != "" {
		f.d.ResponseID = v.Str
	}
}

// reason adds a reason why the model stopped, once.
func (f *fold) reason(v gjson.Result) {
	if v.Type == gjson.String && v.Str != "" && len(f.d.FinishReasons) < 128 {
		f.acts++
		f.d.FinishReasons = append(f.d.FinishReasons, v.Str)
	}
}

// say adds a piece of the answer's text.
func (f *fold) say(v gjson.Result) {
	if v.Type != gjson.String || v.Str == "" {
		return
	}
	f.contents++
	f.said++
	f.spoken = v.Raw
	if f.text.Len()+len(v.Str) > maxText {
		f.unparsed("text: longer than is kept here")
		return
	}
	f.text.WriteString(v.Str)
}

// usage notes a usage object; the last one counts.
func (f *fold) usage(raw gjson.Result, t Tokens) {
	f.acts++
	f.d.Usage, f.d.Tokens = []json.RawMessage{json.RawMessage(raw.Raw)}, &t
}

// tool is the call under a key, made where it is new.
func (f *fold) tool(key string) *tool {
	f.acts++
	for _, t := range f.tools {
		if t.key == key {
			return t
		}
	}
	f.contents++
	t := &tool{key: key}
	if len(f.tools) < 1024 {
		f.tools = append(f.tools, t)
	}
	return t
}

func (t *tool) add(id, name, args gjson.Result) {
	if id.Str != "" {
		t.call.ID = id.Str
	}
	if name.Str != "" {
		t.call.Name = name.Str
	}
	if t.args.Len()+len(args.Str) <= maxText {
		t.args.WriteString(args.Str)
	}
}

// fault notes an error, in whatever form the provider has it.
func (f *fold) fault(j gjson.Result, inStream bool) {
	f.acts++
	d := f.d
	d.InStream, d.ErrorMessage, d.ErrorClass, d.ErrorCode = inStream, j.Get("message").String(), j.Get("type").String(), j.Get("code").String()
	switch {
	case j.Type == gjson.String:
		d.ErrorMessage = j.Str
	case d.ErrorMessage == "" && j.Get("detail").Exists():
		d.ErrorMessage = j.Get("detail").String()
	}
	if status := j.Get("status"); d.ErrorClass == "" && status.Type == gjson.String { // Google
		d.ErrorClass = status.Str
	}
	d.ErrorMessage = strings.ToValidUTF8(d.ErrorMessage[:min(len(d.ErrorMessage), 64<<10)], "")
}
