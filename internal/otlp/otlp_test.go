package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// anyOf is a Go value as an AnyValue; nil is one with nothing set, as Python's None.
func anyOf(v any) *common.AnyValue {
	switch v := v.(type) {
	case string:
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}
	case int:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(v)}}
	case float64:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v}}
	case bool:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: v}}
	case []byte:
		return &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: v}}
	case []any:
		list := &common.ArrayValue{}
		for _, e := range v {
			list.Values = append(list.Values, anyOf(e))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	case map[string]any:
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: attrsOf(v)}}}
	}
	return &common.AnyValue{}
}

func attrsOf(m map[string]any) (list []*common.KeyValue) {
	for _, key := range sortedKeys(m) {
		list = append(list, &common.KeyValue{Key: key, Value: anyOf(m[key])})
	}
	return list
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

const startTime = 1764000000123456789

// span is a span with attributes.
func span(n byte, name string, attrs map[string]any) *trace.Span {
	return &trace.Span{
		TraceId: bytes.Repeat([]byte{0xab}, 16), SpanId: bytes.Repeat([]byte{n}, 8), Name: name,
		StartTimeUnixNano: startTime, EndTimeUnixNano: startTime + 1e9, Attributes: attrsOf(attrs), Status: &trace.Status{},
	}
}

// request is an export request of spans of one scope.
func request(t testing.TB, scope string, spans ...*trace.Span) []byte {
	t.Helper()
	b, err := proto.Marshal(&trace.TracesData{ResourceSpans: []*trace.ResourceSpans{{
		Resource:  &resource.Resource{Attributes: attrsOf(map[string]any{"service.name": "svc"})},
		SchemaUrl: "https://opentelemetry.io/schemas/1.40.0",
		ScopeSpans: []*trace.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: scope, Version: "1"}, Spans: spans, SchemaUrl: "https://example.com/inner",
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(it *Item) *Record {
	r := new(Record)
	r.Read(it)
	return r
}

// readAll reads the items of a request.
func readAll(t testing.TB, signal Signal, encoding Encoding, data []byte) (list []*Record) {
	t.Helper()
	items, err := Split(signal, encoding, data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		list = append(list, read(&items[i]))
	}
	return list
}

// body is a record's body, taken apart.
type body struct {
	V       int
	Kind    string
	CallID  string `json:"call_id"`
	ID      string
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	Start   string
	Unread  string
	Masked  []string
	OTLP    json.RawMessage
	Base64  string `json:"otlp_base64"`
	Derived map[string]any
	Name    string
}

func bodyOf(t testing.TB, r *Record) (b body) {
	t.Helper()
	text := r.AppendBody(nil)
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatalf("%v: %.500s", err, text)
	}
	if bytes.Count(text, []byte("\n")) != 1 && len(b.OTLP) == 0 {
		t.Errorf("%q is not one line", text)
	}
	return b
}

// What a record holds is an export request of its own, with the bytes of the item, and everything that stood around
// it, also what this package does not know.
func TestKeepsBytes(t *testing.T) {
	one, two := span(1, "a", map[string]any{"gen_ai.request.model": "m", "x": nil}), span(2, "b", map[string]any{"gen_ai.request.model": "n"})
	unknown := protowire.AppendString(protowire.AppendTag(nil, 1999, protowire.BytesType), "of the future")
	one.ProtoReflect().SetUnknown(unknown)
	data := request(t, "s", one, two)
	records := readAll(t, Traces, Protobuf, data)
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	for i, want := range []*trace.Span{one, two} {
		kept, err := base64.StdEncoding.DecodeString(bodyOf(t, records[i]).Base64)
		if err != nil {
			t.Fatal(err)
		}
		var got trace.TracesData
		if err := proto.Unmarshal(kept, &got); err != nil {
			t.Fatal(err)
		}
		group := got.ResourceSpans[0]
		if len(got.ResourceSpans) != 1 || len(group.ScopeSpans) != 1 || len(group.ScopeSpans[0].Spans) != 1 || !proto.Equal(group.ScopeSpans[0].Spans[0], want) ||
			group.SchemaUrl == "" || group.ScopeSpans[0].SchemaUrl != "https://example.com/inner" || group.ScopeSpans[0].Scope.Name != "s" || len(group.Resource.Attributes) != 1 {
			t.Errorf("%d: %v", i, &got)
		}
		raw, _ := proto.Marshal(want)
		if !bytes.Contains(kept, raw) || i == 0 && !bytes.Contains(kept, unknown) {
			t.Errorf("%d: the span's bytes are not those that came", i)
		}
	}
}

// The same in OTLP/JSON: ids are hex there, and spaces, order and unknown members stay.
func TestKeepsJSON(t *testing.T) {
	item := `{ "traceId":"5B8EFFF798038103D269B633813FC60C", "spanId":"eee19b7ec3c1b174","name":"chat m",  "future":{"a":[1]},"startTimeUnixNano":"1764000000123456789","endTimeUnixNano":1764000001123456789,
 "attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}},{"key":"gen_ai.usage.input_tokens","value":{"intValue":"7"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":8}},{"key":"n","value":{}},
 {"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}},{"key":"gen_ai.output.messages","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"role","value":{"stringValue":"assistant"}}]}}]}}}],
 "status":{"code":2,"message":"no"}}`
	data := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"svc"}}]},"later":1,"scopeSpans":[{"scope":{"name":"s"},"spans":[` + item + `]}]}]}`
	records := readAll(t, Traces, JSON, []byte(data))
	b := bodyOf(t, records[0])
	if !strings.Contains(string(b.OTLP), item) || !strings.Contains(string(b.OTLP), `"later":1`) {
		t.Errorf("kept %s", b.OTLP)
	}
	if b.TraceID != "5b8efff798038103d269b633813fc60c" || b.SpanID != "eee19b7ec3c1b174" || b.Start != "2025-11-24T16:00:00.123456789Z" {
		t.Errorf("%+v", b)
	}
	if d := b.Derived; d["tokens_in"] != 7.0 || d["tokens_out"] != 8.0 || d["finish_reason"] != "stop" || d["status"] != "failure" || d["error_message"] != "no" || fmt.Sprint(d["output"]) != "[map[role:assistant]]" {
		t.Errorf("%v", d)
	}
}

// convention is what an instrumentation was seen to send, and what is read out of it.
type convention struct {
	name, scope, span string
	attrs             map[string]any
	kind              Kind
	want              map[string]any
}

func conventions() []convention {
	messages := `[{"role":"user","parts":[{"type":"text","content":"hi"}]}]`
	return []convention{
		{"gen_ai", "opentelemetry.instrumentation.genai.openai", "chat m", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.response.model": "m-1", "gen_ai.response.id": "r",
			"gen_ai.response.finish_reasons": []any{"stop"}, "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 1,
			"gen_ai.usage.reasoning.output_tokens": 1, "gen_ai.input.messages": messages, "gen_ai.request.stream": true, "gen_ai.response.time_to_first_chunk": 0.5, "server.address": "api.x", "server.port": 443,
		}, Call, map[string]any{"provider": "openai", "call_type": "chat", "model": "m", "served_model": "m-1", "finish_reason": "stop", "tokens_in": 3.0, "tokens_out": 2.0, "tokens_cached": 1.0,
			"tokens_reasoning": 1.0, "stream": true, "first_token": "2025-11-24T16:00:00.623456789Z", "api_base": "api.x:443", "status": "success", "service": "svc"}},
		{"v1.36", "x", "chat m", map[string]any{"gen_ai.system": "openai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.completion_tokens": 2},
			Call, map[string]any{"provider": "openai", "tokens_in": 3.0, "tokens_out": 2.0}},
		{"openinference, messages from 1", "openinference.instrumentation.openai", "Response", map[string]any{"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "m-1", "llm.invocation_parameters": `{"model":"m","stream":true}`,
			"output.value": `{"id":"r"}`, "output.mime_type": "application/json", "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "hi", "llm.input_messages.12.message.content": "late",
			"llm.token_count.prompt": 3, "llm.token_count.completion": 2, "llm.token_count.prompt_details.cache_read": 1, "llm.finish_reason": "stop"},
			Call, map[string]any{"model": "m", "served_model": "m-1", "stream": true, "tokens_in": 3.0, "tokens_cached": 1.0, "finish_reason": "stop", "input": []any{map[string]any{"role": "user", "content": "hi"}, map[string]any{"content": "late"}}}},
		{"openinference, a tool", "openinference.instrumentation.openai", "t", map[string]any{"openinference.span.kind": "TOOL", "input.value": "x"}, Step, map[string]any{"input": "x"}},
		{"openllmetry of old", "opentelemetry.instrumentation.openai.v1", "openai.chat", map[string]any{"llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "m", "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi", "gen_ai.completion.0.content": "ho", "gen_ai.completion.0.finish_reason": "stop", "llm.is_streaming": "False"}, Call, map[string]any{"call_type": "chat", "finish_reason": "stop", "stream": false, "output": []any{map[string]any{"content": "ho", "finish_reason": "stop"}}}},
		{"litellm", "litellm", "litellm_request", map[string]any{"gen_ai.operation.name": "acompletion", "gen_ai.request.model": "m", "gen_ai.response.finish_reasons": `["stop"]`, "metadata.user_api_key_alias": "k", "metadata.user_api_key_team_alias": "t", "metadata.user_api_key_hash": "", "metadata.usage_object": `{'prompt_tokens_details': {'cached_tokens': 10}, 'completion_tokens_details': {'reasoning_tokens': None}}`,
			"hidden_params": `{"api_base":"http://p","response_cost":0.25}`, "error.type": "BadRequestError", "error.code": "bad", "error.message": "no"},
			Call, map[string]any{"finish_reason": "stop", "key_alias": "k", "team_alias": "t", "tokens_cached": 10.0, "cost": 0.25, "api_base": "http://p", "status": "failure", "error_code": "bad", "error_class": "BadRequestError", "error_message": "no"}},
		{"litellm, raw", "litellm", "raw_gen_ai_request", map[string]any{"llm.openai.messages": `[{'role': 'user', 'content': "it's \u00e9", 'name': None}]`, "llm.openai.choices": "[{'finish_reason': 'stop'}]", "llm.openai.id": "r", "llm.openai.model": "m-1", "llm.openai.x": "[<Object at 0x1>]"},
			Part, map[string]any{"served_model": "m-1", "provider": "openai", "input": []any{map[string]any{"role": "user", "content": "it's é", "name": nil}}, "output": []any{map[string]any{"finish_reason": "stop"}}}},
		{"logfire, a stream begins", "logfire.openai", "Chat Completion with {request_data[model]!r}", map[string]any{"logfire.span_type": "span", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.response.model": "m", "gen_ai.input.messages": messages}, Part, map[string]any{"model": "m", "served_model": nil, "status": nil}},
		{"logfire, embeddings", "logfire.openai", "Embedding", map[string]any{"logfire.span_type": "span", "gen_ai.operation.name": "embeddings", "request_data": `{"model":"e"}`, "gen_ai.usage.input_tokens": 1}, Call, map[string]any{"tokens_in": 1.0}},
		{"pydantic-ai, an agent", "pydantic-ai", "invoke_agent a", map[string]any{"gen_ai.operation.name": "invoke_agent", "pydantic_ai.all_messages": messages, "gen_ai.usage.input_tokens": 9}, Step, map[string]any{"tokens_in": nil}},
		{"a chain", "x", "c", map[string]any{"traceloop.span.kind": "workflow"}, Step, nil},
		{"http", "opentelemetry.instrumentation.fastapi", "POST /", map[string]any{"http.request.method": "POST"}, Other, nil},
	}
}

// Each convention, by the attributes that its instrumentation was seen to send.
func TestConventions(t *testing.T) {
	for _, c := range conventions() {
		t.Run(c.name, func(t *testing.T) {
			s := span(1, c.span, c.attrs)
			s.ParentSpanId = bytes.Repeat([]byte{9}, 8)
			r := readAll(t, Traces, Protobuf, request(t, c.scope, s))[0]
			if r.Kind != c.kind {
				t.Fatalf("it is a %s", r.Kind)
			}
			b := bodyOf(t, r)
			for k, want := range c.want {
				if got := b.Derived[k]; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s is %v, want %v", k, got, want)
				}
			}
			if c.name == "litellm, raw" && b.CallID != strings.Repeat("ab", 16)+"-"+strings.Repeat("09", 8) {
				t.Errorf("linked to %s", b.CallID)
			}
		})
	}
}

// An event is part of its span; where its span is not exported, or there is none, it is the call.
func TestEvents(t *testing.T) {
	record := func(flags uint32, spanID []byte, name string) *logs.LogRecord {
		return &logs.LogRecord{TimeUnixNano: startTime, Flags: flags, TraceId: bytes.Repeat([]byte{1}, 16), SpanId: spanID, EventName: name, Attributes: attrsOf(map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3,
			"gen_ai.input.messages": []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "content": "hi"}}, "name": nil}},
		})}
	}
	const details = "gen_ai.client.inference.operation.details"
	eight := bytes.Repeat([]byte{2}, 8)
	data, err := proto.Marshal(&logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
		record(3, eight, details), record(0, eight, details), record(0, nil, details), record(1, eight, "gen_ai.user.message"), record(1, eight, "app.started"),
	}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Kind{Part, Call, Call, Part, Other}
	for i, r := range readAll(t, Logs, Protobuf, data) {
		if r.Kind != want[i] {
			t.Errorf("%d is a %s, want a %s", i, r.Kind, want[i])
		}
		b := bodyOf(t, r)
		if i == 0 && (b.CallID != strings.Repeat("01", 16)+"-"+strings.Repeat("02", 8) || b.Derived["tokens_in"] != nil || !strings.Contains(fmt.Sprint(b.Derived["input"]), "hi")) {
			t.Errorf("%+v", b)
		}
		if i == 1 && b.Derived["tokens_in"] != 3.0 {
			t.Errorf("%+v", b)
		}
	}
}

// No credential stands in a record, whatever form it has in the attributes; what it was in is told, and all else is as it was.
func TestMasksCredentials(t *testing.T) {
	const secret = "sk-MARKED-0123456789abcdef"
	attrs := map[string]any{
		"gen_ai.request.model": "m", "http.request.header.authorization": []any{"Bearer " + secret}, "llm.openai.extra_headers": `{'X-Api-Key': '` + secret + `', 'a': 'b'}`,
		"metadata.requester_headers": `{"authorization":"Bearer ` + secret + `"}`, "db.password": "short", "url.full": "https://x/v1?alt=sse&key=" + secret, "gen_ai.usage.input_tokens": 3, "llm.request.max_tokens": 9,
		"gen_ai.input.messages": `[{"role":"user","content":"use Authorization: Bearer ` + secret + ` and api_key=os.environ, max_tokens: 5"}]`,
	}
	s := span(1, "chat", attrs)
	s.Events = []*trace.Span_Event{{Name: "exception", Attributes: attrsOf(map[string]any{"exception.message": "401 for api_key=" + secret})}}
	for _, encoding := range []Encoding{Protobuf, JSON} {
		data := request(t, "x", s)
		if encoding == JSON {
			data = asJSON(t, data)
		}
		r := readAll(t, Traces, encoding, data)[0]
		text := r.AppendBody(nil)
		b := bodyOf(t, r)
		kept, _ := base64.StdEncoding.DecodeString(b.Base64)
		if encoding == JSON {
			kept = b.OTLP
		}
		if bytes.Contains(text, []byte("MARKED")) || bytes.Contains(kept, []byte("MARKED")) || bytes.Contains(kept, []byte(`short`)) {
			t.Errorf("%s: a credential is in %s\n%s", encoding, text, kept)
		}
		if len(b.Masked) < 5 || !bytes.Contains(kept, []byte("api_key=os.environ, max_tokens: 5")) || b.Derived["tokens_in"] != 3.0 {
			t.Errorf("%s: masked %v: %s", encoding, b.Masked, kept)
		}
		if again := readAll(t, Traces, encoding, kept); encoding == Protobuf && len(again) != 1 {
			t.Error("what was kept is no request")
		}
	}
}

// Nor does one stand in a record that is nested in a list or a map, that is bytes, or that is short beside others.
func TestMasksNestedCredentials(t *testing.T) {
	const secret = "sk-MARKED-0123456789abcdef"
	for name, attrs := range map[string]map[string]any{
		"a map of headers": {"headers": map[string]any{"a": "b", "authorization": "Bearer " + secret}},
		"lists of maps":    {"x": []any{map[string]any{"y": map[string]any{"api_key": secret}}}},
		"a longer name":    {"http.request.header.x-litellm-api-key": secret},
		"bytes":            {"http.request.header.authorization": []byte("Bearer " + secret)},
		"bytes in a list":  {"http.request.header.authorization": []any{[]byte("Bearer " + secret)}},
		"short ones":       {"db.password": []any{"MARKED1", "MARKED2"}},
		"short and long":   {"db.password": []any{secret, "MARKED1"}},
	} {
		attrs["gen_ai.request.model"] = "m"
		for _, encoding := range []Encoding{Protobuf, JSON} {
			data := request(t, "x", span(1, "chat", attrs))
			if encoding == JSON {
				data = asJSON(t, data)
			}
			b := bodyOf(t, readAll(t, Traces, encoding, data)[0])
			kept, _ := base64.StdEncoding.DecodeString(b.Base64)
			if encoding == JSON {
				kept = b.OTLP
			}
			if bytes.Contains(kept, []byte("MARKED")) || bytes.Contains(kept, []byte(base64.StdEncoding.EncodeToString([]byte("Bearer "+secret)))) || len(b.Masked) != 1 {
				t.Errorf("%s in %s: masked %v: %q", name, encoding, b.Masked, kept)
			}
		}
	}
	around := append(protowire.AppendBytes([]byte{0x0a}, protowire.AppendBytes([]byte{0x0a}, append(protowire.AppendString([]byte{0x0a}, "password"), protowire.AppendBytes([]byte{0x12}, protowire.AppendString([]byte{0x0a}, "MARKED"))...))), 0x12, 2, 0x12, 0)
	for _, r := range readAll(t, Traces, Protobuf, protowire.AppendBytes([]byte{0x0a}, around)) {
		if kept, _ := base64.StdEncoding.DecodeString(bodyOf(t, r).Base64); bytes.Contains(kept, []byte("MARKED")) || !bytes.Contains(kept, []byte("******")) {
			t.Errorf("around an empty span: %q", kept)
		}
	}
	s := span(1, "chat", map[string]any{"gen_ai.request.model": "m"})
	s.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "401 for api_key=" + secret}
	if text := readAll(t, Traces, JSON, asJSON(t, request(t, "x", s)))[0].AppendBody(nil); bytes.Contains(text, []byte("MARKED")) {
		t.Errorf("in the status: %s", text)
	}
}

// In JSON that is kept raw, what is named like a credential is masked as well.
func TestMasksRawJSON(t *testing.T) {
	const data = `{"resource_spans":[{"x":[{"key":"authorization","value":{"stringValue":"Bearer MARKED"}},{"key":"a","value":{"stringValue":"b"}}],"api_key":"MARKED"}]}`
	if got, want := string(MaskText([]byte(data))), strings.NewReplacer("Bearer MARKED", "*************", "MARKED", "******").Replace(data); got != want {
		t.Errorf("%s", got)
	}
}

// A request that holds something under names that are not looked for is malformed: it is not acknowledged as an empty one.
func TestNamesThatAreNotLookedFor(t *testing.T) {
	const items = `[{"scopeSpans":[{"spans":[{"name":"chat","attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}}]}]}]}]`
	for name, data := range map[string]string{
		"twice":               `{"resourceSpans":` + items + `,"resourceSpans":` + items + `}`,
		"snake case":          `{"resource_spans":` + strings.NewReplacer("scopeSpans", "scope_spans").Replace(items) + `}`,
		"snake case within":   `{"resourceSpans":` + strings.NewReplacer("scopeSpans", "scope_spans").Replace(items) + `}`,
		"scopes twice":        `{"resourceSpans":[{"scopeSpans":[],"scopeSpans":[{"spans":[]}]}]}`,
		"items twice":         `{"resourceSpans":[{"scopeSpans":[{"spans":[{}],"spans":[{}]}]}]}`,
		"before they were so": `{"resourceSpans":` + strings.NewReplacer("scopeSpans", "instrumentationLibrarySpans").Replace(items) + `}`,
		"the other signal":    `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`,
		"something else":      `{"hello":"world"}`,
	} {
		if list, err := Split(Traces, JSON, []byte(data)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d items, %v", name, len(list), err)
		}
	}
	for _, data := range []string{`{}`, `{"resourceSpans":null}`, `{"resourceSpans":[]}`, `{"resourceSpans":[{"resource":{},"schemaUrl":"x"}]}`, `{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"x"}}]}],"later":1}`} {
		if list, err := Split(Traces, JSON, []byte(data)); err != nil || len(list) != 0 {
			t.Errorf("%s: %d items, %v", data, len(list), err)
		}
	}
}

// A credential that JSON spells with escapes is found as well.
func TestMasksEscapes(t *testing.T) {
	data := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}},{"key":"authorization","value":{"stringValue":"Basic\u0020MARKED\/0123456789"}}]}]}]}]}`
	text := readAll(t, Traces, JSON, []byte(data))[0].AppendBody(nil)
	if bytes.Contains(text, []byte("MARKED")) || !bytes.Contains(text, []byte(`"authorization","value":{"stringValue":"****`)) {
		t.Errorf("%s", text)
	}
	for name, value := range map[string]string{
		"an escaped separator":  `https://x/v1?alt=sse\u0026key=MARKED-0123456789abcdef`,
		"an escaped name":       `api\u005fkey=MARKED-0123456789abcdef`,
		"an escaped slash":      `\u0061pi_key: MARKED-0123456789\/abcdef`,
		"an escaped credential": `api_key=M\u0041RKED-0123456789abcdef and more`,
	} {
		data := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}},{"key":"tag.tags","value":{"stringValue":"` + value + `"}}]}]}]}]}`
		if text := readAll(t, Traces, JSON, []byte(data))[0].AppendBody(nil); bytes.Contains(text, []byte("KED-0123456789")) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// Nor does one stand in a member or field that is there twice, whichever of the two counts.
func TestMasksWhatIsThereTwice(t *testing.T) {
	const model, credential = `{"key":"gen_ai.request.model","value":{"stringValue":"m"}}`, `{"key":"authorization","value":{"stringValue":"Bearer MARKED-0123456789"}}`
	const span, resource = `{"attributes":[` + model + `]}`, `{"attributes":[]}`
	for _, c := range [][2]string{
		{resource, `{"attributes":[` + model + `,` + credential + `],"attributes":[` + model + `]}`},
		{resource, `{"attributes":[` + model + `,{"key":"authorization","value":{"stringValue":"x"},"value":{"stringValue":"Bearer MARKED-0123456789"}}]}`},
		{`{"attributes":[` + credential + `],"attributes":[]}`, span},
		{`{"attributes":[` + credential + `]},"resource":{}`, span},
	} {
		data := `{"resourceSpans":[{"resource":` + c[0] + `,"scopeSpans":[{"spans":[` + c[1] + `]}]}]}`
		if text := readAll(t, Traces, JSON, []byte(data))[0].AppendBody(nil); bytes.Contains(text, []byte("MARKED")) {
			t.Errorf("%s", text)
		}
	}
	field := func(number byte, content []byte) []byte { return protowire.AppendBytes([]byte{number<<3 | 2}, content) }
	keyValue := func(key, value string) []byte {
		return append(field(1, []byte(key)), field(2, field(1, []byte(value)))...)
	}
	group := append(field(1, field(1, keyValue("authorization", "Bearer MARKED-0123456789"))), field(1, field(1, keyValue("service.name", "svc")))...)
	group = append(group, field(2, field(2, field(9, keyValue("gen_ai.request.model", "m"))))...)
	b := bodyOf(t, readAll(t, Traces, Protobuf, field(1, group))[0])
	if kept, _ := base64.StdEncoding.DecodeString(b.Base64); bytes.Contains(kept, []byte("MARKED")) || b.Derived["service"] != "svc" {
		t.Errorf("%q, %v", kept, b.Derived)
	}
}

// What is derived is bounded, and cut between characters.
func TestCuts(t *testing.T) {
	for name, long := range map[string]string{"Chinese": strings.Repeat("審計", 1<<19), "hex": strings.Repeat("0f", 1<<20), "controls": strings.Repeat("\x01", 1<<20), "JSON": "[" + strings.Repeat("1,", 1<<20) + "1]"} {
		r := readAll(t, Traces, Protobuf, request(t, "x", span(1, "chat", map[string]any{"gen_ai.request.model": "m", "gen_ai.input.messages": long, "gen_ai.output.messages": []any{long}})))[0]
		b := bodyOf(t, r)
		in, _ := b.Derived["input"].(string)
		if len(in) < 1<<18 || len(in) > maxText || !strings.HasPrefix(long, in) {
			t.Errorf("%s: %d bytes of input: %.20q", name, len(in), in)
		}
	}
}

// asJSON is a request in OTLP/JSON.
func asJSON(t testing.TB, data []byte) []byte {
	t.Helper()
	var d trace.TracesData
	if err := proto.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	var groups []any
	for _, g := range d.ResourceSpans {
		var scopes []any
		for _, sc := range g.ScopeSpans {
			var spans []any
			for _, s := range sc.Spans {
				var events []any
				for _, e := range s.Events {
					events = append(events, map[string]any{"name": e.Name, "attributes": jsonAttrs(e.Attributes)})
				}
				spans = append(spans, map[string]any{"traceId": hex.EncodeToString(s.TraceId), "spanId": hex.EncodeToString(s.SpanId), "parentSpanId": hex.EncodeToString(s.ParentSpanId), "name": s.Name,
					"startTimeUnixNano": fmt.Sprint(s.StartTimeUnixNano), "endTimeUnixNano": fmt.Sprint(s.EndTimeUnixNano), "attributes": jsonAttrs(s.Attributes), "events": events, "status": map[string]any{"code": int(s.Status.GetCode()), "message": s.Status.GetMessage()}})
			}
			scopes = append(scopes, map[string]any{"scope": map[string]any{"name": sc.Scope.GetName()}, "spans": spans})
		}
		groups = append(groups, map[string]any{"resource": map[string]any{"attributes": jsonAttrs(g.Resource.GetAttributes())}, "scopeSpans": scopes})
	}
	b, err := json.Marshal(map[string]any{"resourceSpans": groups})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func jsonAttrs(list []*common.KeyValue) (out []any) {
	for _, a := range list {
		out = append(out, map[string]any{"key": a.Key, "value": jsonAny(a.Value)})
	}
	return out
}

func jsonAny(v *common.AnyValue) map[string]any {
	switch x := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return map[string]any{"stringValue": x.StringValue}
	case *common.AnyValue_IntValue:
		return map[string]any{"intValue": fmt.Sprint(x.IntValue)}
	case *common.AnyValue_DoubleValue:
		return map[string]any{"doubleValue": x.DoubleValue}
	case *common.AnyValue_BoolValue:
		return map[string]any{"boolValue": x.BoolValue}
	case *common.AnyValue_BytesValue:
		return map[string]any{"bytesValue": x.BytesValue}
	case *common.AnyValue_ArrayValue:
		var list []any
		for _, e := range x.ArrayValue.Values {
			list = append(list, jsonAny(e))
		}
		return map[string]any{"arrayValue": map[string]any{"values": list}}
	case *common.AnyValue_KvlistValue:
		return map[string]any{"kvlistValue": map[string]any{"values": jsonAttrs(x.KvlistValue.Values)}}
	}
	return map[string]any{}
}

// A request beyond the bounds is not taken apart; one that is cut off is malformed.
func TestBounds(t *testing.T) {
	data := request(t, "s", span(1, "a", nil))
	for cut := 1; cut < len(data); cut++ {
		if items, err := Split(Traces, Protobuf, data[:cut]); err == nil && len(items) > 0 && len(items[0].raw) > cut {
			t.Fatalf("cut at %d", cut)
		}
	}
	message := func(number byte, content []byte) []byte { return protowire.AppendBytes([]byte{number<<3 | 2}, content) }
	many := message(1, message(2, bytes.Repeat([]byte{0x12, 0}, MaxItems+1))) // empty spans
	if _, err := Split(Traces, Protobuf, many); err != ErrTooMuch {
		t.Errorf("%v", err)
	}
	big := message(1, append(message(1, message(10, make([]byte, 1<<20))), message(2, bytes.Repeat([]byte{0x12, 0}, 300))...))
	if _, err := Split(Traces, Protobuf, big); err != ErrTooMuch {
		t.Errorf("a resource of 1 MiB repeated 300 times: %v", err)
	}
}
