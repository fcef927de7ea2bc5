package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// tap stands between a sender and the door and notes what was acked: the
// sender's own view, so that an answer that a kill swallowed is no ack.
type tap struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string]string // key to SHA-256 of the body; guarded by mu

	answers map[string][]int // key to the statuses of its PUTs; guarded by mu
}

func newTap(t *testing.T, door string) *tap {
	t.Helper()
	tp := &tap{got: map[string]string{}, answers: map[string][]int{}}
	transport := &http.Transport{}
	tp.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", door // Host, which is signed, stays
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out.Header.Del("Connection")
		resp, err := transport.RoundTrip(out)
		_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if err != nil {
			tp.answered(r.Method, key, 0)
			panic(http.ErrAbortHandler) // the sender sees a broken connection, as it would without us
		}
		defer func() { _ = resp.Body.Close() }()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		tp.answered(r.Method, key, resp.StatusCode)
		if r.Method == http.MethodPut && resp.StatusCode == http.StatusOK {
			sum := sha256.Sum256(body)
			tp.mu.Lock()
			tp.got[key] = hex.EncodeToString(sum[:])
			tp.mu.Unlock()
		}
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(answer)
	}))
	tp.Config.ErrorLog = nil
	t.Cleanup(tp.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return tp
}

// answered notes what a PUT came to; 0 is a broken connection.
func (tp *tap) answered(method, key string, status int) {
	if method != http.MethodPut {
		return
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.answers[key] = append(tp.answers[key], status)
}

// unacked are the keys that were sent and never acked, with the answers to each.
func (tp *tap) unacked() map[string][]int {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	list := map[string][]int{}
	for key, answers := range tp.answers {
		if _, ok := tp.got[key]; !ok {
			list[key] = answers
		}
	}
	return list
}

// waitFirst waits for the first ack.
func (tp *tap) waitFirst(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); len(tp.acked()) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("LiteLLM sends nothing")
		}
	}
}

func (tp *tap) acked() map[string]string {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return maps.Clone(tp.got)
}

// objects are the records in a bucket's directory: key to SHA-256.
func objects(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "_indelible") {
				return fs.SkipDir
			}
			return nil
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		got[filepath.ToSlash(key)] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
