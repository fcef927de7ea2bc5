package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Extractor is the version of the rules below. Whoever has a record can derive
// its fields again with newer ones: nothing else in it depends on them.
const Extractor = 1

// Derived is what was read out of an exchange. It is no evidence: the bytes are. Members
// that are columns of a pack have the columns' names.
type Derived struct {
	Extractor int    `json:"extractor"`
	Provider  string `json:"provider"`            // as LiteLLM names them: openai, anthropic, gemini, bedrock, ...
	Operation string `json:"call_type,omitempty"` // chat, completions, responses, embeddings, messages, generate_content, ...
	APIBase   string `json:"api_base,omitempty"`

	RequestedModel string   `json:"model,omitempty"`
	ServedModel    string   `json:"served_model,omitempty"`
	Stream         bool     `json:"stream"`       // the answer is one, by its bytes; of an Open, the request asked for one
	ResponseID     string   `json:"id,omitempty"` // the provider's
	PreviousID     string   `json:"previous_response_id,omitempty"`
	TraceID        string   `json:"trace_id,omitempty"` // of traceparent
	User           string   `json:"end_user,omitempty"` // whom the request names
	UserAgent      string   `json:"user_agent,omitempty"`
	KeyHash        string   `json:"key_hash,omitempty"`      // the credential's HMAC
	Status         string   `json:"status,omitempty"`        // success: all of a good answer came; else failure
	EndedBy        string   `json:"ended_by,omitempty"`      // the Transport
	FinishReason   string   `json:"finish_reason,omitempty"` // the first of
	FinishReasons  []string `json:"finish_reasons,omitempty"`

	FirstToken string            `json:"first_token,omitempty"` // when the first piece of content came
	Usage      []json.RawMessage `json:"usage,omitempty"`       // as they came; two where a stream says it in parts
	*Tokens

	Text         string     `json:"text,omitempty"`
	ToolCalls    []ToolCall `json:"tool_calls,omitempty"`
	InStream     bool       `json:"error_in_stream,omitempty"` // the error came as an event of a stream whose status was good
	ErrorClass   string     `json:"error_class,omitempty"`
	ErrorCode    string     `json:"error_code,omitempty"`
	ErrorMessage string     `json:"error_message,omitempty"`

	Events   int      `json:"events,omitempty"` // of a stream
	Unparsed []string `json:"unparsed,omitempty"`
}

// Tokens is the usage in one meaning for all providers: Input counts cached
// tokens in, Output counts reasoning in.
type Tokens struct {
	Input      int64 `json:"tokens_in"`
	Output     int64 `json:"tokens_out"`
	Cached     int64 `json:"tokens_cached"` // of Input, read from a cache
	CacheWrite int64 `json:"tokens_cache_write,omitempty"`
	Reasoning  int64 `json:"tokens_reasoning"`
}

// ToolCall is a call that the model asks for. Arguments are the text as it came.
type ToolCall struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments,omitempty"`
}

// maxText bounds the derived text of one record.
const maxText = 1 << 20

// derive reads the exchange. Nothing that the bytes hold makes it fail: what cannot be read is named.
func (e *Exchange) derive() (d *Derived) {
	d = &Derived{Extractor: Extractor, Provider: e.Provider}
	defer func() {
		if p := recover(); p != nil { // a parser's fault must not cost the record
			d = &Derived{Extractor: Extractor, Provider: e.Provider, Unparsed: []string{fmt.Sprintf("derive: %v", p)}}
			d.scrub(e.secrets)
		}
	}()
	f := &fold{d: d}
	path, _, _ := strings.Cut(urlPath(e.URL), "?")
	f.path(path)
	for _, h := range e.Request.Headers {
		if h.Name == "traceparent" {
			if parts := strings.Split(h.Value, "-"); len(parts) >= 4 && len(parts[1]) == 32 {
				d.TraceID = parts[1]
			}
		}
	}
	switch {
	case e.Asked != nil:
		a := e.Asked
		d.RequestedModel, d.Stream, d.PreviousID, d.User, d.Unparsed = a.RequestedModel, a.Stream, a.PreviousID, a.User, slices.Clip(a.Unparsed)
	case !e.Request.Absent || e.Request.Body.Bytes != nil:
		e.deriveRequest(f)
	}
	if e.Kind != Open && e.Status != 0 {
		e.deriveResponse(f)
	}
	f.finish()
	e.deriveEnd(d)
	d.scrub(e.secrets)
	return d
}

// deriveEnd says what became of the call.
func (e *Exchange) deriveEnd(d *Derived) {
	d.UserAgent, d.APIBase = field(e.Request.Headers, "user-agent"), strings.TrimSuffix(e.URL, urlPath(e.URL))
	if e.Credential != nil {
		d.KeyHash = e.Credential.HMAC
	}
	if e.Kind == Open {
		return
	}
	d.EndedBy, d.Status = string(e.Transport), "success"
	failed := e.Status < 100 || e.Status >= 400 || d.ErrorClass+d.ErrorCode+d.ErrorMessage != ""
	if e.Transport != Complete || failed {
		d.Status = "failure"
	}
	if d.ErrorCode == "" && e.Status >= 400 {
		d.ErrorCode = strconv.Itoa(e.Status)
	}
	if d.ErrorMessage == "" {
		d.ErrorMessage = e.Fault
	}
}

func (e *Exchange) deriveRequest(f *fold) {
	if e.Request.Body.Size == 0 {
		return
	}
	b, err := e.Request.content()
	if err != nil {
		f.unparsed("request: " + err.Error())
		return
	}
	if j := bytes.TrimLeft(b, " \t\r\n"); len(j) > 0 && j[0] == '{' {
		f.request(parse(j))
		return
	}
	if strings.HasPrefix(field(e.Request.Headers, "content-type"), "multipart/form-data") {
		f.multipart(b)
		return
	}
	f.unparsed("request: no JSON")
}

func (e *Exchange) deriveResponse(f *fold) {
	f.d.Stream = false // whatever was asked for
	if e.Response.Body.Size == 0 {
		return
	}
	coding := field(e.Response.Headers, "content-encoding")
	b, err := e.Response.content()
	if err != nil {
		f.unparsed("response: " + err.Error())
		if len(b) == 0 {
			return
		}
	}
	if e.Status == 101 {
		f.d.Stream = true
		f.unparsed("response: the frames of an upgraded connection")
		return
	}
	kind, list, whole := split(b)
	switch {
	case kind == framingNone:
		f.unparsed("response: neither JSON nor a stream that is known")
		return
	case !whole:
		f.unparsed("response: its end is missing")
	}
	f.d.Stream = kind == framingSSE || kind == framingLines && len(list) > 1 || kind == framingEventStream || kind == framingArray && len(list) > 0
	if f.d.Stream {
		f.d.Events = len(list)
		f.text.Grow(min(len(b)/4, maxText))
	}
	f.failed = e.Status >= 400
	for i := range list {
		ev := &list[i]
		before := f.contents
		f.event(ev, kind)
		if f.contents > before && f.d.FirstToken == "" && f.d.Stream && coding == "" {
			f.d.FirstToken = stamp(e.arrival(int64(ev.end)))
		}
	}
}

// arrival is when the byte before end came, where that was noted.
func (e *Exchange) arrival(end int64) time.Time {
	for _, a := range e.Arrivals {
		if a.End >= end {
			return a.At
		}
	}
	return time.Time{}
}

func field(list []Field, name string) string {
	for _, f := range list {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// urlPath is the path of a URL that may be no URL.
func urlPath(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[i:]
	}
	return ""
}
