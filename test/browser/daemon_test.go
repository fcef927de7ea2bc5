// Package browser tests the dashboard in a real browser, against the real daemon.
package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/demo/s3server"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

const patience = 30 * time.Second

// build builds the product.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "indelible")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/indelible")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// bucket is an S3 server that can be taken away.
type bucket struct {
	addr    string
	handler http.Handler

	mu  sync.Mutex
	srv *http.Server // guarded by mu
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	d, err := dir.OpenPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inner := &s3server.Server{Buckets: map[string]store.Store{"audit": d}}
	b := &bucket{addr: "127.0.0.1:0", handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "refused") && r.Method == http.MethodPut { // this one object is refused for itself
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<Error><Code>EntityTooLarge</Code><Message>Your proposed upload exceeds the maximum allowed size</Message></Error>")
			return
		}
		inner.ServeHTTP(w, r)
	})}
	b.bringBack(t)
	t.Cleanup(func() { b.takeAway(); _ = d.Close() })
	return b
}

func (b *bucket) takeAway() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.srv.Close()
}

func (b *bucket) bringBack(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	ln, err := net.Listen("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	b.srv = &http.Server{Handler: b.handler, ErrorLog: log.New(io.Discard, "", 0)}
	go func(srv *http.Server) { _ = srv.Serve(ln) }(b.srv)
}

// daemon is a running serve.
type daemon struct {
	binary, data string
	env          []string
	S3, HTTP     string
	Admin        string
	Token        string
	cmd          *exec.Cmd
}

// serve starts the product in front of a bucket.
func serve(t *testing.T, binary string, b *bucket, env ...string) *daemon {
	t.Helper()
	work := t.TempDir()
	d := &daemon{binary: binary, data: filepath.Join(work, "data")}
	config := filepath.Join(work, "indelible.yaml")
	if err := os.WriteFile(config, []byte("upload: {backoff_max: 1s}\nproof: {checkpoint_every: 1s, name: demo-log}\nshutdown: {drain: 0s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(), "INDELIBLE_CONFIG="+config, "INDELIBLE_DATA="+d.data, "INDELIBLE_TO=s3://audit", "AWS_ENDPOINT_URL_S3=http://"+b.addr,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	d.env = append(d.env, env...)
	d.start(t, "127.0.0.1:0")
	if b, err := os.ReadFile(filepath.Join(d.data, "admin.token")); err == nil {
		d.Token = strings.TrimSpace(string(b))
	}
	return d
}

// start starts the daemon with its admin listener on an address, and waits until it is ready.
func (d *daemon) start(t *testing.T, admin string) {
	t.Helper()
	_ = os.Remove(filepath.Join(d.data, "run.json")) // of one that was killed
	d.cmd = exec.Command(d.binary, "serve", "--s3", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", admin, "--proxy", "off")
	d.cmd.Env = d.env
	stderr := new(bytes.Buffer)
	d.cmd.Stderr = stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			t.Logf("the daemon said:\n%s", stderr.String())
		}
	})
	await(t, "the daemon is ready", func() error {
		b, err := os.ReadFile(filepath.Join(d.data, "run.json"))
		if err != nil {
			return err
		}
		var at struct{ S3, HTTP, Admin string }
		if err := json.Unmarshal(b, &at); err != nil {
			return err
		}
		d.S3, d.HTTP, d.Admin = at.S3, at.HTTP, at.Admin
		resp, err := http.Get("http://" + d.Admin + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	})
}

// kill is kill -9. It does nothing to one that is dead.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

// vkey is the log's public key, as an operator would hand it to an auditor.
func (d *daemon) vkey(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.data, "log.vkey"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// put sends a record, and gives its receipt.
func (d *daemon) put(t *testing.T, key, body string) (receipt string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+d.S3+"/audit/"+key, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("put %s: %s", key, resp.Status)
	}
	return resp.Header.Get("X-Indelible-Receipt")
}

// calls sends n records of LLM calls with numbers from first on.
func (d *daemon) calls(t *testing.T, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		d.put(t, fmt.Sprintf("2026-11-30/time-12-00-%02d-%06d_chatcmpl-%04d.json", i%60, i, i), call(i))
	}
}

func call(i int) string {
	return fmt.Sprintf(`{"id":"chatcmpl-%04d","model":"gpt-5-mini","total_tokens":%d,"messages":[{"role":"user","content":"Is <img src=x onerror=alert(1)> in invoice %d?"}],"response":{"content":"It is not."}}`, i, 100+i, i)
}

// await asks until f returns nil.
func await(t *testing.T, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s: %v", patience, what, err)
		}
	}
}
