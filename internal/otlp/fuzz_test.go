package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// FuzzProtobuf compares with the official decoder: what that takes has the same items here, and what is kept of each is a
// request that holds it and nothing else.
func FuzzProtobuf(f *testing.F) {
	f.Add(request(f, "s", span(1, "chat", map[string]any{"gen_ai.request.model": "m", "x": []any{nil, map[string]any{"a": []byte{0}}}, "authorization": "secret-0123456789"})), false)
	f.Add(request(f, "litellm", span(1, rawRequest, map[string]any{"llm.openai.messages": "[{'a': \"\\x00\"}]", "gen_ai.prompt.0.role": "u"})), false)
	f.Add([]byte{0x0a, 2, 0x12, 0}, true)
	f.Add([]byte("\x0a\x10\x12\x0e\x12\x0c\x4a\x0a\x0a\x01a\x12\x03\x0a\x01b\x12\x00"), false) // a value twice: they are merged
	f.Fuzz(func(t *testing.T, data []byte, isLogs bool) {
		signal := Traces
		if isLogs {
			signal = Logs
		}
		items, err := Split(signal, Protobuf, data)
		want, counts := countProtobuf(data, isLogs)
		if counts && (err != nil || len(items) != want) {
			t.Fatalf("%d items and %v, the official decoder has %d", len(items), err, want)
		}
		if counts && !isLogs {
			compareSpans(t, data, items)
		}
		for i := range items {
			r := read(&items[i])
			b := fuzzedBody(t, r)
			kept, err := base64.StdEncoding.DecodeString(b.Base64)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Split(signal, Protobuf, kept)
			if err != nil || len(again) != 1 || len(b.Masked) == 0 && !bytes.Equal(again[0].raw, items[i].raw) || len(again[0].raw) != len(items[i].raw) {
				t.Fatalf("kept %x of %x: %v", kept, items[i].raw, err)
			}
		}
	})
}

// countProtobuf is how many items the official decoder finds; counts is false where it finds fault.
func countProtobuf(data []byte, isLogs bool) (n int, counts bool) {
	if isLogs {
		var d logs.LogsData
		if proto.Unmarshal(data, &d) != nil {
			return 0, false
		}
		for _, g := range d.ResourceLogs {
			for _, s := range g.ScopeLogs {
				n += len(s.LogRecords)
			}
		}
		return n, true
	}
	var d trace.TracesData
	if proto.Unmarshal(data, &d) != nil {
		return 0, false
	}
	for _, g := range d.ResourceSpans {
		for _, s := range g.ScopeSpans {
			n += len(s.Spans)
		}
	}
	return n, true
}

// compareSpans says that what is read of spans is what the official decoder reads.
func compareSpans(t *testing.T, data []byte, items []Item) {
	var d trace.TracesData
	if err := proto.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	id := func(b []byte) string { return string(appendID(nil, b)) }
	for _, g := range d.ResourceSpans {
		for _, sc := range g.ScopeSpans {
			for _, want := range sc.Spans {
				got := &read(&items[0]).content
				items = items[1:]
				if got.traceID != id(want.TraceId) || got.spanID != id(want.SpanId) || got.parentID != id(want.ParentSpanId) || got.name != want.Name || got.start != want.StartTimeUnixNano || got.end != want.EndTimeUnixNano || len(got.attrs.list) != min(len(want.Attributes), maxAttributes) {
					t.Fatalf("%+v, want %v", got, want)
				}
				for i, a := range got.attrs.list {
					compareValue(t, a.key, a.value, want.Attributes[i].Key, want.Attributes[i].Value)
				}
			}
		}
	}
}

func compareValue(t *testing.T, key string, got value, wantKey string, want *common.AnyValue) {
	same := key == wantKey
	switch v := want.GetValue().(type) {
	case nil:
		same = same && got.kind == kindNone
	case *common.AnyValue_StringValue:
		same = same && got.kind == kindText && got.text == v.StringValue
	case *common.AnyValue_BoolValue:
		same = same && got.kind == kindBool && (got.num != 0) == v.BoolValue
	case *common.AnyValue_IntValue:
		same = same && got.kind == kindInt && got.int == v.IntValue
	case *common.AnyValue_DoubleValue:
		same = same && got.kind == kindNumber && (got.num == v.DoubleValue || math.IsNaN(got.num) && math.IsNaN(v.DoubleValue))
	case *common.AnyValue_BytesValue:
		same = same && got.kind == kindBytes && bytes.Equal(got.raw, v.BytesValue)
	case *common.AnyValue_ArrayValue, *common.AnyValue_KvlistValue:
		same = same && got.kind == kindProtobuf
	default:
		return // of a later version of OTLP
	}
	if !same {
		t.Fatalf("%q is %+v, want %q %v", key, got, wantKey, want)
	}
}

// FuzzJSON says that whatever is taken apart is kept as it came, in a request of its own.
func FuzzJSON(f *testing.F) {
	f.Add(asJSON(f, request(f, "s", span(1, "chat", map[string]any{"gen_ai.request.model": "m\n\"", "x": []any{nil, map[string]any{"a": []byte{0}}}, "api_key": "secret-0123456789"}))), false)
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{}}}]}},"eventName":"gen_ai.choice","flags":1,"spanId":"01"}]}]}]}`), true)
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":1e18,"attributes":[{"key":"gen_ai.system","value":{"doubleValue":"NaN"}}]}]}]}]}`), false)
	f.Fuzz(func(t *testing.T, data []byte, isLogs bool) {
		signal := Traces
		if isLogs {
			signal = Logs
		}
		items, err := Split(signal, JSON, data)
		if err != nil {
			return
		}
		for i := range items {
			b := fuzzedBody(t, read(&items[i]))
			again, err := Split(signal, JSON, b.OTLP)
			if err != nil || len(again) != 1 || len(b.Masked) == 0 && !bytes.Equal(again[0].raw, items[i].raw) {
				t.Fatalf("kept %q of %q: %v", b.OTLP, items[i].raw, err)
			}
		}
	})
}

func fuzzedBody(t *testing.T, r *Record) (b body) {
	t.Helper()
	text := r.AppendBody(nil)
	if !json.Valid(text) {
		t.Fatalf("no JSON: %q", text)
	}
	var members struct {
		OTLP   json.RawMessage
		Base64 string `json:"otlp_base64"`
		Masked []string
	}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return body{OTLP: members.OTLP, Base64: members.Base64, Masked: members.Masked}
}

// FuzzPython says that what reads as a repr is JSON, and that JSON's own texts read as themselves.
func FuzzPython(f *testing.F) {
	f.Add(`[{'a': None, "b": (1, True), 'c': "it's \u00e9 \x41"}]`)
	f.Add(`(1,)`)
	f.Fuzz(func(t *testing.T, s string) {
		if b, ok := pythonJSON(s); ok && !json.Valid(b) {
			t.Fatalf("%q became %q", s, b)
		}
	})
}
