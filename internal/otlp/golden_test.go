package otlp

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// golden is a request and the records that it becomes.
type golden struct {
	Name     string
	Signal   Signal
	Encoding Encoding
	Request  []byte
	Records  []string
}

const goldenFile = "testdata/golden.jsonl"

// TestGolden says that requests become the same records as ever, byte for byte: the key of a record that is sent again must not meet
// other bytes after an upgrade. INDELIBLE_GOLDEN=write makes the file again, for a change that is meant.
func TestGolden(t *testing.T) {
	if os.Getenv("INDELIBLE_GOLDEN") == "write" {
		writeGolden(t)
	}
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var g golden
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, g.Signal, g.Encoding, g.Request)
		if len(got) != len(g.Records) {
			t.Fatalf("%s: %d records, want %d", g.Name, len(got), len(g.Records))
		}
		for i, r := range got {
			if body := string(r.AppendBody(nil)); body != g.Records[i] {
				t.Errorf("%s, %d: %s\nwant %s", g.Name, i, body, g.Records[i])
			}
		}
	}
}

func writeGolden(t *testing.T) {
	var out bytes.Buffer
	add := func(name string, signal Signal, encoding Encoding, data []byte) {
		g := golden{Name: name, Signal: signal, Encoding: encoding, Request: data}
		for _, r := range readAll(t, signal, encoding, data) {
			g.Records = append(g.Records, string(r.AppendBody(nil)))
		}
		line, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	for _, c := range conventions() {
		s := span(1, c.span, c.attrs)
		s.ParentSpanId = bytes.Repeat([]byte{9}, 8)
		data := request(t, c.scope, s, span(2, "http", map[string]any{"http.request.method": "POST"}))
		add(c.name, Traces, Protobuf, data)
		add(c.name, Traces, JSON, asJSON(t, data))
	}
	const secret = "sk-0123456789abcdefghij"
	failed := span(3, "chat", map[string]any{
		"gen_ai.request.model": "m\x00\u2028INVALID\"", "http.request.header.authorization": []any{"Bearer " + secret, []byte(secret)}, "x": map[string]any{"api_key": secret, "y": []any{nil, 1, 0.5, true}},
		"metadata.user_api_key_hash": "0123456789abcdef01", "url.full": "https://x/v1?alt=sse&key=" + secret, "empty": nil, "gen_ai.prompt.10.content": "late", "gen_ai.prompt.9.role": "user", "gen_ai.prompt.x": "no",
	})
	failed.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "401: 'api_key': '" + secret + "'"}
	failed.Events = []*trace.Span_Event{{Name: "exception", Attributes: attrsOf(map[string]any{"exception.type": "E", "exception.message": "cookie=" + secret})}}
	data := request(t, "x", failed)
	add("credentials", Traces, Protobuf, bytes.Replace(data, []byte("INVALID"), []byte("INV\xffLID"), 1)) // which no encoder of ours would write
	add("credentials", Traces, JSON, asJSON(t, data))
	data, err := proto.Marshal(&logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
		{TimeUnixNano: startTime, Flags: 1, TraceId: bytes.Repeat([]byte{1}, 16), SpanId: bytes.Repeat([]byte{2}, 8), EventName: "gen_ai.choice", Body: anyOf(map[string]any{"token": secret})},
		{ObservedTimeUnixNano: startTime, EventName: "gen_ai.client.inference.operation.details", Attributes: attrsOf(map[string]any{"gen_ai.input.messages": []any{map[string]any{"role": "user"}}, "gen_ai.usage.input_tokens": "3"})},
	}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	add("events", Logs, Protobuf, data)
	add("cut off", Traces, Protobuf, []byte("\x0a\x09\x12\x07\x12\x05\x0a\x7f\x01\x02\x03"))
	if err := os.WriteFile(goldenFile, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
