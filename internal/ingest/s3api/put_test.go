package s3api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
)

// newDoor makes a door over m that checks no signatures.
func newDoor(t testing.TB, m *memory, change ...func(*s3api.Options)) *s3api.Door {
	t.Helper()
	o := s3api.Options{Spool: m, Records: m, Verifier: &sigv4.Verifier{Trust: true}}
	for _, c := range change {
		c(&o)
	}
	d, err := s3api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// do sends one request to a door without a network.
func do(d http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	if r.ContentLength == 0 { // as every server's own reader of requests has it
		r.Header.Set("Content-Length", "0")
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func code(w *httptest.ResponseRecorder) string {
	_, rest, _ := strings.Cut(w.Body.String(), "<Code>")
	c, _, _ := strings.Cut(rest, "</Code>")
	return c
}

// sent is a header of the answer, under the very spelling that is given.
func sent(w *httptest.ResponseRecorder, name string) string {
	return strings.Join(w.Header()[name], "|")
}

func TestPutAnswersWithReceipt(t *testing.T) {
	m := &memory{}
	d := newDoor(t, m)
	w := do(d, "PUT", "/audit/2026-11-22/a.json", "hello", "Content-Type", "application/json",
		"X-Amz-Meta-Team", "alpha", "X-Amz-Checksum-Crc32", "NhCmhg==", "Content-Encoding", "aws-chunked,gzip", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if w.Code != 200 {
		t.Fatalf("status %d, %s", w.Code, w.Body)
	}
	want := map[string]string{
		"ETag":                 `"5d41402abc4b2a76b9719d911017c592"`,
		"x-amz-checksum-crc32": "NhCmhg==",
		"x-indelible-receipt":  "mem/1/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
	}
	for name, v := range want {
		if got := sent(w, name); got != v {
			t.Errorf("%s: %q, want %q", name, got, v)
		}
	}
	if sent(w, "x-amz-request-id") == "" {
		t.Errorf("no request id")
	}
	e := m.entries[0]
	if e.Door != "s3" || e.Source != "192.0.2.1" || e.Bucket != "audit" || e.Key != "2026-11-22/a.json" {
		t.Errorf("record %+v", e.Info)
	}
	got := fmt.Sprint(e.Attrs)
	if want := "[{content-type application/json} {content-encoding gzip} {x-amz-meta-team alpha} {:md5 5d41402abc4b2a76b9719d911017c592} {:checksum crc32 NhCmhg==}]"; got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
	again := do(d, "PUT", "/audit/2026-11-22/a.json", "hello")
	if again.Code != 200 || sent(again, "x-indelible-receipt") != want["x-indelible-receipt"] {
		t.Errorf("a re-send got %d %v", again.Code, again.Header())
	}
	if s := d.Stats(); s.Requests != 2 || s.Acked != 2 || s.Resent != 1 || s.Bytes != 10 || s.Last.IsZero() {
		t.Errorf("stats %+v", s)
	}
}

func TestPutNeverAcksWhatIsNotWhole(t *testing.T) {
	tests := []struct {
		name, body string
		headers    []string
		status     int
		code       string
	}{
		{"wrong sha256", "hello", []string{"X-Amz-Content-Sha256", strings.Repeat("0", 64)}, 500, "InternalError"},
		{"wrong md5", "hello", []string{"Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA=="}, 500, "InternalError"},
		{"md5 that is none", "hello", []string{"Content-Md5", "?"}, 500, "InternalError"},
		{"wrong crc32", "hello", []string{"X-Amz-Checksum-Crc32", "AAAAAA=="}, 500, "InternalError"},
		{"wrong checksum sha256", "hello", []string{"X-Amz-Checksum-Sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, 500, "InternalError"},
		{"too large as announced", "hello", []string{"X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length", "1073741825"}, 400, "EntityTooLarge"},
		{"key of the sender's", "hello", []string{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256"}, 501, "NotImplemented"},
		{"copy", "", []string{"X-Amz-Copy-Source", "/a/b"}, 501, "NotImplemented"},
		{"metadata without end", "hello", []string{"X-Amz-Meta-A", strings.Repeat("a", 64<<10)}, 400, "MetadataTooLarge"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &memory{}
			d := newDoor(t, m)
			w := do(d, "PUT", "/audit/k", tt.body, tt.headers...)
			if w.Code != tt.status || code(w) != tt.code {
				t.Errorf("%d %s, want %d %s", w.Code, code(w), tt.status, tt.code)
			}
			if len(m.entries) != 0 {
				t.Error("it was kept")
			}
			if got := d.Stats().Refused[tt.code]; got != 1 {
				t.Errorf("%d refusals of %s counted", got, tt.code)
			}
		})
	}
}

func TestPutTakesAnyKey(t *testing.T) {
	m := &memory{}
	d := newDoor(t, m)
	for _, key := range []string{strings.Repeat("k", 4000), "a//b", "/lead", "..%2F..%2Fetc%2Fpasswd", "%00%01%ff", "a%2Bb+c%20d", "%C3%A9", ".", "dir/"} {
		if w := do(d, "PUT", "/audit/"+key, "x"); w.Code != 200 {
			t.Errorf("%.40s: %d %s", key, w.Code, w.Body)
		}
		if w := do(d, "GET", "/audit/"+key, ""); w.Code != 200 || w.Body.String() != "x" {
			t.Errorf("get %.40s: %d %s", key, w.Code, w.Body)
		}
	}
	if w := do(d, "PUT", "/audit/"+strings.Repeat("k", record.MaxKey+1), "x"); code(w) != "KeyTooLongError" {
		t.Errorf("a key over the limit: %d", w.Code)
	}
}

func TestPutWhileTheSpoolSaysNo(t *testing.T) {
	tests := []struct {
		name  string
		spool func(ctx context.Context, r record.Record) error
	}{
		{"no room", func(context.Context, record.Record) error { return fmt.Errorf("append: %w", record.ErrPushback) }},
		{"closing", func(context.Context, record.Record) error { return fmt.Errorf("append: %w", record.ErrClosed) }},
		{"held", func(ctx context.Context, _ record.Record) error {
			<-ctx.Done()
			return ctx.Err()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t, &memory{before: tt.spool}, func(o *s3api.Options) { o.MaxHold = 10 * time.Millisecond })
			w := do(d, "PUT", "/audit/k", "x")
			if w.Code != 503 || code(w) != "SlowDown" || w.Header().Get("Retry-After") == "" {
				t.Errorf("%d %s", w.Code, code(w))
			}
		})
	}
}

// slowReader is a body that pauses for longer than the hold.
type slowReader struct {
	io.Reader
	pause time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Reader.Read(p)
}

func TestHoldDoesNotCountTheSender(t *testing.T) {
	m := &memory{before: func(ctx context.Context, _ record.Record) error { return ctx.Err() }}
	d := newDoor(t, m, func(o *s3api.Options) { o.MaxHold = 20 * time.Millisecond })
	r := httptest.NewRequest("PUT", "/audit/k", &slowReader{strings.NewReader("x"), 60 * time.Millisecond})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConditionalPut(t *testing.T) {
	const tag = `"5d41402abc4b2a76b9719d911017c592"`
	tests := []struct {
		name    string
		known   bool
		headers []string
		status  int
		code    string
	}{
		{"none match, new", false, []string{"If-None-Match", "*"}, 200, ""},
		{"none match, known", true, []string{"If-None-Match", "*"}, 412, "PreconditionFailed"},
		{"none match of a tag, other", true, []string{"If-None-Match", `"abc"`}, 200, ""},
		{"none match of a tag, same", true, []string{"If-None-Match", tag}, 412, "PreconditionFailed"},
		{"match, new", false, []string{"If-Match", tag}, 404, "NoSuchKey"},
		{"match, known", true, []string{"If-Match", tag}, 200, ""},
		{"match without quotes", true, []string{"If-Match", strings.Trim(tag, `"`)}, 200, ""},
		{"match, other", true, []string{"If-Match", `"abc"`}, 412, "PreconditionFailed"},
		{"match any, known", true, []string{"If-Match", "*"}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t, &memory{})
			if tt.known {
				do(d, "PUT", "/audit/k", "hello")
			}
			if w := do(d, "PUT", "/audit/k", "world", tt.headers...); w.Code != tt.status || code(w) != tt.code {
				t.Errorf("%d %s, want %d %s", w.Code, code(w), tt.status, tt.code)
			}
		})
	}
}

// One of many writers who want to be the first is the first, also when all of
// them have checked and none has committed.
func TestConditionalPutRace(t *testing.T) {
	m := &memory{before: func(context.Context, record.Record) error {
		time.Sleep(time.Millisecond) // what a fsync takes
		return nil
	}}
	d := newDoor(t, m)
	const writers = 16
	won := make(chan int, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if w := do(d, "PUT", "/audit/k", fmt.Sprint("body ", i), "If-None-Match", "*"); w.Code == 200 {
				won <- i
			} else if w.Code != 412 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || len(m.entries) != 1 {
		t.Errorf("%d writers won, %d records", len(won), len(m.entries))
	}
}

// An append that fails gives the key back.
func TestWriteLockIsReleased(t *testing.T) {
	fail := true
	d := newDoor(t, &memory{before: func(context.Context, record.Record) error {
		if fail {
			return errors.New("no")
		}
		return nil
	}})
	if w := do(d, "PUT", "/audit/k", "x", "If-None-Match", "*"); w.Code != 500 {
		t.Errorf("%d", w.Code)
	}
	fail = false
	if w := do(d, "PUT", "/audit/k", "x", "If-None-Match", "*"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
