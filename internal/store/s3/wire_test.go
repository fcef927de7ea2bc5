package s3_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/store"
	"indelible/internal/store/s3"
)

// recorder is a server that says yes to every PUT and keeps what it was asked.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	conns    map[string]bool // remote addresses seen
	answer   func(http.ResponseWriter, *http.Request) bool
}

func newRecorder(t testing.TB) *recorder {
	r := &recorder{conns: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	b, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(b))
	r.mu.Lock()
	r.requests = append(r.requests, req)
	r.conns[req.RemoteAddr] = true
	answer := r.answer
	r.mu.Unlock()
	if answer != nil && answer(w, req) {
		return
	}
	w.Header().Set("ETag", `"etag"`)
	w.Header().Set("x-amz-checksum-sha256", req.Header.Get("x-amz-checksum-sha256"))
}

func (r *recorder) last() *http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[len(r.requests)-1]
}

// at is a store at a server that is no S3, with credentials that mean nothing.
func at(t testing.TB, endpoint string, cfg s3.Config) *s3.Store {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	cfg.Endpoint, cfg.Region = endpoint, "us-east-1"
	if cfg.Bucket == "" {
		cfg.Bucket = "audit"
	}
	s, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What goes over the wire: the record's own SHA-256, twice, and no other
// checksum, no chunks, no second pass over the body.
func TestPutOnTheWire(t *testing.T) {
	r := newRecorder(t)
	s := at(t, r.URL, s3.Config{
		SSE: "aws:kms", KMSKeyID: "key-1", StorageClass: "STANDARD_IA",
		Tags: map[string]string{"team": "a b", "log": "x"}, ObjectLock: s3.ObjectLock{Mode: "COMPLIANCE", Retain: 24 * time.Hour},
	})
	o := object("key", "body")
	o.Tags = map[string]string{"log": "y"}
	reads := &countingSeeker{ReadSeeker: o.Body}
	o.Body = reads
	if _, err := s.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	req := r.last()
	for name, want := range map[string]string{
		"X-Amz-Content-Sha256":                            o.Digest.String(),
		"X-Amz-Checksum-Sha256":                           base64.StdEncoding.EncodeToString(o.Digest[:]),
		"If-None-Match":                                   "*",
		"X-Amz-Server-Side-Encryption":                    "aws:kms",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id":     "key-1",
		"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true",
		"X-Amz-Storage-Class":                             "STANDARD_IA",
		"X-Amz-Tagging":                                   "log=y&team=a+b",
		"X-Amz-Object-Lock-Mode":                          "COMPLIANCE",
		"X-Amz-Trailer":                                   "",
		"X-Amz-Sdk-Checksum-Algorithm":                    "",
		"Content-Encoding":                                "",
		"Content-Length":                                  "4",
	} {
		if got := req.Header.Get(name); got != want && (name != "Content-Length" || req.ContentLength != 4) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name := range req.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") && name != "X-Amz-Checksum-Sha256" {
			t.Errorf("%s was sent: the SDK made a checksum of its own", name)
		}
	}
	until, err := time.Parse(time.RFC3339, req.Header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if d := time.Until(until); err != nil || d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("retain until %q, %v", req.Header.Get("X-Amz-Object-Lock-Retain-Until-Date"), err)
	}
	if reads.bytes != 4 {
		t.Errorf("%d bytes of the body were read for a body of 4", reads.bytes)
	}

	o = object("partial", "body")
	o.NoLock, o.Condition.Match = true, "abc"
	if _, err := s.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	h := r.last().Header
	if h.Get("X-Amz-Object-Lock-Mode") != "" || h.Get("X-Amz-Object-Lock-Retain-Until-Date") != "" || h.Get("If-Match") != `"abc"` || h.Get("If-None-Match") != "" {
		t.Errorf("headers of an unlocked, conditional object: %v", h)
	}
	o = object("any", "body")
	o.Condition.Any = true
	if _, err := s.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if h := r.last().Header; h.Get("If-Match") != "" || h.Get("If-None-Match") != "" {
		t.Errorf("headers of an unconditional object: %v", h)
	}
}

type countingSeeker struct {
	io.ReadSeeker
	bytes int
}

func (c *countingSeeker) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	c.bytes += n
	return n, err
}

// Keys that a file system would not take go over the wire as they are.
func TestKeysOnTheWire(t *testing.T) {
	r := newRecorder(t)
	s := at(t, r.URL, s3.Config{})
	for _, key := range []string{"a//b", "/leading", "trailing/", "%", "%2F", "a+b c", "..", "../x", "./x", "é/日本", "?a=b#c", strings.Repeat("é", 512)} {
		if _, err := s.Put(t.Context(), object(key, "x")); err != nil {
			t.Errorf("put %q: %v", key, err)
			continue
		}
		if got := r.last().URL.Path; got != "/audit/"+key {
			t.Errorf("put %q went to %q", key, got)
		}
	}
	for _, key := range []string{"", strings.Repeat("k", store.MaxKey+1)} {
		if _, err := s.Put(t.Context(), object(key, "x")); store.ClassOf(err) != store.Poison {
			t.Errorf("put with a key of %d bytes: %v, want poison", len(key), err)
		}
	}
}

// After a 503 the next attempt takes a new connection, and with it perhaps another host.
func TestNewConnectionAfterThrottle(t *testing.T) {
	r := newRecorder(t)
	s := at(t, r.URL, s3.Config{})
	for range 3 {
		if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.conns) != 1 {
		t.Fatalf("%d connections for puts one after the other, want 1", len(r.conns))
	}
	r.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(503)
		fmt.Fprint(w, "<Error><Code>SlowDown</Code></Error>")
		return true
	}
	if _, err := s.Put(t.Context(), object("key", "x")); store.ClassOf(err) != store.Throttled {
		t.Fatal(err)
	}
	r.answer = nil
	if _, err := s.Put(t.Context(), object("key", "x")); err != nil {
		t.Fatal(err)
	}
	if len(r.conns) != 2 {
		t.Errorf("%d connections after a 503, want a second one", len(r.conns))
	}
}

func TestNoCredentials(t *testing.T) {
	r := newRecorder(t)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	s := at(t, r.URL, s3.Config{})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := s.Put(t.Context(), object("key", "x")); store.ClassOf(err) != store.Credentials {
		t.Errorf("put: %v, want credentials", err)
	}
	if len(r.requests) != 0 {
		t.Error("an unsigned request was sent")
	}
}

var errDisk = errors.New("input/output error")

type brokenBody struct{ io.ReadSeeker }

func (b brokenBody) Read(p []byte) (int, error) {
	n, _ := b.ReadSeeker.Read(p[:1])
	return n, errDisk
}

// What goes wrong with reading the body is not blamed on the store.
func TestBodyThatCannotBeRead(t *testing.T) {
	r := newRecorder(t)
	s := at(t, r.URL, s3.Config{})
	o := object("key", "body")
	o.Body = brokenBody{o.Body}
	_, err := s.Put(t.Context(), o)
	if e, ok := errors.AsType[*store.Error](err); !ok || e.Class != store.Unknown || !errors.Is(err, errDisk) {
		t.Errorf("put: %v, want the disk's error, unclassified", err)
	}
}

// The transport may still be sending when the answer is there; the body is out of its reach by then.
func TestBodyIsLetGo(t *testing.T) {
	r := newRecorder(t)
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503) // at once, with the body unread
	})
	s := at(t, r.URL, s3.Config{})
	big := strings.Repeat("x", 8<<20)
	for range 5 {
		o := object("key", big)
		guarded := &guardedBody{ReadSeeker: o.Body}
		o.Body = guarded
		if _, err := s.Put(t.Context(), o); err == nil {
			t.Fatal("the put succeeded")
		}
		guarded.over = true // a read from here on is a data race, which the race detector sees
	}
}

type guardedBody struct {
	io.ReadSeeker
	over bool
}

func (g *guardedBody) Read(p []byte) (int, error) {
	if g.over {
		panic("the body was read after Put returned")
	}
	return g.ReadSeeker.Read(p)
}

func TestUnreachable(t *testing.T) {
	for _, c := range []struct {
		name, endpoint string
		class          store.Class
	}{
		{"refused", "http://127.0.0.1:1", store.Unreachable},
		{"no TLS there", "https://" + strings.TrimPrefix(newRecorder(t).URL, "http://"), store.Configuration},
		{"unknown authority", httptestTLS(t), store.Configuration},
	} {
		s := at(t, c.endpoint, s3.Config{})
		if _, err := s.Put(t.Context(), object("key", "x")); store.ClassOf(err) != c.class {
			t.Errorf("%s: %v, want %v", c.name, err, c.class)
		}
	}
}

func httptestTLS(t *testing.T) string {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestOpenRefuses(t *testing.T) {
	for _, cfg := range []s3.Config{
		{},
		{Bucket: "b", Endpoint: "127.0.0.1:9000"},
		{Bucket: "b", SSE: "rot13"},
		{Bucket: "b", KMSKeyID: "k"},
		{Bucket: "b", ObjectLock: s3.ObjectLock{Mode: "COMPLIANCE"}},
		{Bucket: "b", ObjectLock: s3.ObjectLock{Mode: "maybe", Retain: time.Hour}},
	} {
		if _, err := s3.Open(t.Context(), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
