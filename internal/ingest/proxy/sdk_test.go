package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/gjson"

	"indelible/internal/capture"
	"indelible/internal/ingest/proxy"
	"indelible/internal/spool"
	"indelible/internal/testserver"
)

// mock is a provider of all three APIs. What it answers is told by the model's name.
type mock struct {
	*httptest.Server
	mu    sync.Mutex
	tries map[string]int // of "retry", by path; guarded by mu
	calls []mockCall     // guarded by mu
}

// mockCall is what it was asked and what it answered.
type mockCall struct{ request, body, answer string }

func newMock(t *testing.T) *mock {
	m := &mock{tries: map[string]int{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

const (
	chatAnswer  = `{"id":"chatcmpl-1","object":"chat.completion","created":1764000000,"model":"gpt-x-2026","choices":[{"index":0,"message":{"role":"assistant","content":"hé"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	toolAnswer  = `{"id":"chatcmpl-2","object":"chat.completion","created":1764000000,"model":"gpt-x-2026","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"w","arguments":"{\"city\":\"Bern\"}"}}]},"finish_reason":"tool_calls"}]}`
	reply       = `{"id":"resp_1","object":"response","created_at":1764000000,"model":"gpt-x-2026","status":"completed","output":[{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"output_text","text":"yes","annotations":[]}]}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens_details":{"reasoning_tokens":1}}}`
	claudeWhole = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":4,"output_tokens":1}}`
	claudeTool  = `{"id":"msg_2","type":"message","role":"assistant","model":"claude-x","content":[{"type":"tool_use","id":"toolu_1","name":"w","input":{"city":"Bern"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":4,"output_tokens":1}}`
	geminiWhole = `{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1,"totalTokenCount":3},"modelVersion":"gemini-x-001","responseId":"r1"}`
	geminiTool  = `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"w","args":{"city":"Bern"}}}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1,"totalTokenCount":3},"modelVersion":"gemini-x-001","responseId":"r2"}`
)

// streams are the events of each API; the last one's end is the stream's.
var streams = map[string][]string{
	"chat": {`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-x-2026","choices":[{"index":0,"delta":{"role":"assistant","content":"h"},"finish_reason":null}]}`,
		`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-x-2026","choices":[{"index":0,"delta":{"content":"é"},"finish_reason":"stop"}]}`,
		`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-x-2026","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`, `data: [DONE]`},
	"responses": {"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":" + strings.Replace(reply, "completed", "in_progress", 1) + "}",
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"yes\",\"logprobs\":[]}",
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":" + reply + "}"},
	"messages": {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}}",
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}", "event: ping\ndata: {\"type\":\"ping\"}",
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}", "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}",
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}", "event: message_stop\ndata: {\"type\":\"message_stop\"}"},
	"generate_content": {"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"h\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"gemini-x-001\",\"responseId\":\"r1\"}", "data: " + geminiWhole},
}

// ServeHTTP answers one call.
func (m *mock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what came is noted
	h := r.Header.Clone()
	h.Del("Connection")
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name+": "+strings.Join(h[name], "|"))
	}
	slices.Sort(names)
	call := mockCall{request: r.Method + " " + r.URL.RequestURI() + "\n" + strings.Join(names, "\n"), body: string(body)}
	defer func() {
		m.mu.Lock()
		m.calls = append(m.calls, call)
		m.mu.Unlock()
	}()
	status, answer := 200, `{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"x"}]}`
	model, api := gjson.GetBytes(body, "model").Str, ""
	for path, known := range map[string][4]string{
		"/v1/chat/completions": {"chat", chatAnswer, toolAnswer}, "/v1/responses": {"responses", reply}, "/v1/messages": {"messages", claudeWhole, claudeTool},
		"/v1/embeddings": {"", `{"object":"list","model":"e","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":1,"total_tokens":1}}`},
		"/v1/files":      {"", `{"id":"file-1","object":"file","bytes":1280000,"created_at":1,"filename":"a.bin","purpose":"user_data","status":"processed"}`},
	} {
		if r.URL.Path == path {
			api, answer = known[0], known[1]
			if model == "tools" {
				answer = known[2]
			}
		}
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/v1/models/"); ok {
		model, _, _ = strings.Cut(rest, ":")
		api, answer = "generate_content", geminiWhole
		if model == "tools" {
			answer = geminiTool
		}
	}
	switch model {
	case "error":
		status, answer = 400, `{"error":{"message":"no: é","type":"invalid_request_error","code":400,"status":"INVALID_ARGUMENT"}}`
	case "retry":
		m.mu.Lock()
		m.tries[r.URL.Path]++
		if m.tries[r.URL.Path]%3 != 0 {
			status, answer = 503, `{"error":{"message":"busy","type":"overloaded_error"}}`
		}
		m.mu.Unlock()
	case "stream", "cut", "left":
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		end := "\n\n"
		if api == "generate_content" {
			end = "\r\n\r\n"
		}
		for i, e := range streams[api] {
			if model == "cut" && i == len(streams[api])-1 {
				panic(http.ErrAbortHandler)
			}
			call.answer += e + end
			_, _ = io.WriteString(w, e+end)
			w.(http.Flusher).Flush()
			if model == "left" {
				<-r.Context().Done()
				return
			}
		}
		return
	}
	call.answer = answer
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After-Ms", "1")
	w.Header().Set("X-Request-Id", "req")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// Unmodified SDKs, given nothing but a base URL, get through the proxy what they get without it: the provider
// is asked the same, byte for byte, and the records hold what it was asked and what it answered.
func TestSDKs(t *testing.T) {
	python := testserver.Python(t, "testdata/requirements.txt")
	driveSDKs(t, func(base string) *exec.Cmd {
		return exec.CommandContext(t.Context(), python, "testdata/sdk.py", base)
	})
}

// TestNodeSDKs is the same with the SDKs of npm.
func TestNodeSDKs(t *testing.T) {
	if os.Getenv("INDELIBLE_NPM") == "" {
		t.Skip("installs packages of npm: set INDELIBLE_NPM=1, or run test/steps node_sdks")
	}
	dir := testserver.Npm(t, "testdata/npm")
	driveSDKs(t, func(base string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "node", filepath.Join(dir, "sdk.mjs"), base)
	})
}

// driveSDKs runs a program that calls the SDKs, without the proxy and through it.
func driveSDKs(t *testing.T, program func(base string) *exec.Cmd) {
	m := newMock(t)
	run := func(base string) (out string, calls []mockCall) {
		t.Helper()
		m.mu.Lock()
		m.calls = nil
		m.mu.Unlock()
		cmd := program(base)
		cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "PYTHONWARNINGS=ignore")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s%s", err, b, &errs)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		return string(b), m.calls
	}
	direct, asked := run(m.URL)
	b := newBench(t, "http://unused", func(o *proxy.Options, _ *spool.Spool) {
		o.Upstreams = []proxy.Upstream{{Name: "openai", URL: m.URL, Provider: "openai"}, {Name: "anthropic", URL: m.URL, Provider: "anthropic"}, {Name: "gemini", URL: m.URL, Provider: "gemini"}}
	})
	base := strings.TrimSuffix(b.url, "/up")
	through, asked2 := run(base + "/NAME")
	dl, tl := strings.Split(direct, "\n"), strings.Split(through, "\n")
	for i := range dl {
		if i >= len(tl) || dl[i] != tl[i] {
			t.Errorf("\n  direct %.500s\n through %.500s", dl[i], append(tl, make([]string, len(dl))...)[i])
		}
	}
	if len(dl) < 24 || len(asked) != len(asked2) || len(asked) < 28 {
		t.Fatalf("%d results; %d requests without the proxy, %d with it", len(dl), len(asked), len(asked2))
	}
	for i := range asked {
		if boundary := strings.Index(asked[i].body, "\r\n"); strings.HasPrefix(asked[i].body, "--") { // multipart: each has its own
			asked2[i].body = strings.ReplaceAll(asked2[i].body, asked2[i].body[2:boundary], asked[i].body[2:boundary])
			asked[i].request, asked2[i].request = "", ""
		}
		if asked[i] != asked2[i] {
			t.Errorf("the provider was asked\n %.1000q, with the proxy\n %.1000q", asked[i], asked2[i])
		}
	}
	b.compare(asked2)
}

// compare compares the records with what a provider was asked and answered, in order.
func (b *bench) compare(calls []mockCall) {
	b.t.Helper()
	e := b.wait(len(calls))
	if len(e.order) != len(calls) {
		b.t.Fatalf("%d exchanges are recorded of %d", len(e.order), len(calls))
	}
	tokens, kinds := 0, map[string]int{}
	for i, id := range e.order {
		open, last, d := e.open[id], e.last[id], e.derived[id]
		path := strings.Fields(calls[i].request + " files x")[1]
		if open == nil || len(calls[i].request) > 0 && (string(open.Request.Body.Bytes) != calls[i].body || !strings.HasSuffix(last.URL, path)) {
			b.t.Errorf("%d: the open record holds %.300q, the provider was asked %.300q", i, open.Request.Body.Bytes, calls[i].body)
		}
		if string(last.Response.Body.Bytes) != calls[i].answer || last.Response.Body.Digest != sha256.Sum256([]byte(calls[i].answer)) {
			b.t.Errorf("%d: the close record holds %.300q, the provider answered %.300q", i, last.Response.Body.Bytes, calls[i].answer)
		}
		want := capture.Complete
		switch d.RequestedModel {
		case "cut":
			want = capture.UpstreamAbort
		case "left":
			want = capture.ClientAbort
		}
		kinds[d.Operation+" "+d.RequestedModel]++
		if last.Transport != want || (d.Status == "failure") != (want != capture.Complete || last.Status >= 400) || d.RequestedModel == "tools" && (len(d.ToolCalls) != 1 || !strings.Contains(d.ToolCalls[0].Arguments, "Bern")) {
			b.t.Errorf("%d: %s %d is recorded as %s %s", i, d.RequestedModel, last.Status, last.Transport, d.Status)
		}
		if d.RequestedModel == "plain" && d.Tokens == nil || d.RequestedModel == "stream" && (d.Tokens == nil || !d.Stream || d.FinishReason == "" || d.Text == "") {
			b.t.Errorf("%d: %s %s: %+v", i, d.Operation, d.RequestedModel, d)
		}
		if d.Tokens != nil {
			tokens++
		}
		if last.Credential == nil || d.KeyHash != e.derived[e.order[0]].KeyHash {
			b.t.Errorf("%d: credential %+v", i, last.Credential)
		}
		if d.RequestedModel == "retry" && last.Retry != "" && last.Retry != "0" && e.last[last.RetryOf] == nil {
			b.t.Errorf("%d: attempt %s is not linked", i, last.Retry)
		}
	}
	if tokens < 10 {
		b.t.Errorf("%d exchanges with usage", tokens)
	}
	for _, api := range []string{"chat", "messages", "generate_content"} { // each SDK went each way
		for model, n := range map[string]int{"plain": 2, "stream": 1, "tools": 1, "error": 1, "retry": 3, "cut": 1, "left": 1} {
			if kinds[api+" "+model] < n {
				b.t.Errorf("%d of %s %s, want %d: %v", kinds[api+" "+model], api, model, n, kinds)
			}
		}
	}
}
