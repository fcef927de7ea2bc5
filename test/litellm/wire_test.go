package litellm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/crosscheck"
	"indelible/internal/testserver"
)

// provider answers as its model's name says.
func provider(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a cut request is a wrong one
	var asked struct {
		Model  string
		Stream bool
	}
	_ = json.Unmarshal(body, &asked) // likewise
	w.Header().Set("Content-Type", "application/json")
	if status := map[string]int{"p404": 404, "p429": 429, "p500": 500}[asked.Model]; status != 0 {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"type":"error","error":{"type":"api_error","message":"refused"}}`)
		return
	}
	served, id := asked.Model, "chatcmpl-"+asked.Model
	if asked.Model == "gpt-x" {
		served = "gpt-x-2026-11-01"
	}
	if !asked.Stream {
		fmt.Fprintf(w, `{"id":%q,"object":"chat.completion","created":1764000000,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`, id, served)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	chunk := func(delta, reason, rest string) {
		fmt.Fprintf(w, "data: {\"id\":%q,\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":%q,\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":%s}]%s}\n\n", id, served, delta, reason, rest)
		_ = http.NewResponseController(w).Flush() // the client has left, which the next write tells
	}
	chunk(`"role":"assistant","content":"so "`, "null", "")
	chunk(`"content":"far "`, "null", "")
	switch asked.Model {
	case "cut":
		panic(http.ErrAbortHandler)
	case "left", "unread":
		select { // it goes on until nobody listens
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
		return
	}
	chunk("", `"stop"`, `,"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}`)
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// TestWireSeesMore is the table of what LiteLLM 1.110.2's own records say of calls whose truth the wire
// has, as reconcile --against proxy tells it: LiteLLM writes by s3_v2 to our S3 door, and calls its provider through our proxy.
func TestWireSeesMore(t *testing.T) {
	if os.Getenv("INDELIBLE_WIRE") == "" {
		t.Skip("needs LiteLLM 1.110.2: set INDELIBLE_WIRE=1, or run test/steps wire")
	}
	python := testserver.Python(t, "testdata/pins-1.110.2.txt")
	up := httptest.NewServer(http.HandlerFunc(provider))
	t.Cleanup(up.Close)
	h := newWireHouse(t, up.URL)
	base := "http://" + h.wire + "/mock"
	p := newProxyOf(t, python, fmt.Sprintf(`router_settings: {num_retries: 0, disable_cooldowns: true}
litellm_settings:
  num_retries: 0
  callbacks: ["s3_v2"]
  s3_callback_params: {s3_bucket_name: default, s3_region_name: us-east-1, s3_endpoint_url: "http://%s", s3_aws_access_key_id: any, s3_aws_secret_access_key: any, s3_max_retry_age_seconds: 0, s3_drop_on_terminal_error: false}
model_list:
  - {model_name: good, litellm_params: {model: openai/good, api_base: %q, api_key: x}}
  - {model_name: our-model, litellm_params: {model: openai/gpt-x, api_base: %q, api_key: x}}
  - {model_name: left, litellm_params: {model: openai/left, api_base: %q, api_key: x}}
  - {model_name: cut, litellm_params: {model: openai/cut, api_base: %q, api_key: x}}
`, h.doorS3, base+"/v1", base+"/v1", base+"/v1", base+"/v1"), "DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1", "ANTHROPIC_API_BASE="+base, "ANTHROPIC_API_KEY=x")
	for _, c := range []struct{ model, body string }{
		{"good", `{"model":"good","messages":[{"role":"user","content":"a good one"}]}`},
		{"our-model", `{"model":"our-model","messages":[{"role":"user","content":"by its alias"}]}`},
		{"left", `{"model":"left","stream":true,"messages":[{"role":"user","content":"whose client leaves"}]}`},
		{"cut", `{"model":"cut","stream":true,"messages":[{"role":"user","content":"that the upstream cuts"}]}`},
		{"p404", `{"model":"p404","max_tokens":9,"messages":[{"role":"user","content":"refused 404"}]}`},
		{"p429", `{"model":"p429","max_tokens":9,"messages":[{"role":"user","content":"refused 429"}]}`},
		{"p500", `{"model":"p500","max_tokens":9,"messages":[{"role":"user","content":"refused 500"}]}`},
	} {
		path := "/v1/chat/completions"
		if strings.HasPrefix(c.model, "p") {
			path = "/anthropic/v1/messages"
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Minute)
		r, err := http.NewRequestWithContext(ctx, "POST", p.url+path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+masterKey)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", c.model, err)
		}
		if c.model == "left" {
			_, _ = resp.Body.Read(make([]byte, 64)) // a first piece
			leave()
		}
		b, _ := io.ReadAll(resp.Body) // some are cut
		t.Logf("%s: %d %.120q", c.model, resp.StatusCode, b)
		_ = resp.Body.Close()
		leave()
	}
	sdk := exec.CommandContext(t.Context(), python, "testdata/unread.py", base+"/v1", "http://"+h.doorS3)
	sdk.Env = append(os.Environ(), "DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1", "LITELLM_LOCAL_MODEL_COST_MAP=True", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
	if out, err := sdk.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// What LiteLLM has a record of is there after its flush; what it has none of does not come later either.
	var r crosscheck.Result
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		if r = h.crossCheck(t); r.LiteLLM >= 5 || time.Now().After(deadline) {
			break
		}
	}
	time.Sleep(3 * time.Second)
	r = h.crossCheck(t)
	said, _ := json.MarshalIndent(r, "", " ")
	t.Logf("%s", said)
	found := map[string]string{}
	for _, m := range r.Missing {
		found[m.Model] = fmt.Sprintf("no record: %d %s", m.HTTP, m.Ended)
	}
	for _, d := range r.Differ {
		var parts []string
		for _, f := range d.Fields {
			parts = append(parts, f.String())
		}
		found[d.Model] = strings.Join(parts, "; ")
	}
	for model, want := range map[string]string{
		"good": "", "read": "", "gpt-x": "served_model: wire gpt-x-2026-11-01, LiteLLM our-model",
		"left": "status: wire failure (client_abort), LiteLLM success; finish_reason: wire none, LiteLLM stop; ", "unread": "no record: 200 client_abort",
		"cut": "text: wire 7 bytes, LiteLLM none", "p404": "no record: 404 complete", "p429": "no record: 429 complete", "p500": "no record: 500 complete",
	} {
		if got := found[model]; got != want && !(strings.HasSuffix(want, "; ") && strings.HasPrefix(got, want) && strings.Contains(got, "tokens_out: wire none, LiteLLM ")) {
			t.Errorf("%s: %q, expected %q", model, got, want)
		}
	}
	if r.Wire != 9 || r.Matched != 5 {
		t.Errorf("%d calls on the wire, of %d LiteLLM has a record", r.Wire, r.Matched)
	}
}

// newWireHouse is an Indelible with the proxy in front of a provider, and a directory for a bucket.
func newWireHouse(t *testing.T, upstream string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), door: freeAddr(t), doorS3: freeAddr(t), side: freeAddr(t), wire: freeAddr(t)}
	config := fmt.Sprintf("doors:\n  proxy:\n    upstreams:\n      mock: %q\n", upstream)
	if err := os.WriteFile(filepath.Join(h.dir, "indelible.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h.build()
	h.start()
	return h
}

// crossCheck is what reconcile --against proxy says.
func (h *house) crossCheck(t *testing.T) (r crosscheck.Result) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.binary, "reconcile", "--against", "proxy", "--json")
	cmd.Env, cmd.Dir = append(os.Environ(), h.env()...), h.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output() // 1: they disagree
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s%s", err, out, &errs)
	}
	return r
}
