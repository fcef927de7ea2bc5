// Package litellm_test runs the real LiteLLM with our callback in front of the
// real binary, ends the one or the other with -9, and counts: a call that was
// answered has exactly one record in the bucket.
package litellm_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	callback "indelible/integrations/litellm"
	"indelible/internal/testserver"
)

// masterKey is what LiteLLM demands of a key; it protects nothing.
const masterKey = "sk-0123456789abcdef0123456789abcdef0123456789abcdef"

// needLiteLLM skips unless the long tests are wanted, and returns the interpreter that has LiteLLM's proxy.
func needLiteLLM(t *testing.T) (python string) {
	t.Helper()
	if os.Getenv("INDELIBLE_E2E") == "" {
		t.Skip("takes minutes: set INDELIBLE_E2E=1, or run test/all")
	}
	return testserver.Python(t, "testdata/requirements-proxy.txt")
}

// process is a peer at work, with its output in a file.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

func start(t *testing.T, log string, env []string, dir, name string, args ...string) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	p := &process{t: t, cmd: exec.Command(name, args...), log: log, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = append(os.Environ(), env...), dir, out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// end signals the process and waits until it is gone.
func (p *process) end(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.t.Fatalf("%s does not end\n%s", p.cmd.Path, p.tail())
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// ready waits until url answers 200.
func (p *process) ready(url string) {
	p.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if p.ended() || time.Now().After(deadline) {
			p.t.Fatalf("%s is not ready: %v\n%s", p.cmd.Path, err, p.tail())
		}
	}
}

// house is one Indelible in front of one S3 server.
type house struct {
	t                  *testing.T
	binary, dir        string
	s3                 *testserver.Server
	endpoint           string // of the destination
	door, doorS3, side string
	wire               string // the recording proxy's; "": off
	*process
}

func newHouse(t *testing.T, endpoint string, s3 *testserver.Server) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), s3: s3, endpoint: endpoint, door: freeAddr(t), doorS3: freeAddr(t), side: freeAddr(t)}
	h.build()
	h.start()
	return h
}

func (h *house) build() {
	h.t.Helper()
	h.binary = filepath.Join(h.dir, "indelible")
	cmd := exec.CommandContext(h.t.Context(), "go", "build", "-o", h.binary, "indelible/cmd/indelible")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("build: %v\n%s", err, out)
	}
}

func (h *house) env() []string {
	if h.s3 == nil { // the bucket is a directory
		return []string{"INDELIBLE_DATA=" + filepath.Join(h.dir, "data")}
	}
	return []string{"INDELIBLE_DATA=" + filepath.Join(h.dir, "data"), "INDELIBLE_TO=s3://" + h.s3.Bucket + "/{bucket}", "AWS_ENDPOINT_URL_S3=" + h.endpoint,
		"AWS_REGION=" + h.s3.Region, "AWS_ACCESS_KEY_ID=" + h.s3.Access, "AWS_SECRET_ACCESS_KEY=" + h.s3.Secret}
}

func (h *house) start() {
	h.t.Helper()
	h.process = start(h.t, filepath.Join(h.dir, "indelible.log"), h.env(), h.dir, h.binary, "serve",
		"--http", h.door, "--s3", h.doorS3, "--admin", h.side, "--proxy", cmp.Or(h.wire, "off"), "--log-format", "json")
	h.ready("http://" + h.side + "/readyz")
}

// delivered waits until nothing is pending.
func (h *house) delivered() {
	h.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		cmd := exec.CommandContext(h.t.Context(), h.binary, "status", "--json")
		cmd.Env, cmd.Dir = append(os.Environ(), h.env()...), h.dir
		out, err := cmd.Output()
		var status struct{ Acked, Pending int }
		if err == nil {
			err = json.Unmarshal(out, &status)
		}
		if err == nil && status.Pending == 0 && status.Acked > 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("still pending: %s, %v\n%s", out, err, h.tail())
		}
	}
}

// proxy is a LiteLLM proxy with models that it answers for itself.
type proxy struct {
	t      *testing.T
	python string
	dir    string
	url    string
	env    []string
	*process
}

// newProxy starts LiteLLM with the given callbacks and s3_callback_params.
func newProxy(t *testing.T, python, settings string, env ...string) *proxy {
	t.Helper()
	return newProxyOf(t, python, `model_list:
  - {model_name: good, litellm_params: {model: openai/fake, api_key: x, mock_response: "an answer of some words, made by LiteLLM itself"}}
  - {model_name: bad, litellm_params: {model: openai/fake, api_key: x, mock_response: litellm.RateLimitError}}
  - {model_name: vectors, litellm_params: {model: openai/text-embedding-3-small, api_key: x, mock_response: [0.25, 0.5]}}
router_settings: {num_retries: 0, disable_cooldowns: true}
litellm_settings:
`+settings, env...)
}

// newProxyOf starts LiteLLM with a whole configuration.
func newProxyOf(t *testing.T, python, config string, env ...string) *proxy {
	t.Helper()
	p := &proxy{t: t, python: python, dir: t.TempDir(), url: "http://" + freeAddr(t), env: append(env,
		"LITELLM_LOCAL_MODEL_COST_MAP=True", "AWS_EC2_METADATA_DISABLED=true", "LITELLM_MASTER_KEY="+masterKey, "NO_PROXY=127.0.0.1")}
	for name, body := range map[string][]byte{"config.yaml": []byte(config), callback.CallbackName: callback.Callback} {
		if err := os.WriteFile(filepath.Join(p.dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.start()
	return p
}

func (p *proxy) start() {
	p.t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(p.url, "http://"), ":")
	p.process = start(p.t, filepath.Join(p.t.ArtifactDir(), filepath.Base(p.dir)+"-litellm.log"), p.env, p.dir,
		filepath.Join(filepath.Dir(p.python), "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", port)
	p.ready(p.url + "/health/liveliness")
}

// ours are the settings of a proxy with our callback.
const ours = `  callbacks: ["indelible_callback.indelible"]
`

// plain are the settings of a proxy that writes to S3 itself.
func plain(endpoint string, s3 *testserver.Server) string {
	return fmt.Sprintf(`  callbacks: ["s3_v2"]
  s3_callback_params: {s3_bucket_name: %s, s3_region_name: us-east-1, s3_endpoint_url: %q, s3_aws_access_key_id: %s, s3_aws_secret_access_key: %s}
`, s3.Bucket, endpoint, s3.Access, s3.Secret)
}

// records counts the records in the bucket by the call they are of.
func records(t *testing.T, s3 *testserver.Server) map[string]int {
	t.Helper()
	got := map[string]int{}
	root := filepath.Join(s3.Root, s3.Bucket)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "_indelible") {
				return fs.SkipDir
			}
			return nil
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var record struct {
			Call string `json:"litellm_call_id"`
		}
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&record); err != nil || record.Call == "" {
			t.Errorf("%s is no record of a call: %v", name, err)
		}
		got[record.Call]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
