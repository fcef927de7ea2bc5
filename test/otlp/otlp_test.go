// Package otlp_test sends what real instrumentations record, through the real exporter, to the real binary, and looks at what is in the
// bucket then.
package otlp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"indelible/internal/testserver"
	"indelible/internal/torture/driver"
)

// need skips unless the long tests are wanted.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("INDELIBLE_OTLP") == "" {
		t.Skip("needs 350 MB of Python packages and takes minutes: set INDELIBLE_OTLP=1, or run test/long")
	}
}

// TestPackages makes the environment of Python that the others share, where there is none with these packages: it takes minutes, and is
// a step of its own, so that it takes nothing of their time.
func TestPackages(t *testing.T) {
	need(t)
	if _, err := testserver.MakePython(t.Context(), "requirements.txt"); err != nil {
		t.Fatal(err)
	}
}

// newServe is the daemon, not started yet, with a checkpoint each second: a test waits for the proof of what it sent.
func newServe(t *testing.T, dir, binary string) *driver.Serve {
	t.Helper()
	config := filepath.Join(dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("proof: {checkpoint_every: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &driver.Serve{Binary: binary, Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"), Config: config, Args: []string{"--s3", "off"}}
}

const (
	chatAnswer  = `{"id":"chatcmpl-1","object":"chat.completion","created":1764000000,"model":"gpt-x-2026","choices":[{"index":0,"message":{"role":"assistant","content":"hé ANSWER"},"finish_reason":"stop"}],"usage":{"prompt_tokens":30,"completion_tokens":2,"total_tokens":32,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":1}}}`
	toolAnswer  = `{"id":"chatcmpl-2","object":"chat.completion","created":1764000000,"model":"gpt-x-2026","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"w","arguments":"{\"city\":\"Bern\"}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`
	reply       = `{"id":"resp_1","object":"response","created_at":1764000000,"model":"gpt-x-2026","status":"completed","output":[{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"output_text","text":"yes ANSWER","annotations":[]}]}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens_details":{"reasoning_tokens":1}}}`
	embeddings  = `{"object":"list","model":"e","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":1,"total_tokens":1}}`
	errorAnswer = `{"error":{"message":"no: é","type":"invalid_request_error","code":"bad"}}`
	chunk       = `data: {"id":"chatcmpl-s","object":"chat.completion.chunk","created":1,"model":"gpt-x-2026","choices":[`
)

var events = []string{
	chunk + `{"index":0,"delta":{"role":"assistant","content":"h"},"finish_reason":null}]}`, chunk + `{"index":0,"delta":{"content":"é ANSWER"},"finish_reason":"stop"}]}`,
	chunk + `],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`, `data: [DONE]`,
}

// provider answers as the model's name says.
func provider(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what came decides
	var q struct {
		Model    string
		Stream   bool
		Messages []struct{ Role string }
	}
	_ = json.Unmarshal(body, &q)
	answer, status := chatAnswer, 200
	switch {
	case q.Model == "error":
		answer, status = errorAnswer, 400
	case strings.HasSuffix(r.URL.Path, "/embeddings"):
		answer = embeddings
	case strings.HasSuffix(r.URL.Path, "/responses"):
		answer = reply
	case q.Stream:
		w.Header().Set("Content-Type", "text/event-stream")
		for i, e := range events {
			if q.Model == "cut" && i == 2 {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, e+"\n\n") // the client may have left
			w.(http.Flusher).Flush()
		}
		return
	case q.Model == "tools" && q.Messages[len(q.Messages)-1].Role != "tool":
		answer = toolAnswer
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// stored is a record in the bucket.
type stored struct {
	Kind       string
	CallID     string `json:"call_id"`
	ID         string
	Signal     string
	Name       string
	Convention string
	Base64     string `json:"otlp_base64"`
	Derived    struct {
		Model       string
		ServedModel string `json:"served_model"`
		Status      string
		Operation   string `json:"call_type"`
		Finish      string `json:"finish_reason"`
		ErrorClass  string `json:"error_class"`
		In          *int64 `json:"tokens_in"`
		Out         *int64 `json:"tokens_out"`
		Cached      *int64 `json:"tokens_cached"`
		Input       json.RawMessage
		Output      json.RawMessage
	}
}

// uuid is LiteLLM's own id, where the provider gave none.
var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f-]{27}$`)

// summary is a call in a line, for people and for comparing.
func (s *stored) summary() string {
	d := &s.Derived
	tokens := "no usage"
	if d.In != nil {
		tokens = fmt.Sprint(*d.In, " tokens in")
	}
	if d.Out != nil {
		tokens += fmt.Sprint(", ", *d.Out, " out")
	}
	if d.Cached != nil && *d.Cached > 0 {
		tokens += fmt.Sprint(", ", *d.Cached, " cached")
	}
	has := func(raw json.RawMessage, mark string) string {
		if bytes.Contains(raw, []byte(mark)) {
			return "yes"
		}
		return "no"
	}
	return fmt.Sprintf("%s: %s by %s, %s, %s, id %s, input %s, output %s", d.Model, d.Status, d.ServedModel, d.Finish, tokens, uuid.ReplaceAllString(s.ID, "a UUID"), has(d.Input, "MARK-"), has(d.Output, "ANSWER"))
}

// records are those below a directory store.
func records(t *testing.T, dir string) (list []stored) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "otlp"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var s stored
		if strings.HasSuffix(name, ".json") {
			err = json.Unmarshal(b, &s)
			list = append(list, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Real instrumentations, each in a process of its own, with the exporters that they come with: every call is one call in the bucket, with
// its usage once, everything else about it is linked to it, and no key of the provider is anywhere.
func TestInstrumentations(t *testing.T) {
	need(t)
	python, err := testserver.MakePython(t.Context(), "requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(provider))
	t.Cleanup(upstream.Close) // the parts run after this function has returned
	binary := driver.Build(t)
	for _, kind := range []string{"openinference", "openllmetry", "genai", "logfire", "pydantic", "litellm"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // half of the time each waits, for Python's imports and for checkpoints
			dir := t.TempDir()
			s := newServe(t, dir, binary)
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			defer s.Kill()
			cmd := exec.CommandContext(t.Context(), python, "send.py", kind, upstream.URL, "http://"+s.At.HTTP)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if err := s.Proven(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			store := filepath.Join(s.Data, "store")
			if out, err := exec.CommandContext(t.Context(), binary, "verify", store, "--vkey", filepath.Join(s.Data, "log.vkey")).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			list := records(t, store)
			got := map[string]int{}
			calls := map[string]bool{}
			for _, r := range list {
				t.Logf("%s (%s, %s): %s", r.Kind, r.Convention, r.Name, r.summary())
				if r.Kind == "call" && !(kind == "logfire" && r.Derived.Model == "left") { // Logfire writes that one or not, as the collector of garbage runs
					got[r.summary()]++
					calls[r.CallID] = true
				}
			}
			for _, r := range list {
				if r.Kind == "part" && !calls[r.CallID] && r.Derived.Model != "left" {
					t.Errorf("%s is linked to %s, which is no call", r.Name, r.CallID)
				}
			}
			want := expected[kind]
			for line, n := range want {
				if got[line] != n {
					t.Errorf("%d of: %s", got[line], line)
				}
			}
			for line, n := range got {
				if want[line] == 0 {
					t.Errorf("not expected: %d of: %s", n, line)
				}
			}
			noKey(t, dir)
		})
	}
}

// noKey looks for the provider's key, byte by byte, and within what records hold as base64.
func noKey(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte("sk-MARKED")) {
			t.Errorf("the provider's key is in %s", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records(t, filepath.Join(dir, "data", "store")) {
		kept, err := base64.StdEncoding.DecodeString(r.Base64)
		if err != nil || bytes.Contains(kept, []byte("sk-MARKED")) {
			t.Errorf("the provider's key is in %s: %v", r.CallID, err)
		}
	}
}
