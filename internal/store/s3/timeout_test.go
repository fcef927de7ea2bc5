package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/store"
	"indelible/internal/store/s3"
)

// slowBody gives 32 KiB every so often.
type slowBody struct {
	io.ReadSeeker
	every time.Duration
}

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(b.every)
	return b.ReadSeeker.Read(p[:min(len(p), 32<<10)])
}

// patient is the other side of yes, and ends with the request's context as net/http does.
type patient struct{ silent bool }

func (t patient) RoundTrip(req *http.Request) (*http.Response, error) {
	buf := make([]byte, 32<<10)
	for req.Context().Err() == nil {
		if _, err := req.Body.Read(buf); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if t.silent {
		<-req.Context().Done()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return yes{}.RoundTrip(req)
}

// An attempt ends when nothing moves for the attempt timeout, or when the whole
// is slower than 64 KiB a second; never just because the body is large.
func TestAttemptTimeout(t *testing.T) {
	const size = 4 << 20
	body := strings.Repeat("x", size)
	for _, c := range []struct {
		name   string
		every  time.Duration // for 32 KiB
		silent bool
		ends   time.Duration // 0: it is stored
	}{
		{"85 KiB a second", 375 * time.Millisecond, false, 0},
		{"32 KiB a second", time.Second, false, s3.DefaultAttemptTimeout + size>>16*time.Second},
		{"a body that stops", 16 * time.Second, false, s3.DefaultAttemptTimeout},
		{"no answer", 0, true, s3.DefaultAttemptTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := at(t, "http://127.0.0.1:1", s3.Config{Transport: patient{c.silent}})
			synctest.Test(t, func(t *testing.T) {
				o := object("key", body)
				o.Body = slowBody{o.Body, c.every}
				start := time.Now()
				_, err := s.Put(t.Context(), o)
				took := time.Since(start)
				switch {
				case c.ends == 0 && err != nil:
					t.Errorf("put: %v after %v", err, took)
				case c.ends > 0 && (store.ClassOf(err) != store.Ambiguous || took < c.ends || took > c.ends+17*time.Second):
					t.Errorf("put: %v after %v, want ambiguous after %v", err, took, c.ends)
				}
			})
		})
	}
}
