package s3_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/s3"
)

// lax is a store that says little of what it keeps, and compares nothing.
type lax struct {
	mu       sync.Mutex
	objects  map[string]laxObject
	requests map[string]int // by method
	opaque   bool           // the ETag is no MD5
	mute     bool           // HEAD tells no checksum
	spoil    func(key string, body []byte) []byte
}

type laxObject struct {
	body           []byte
	checksum, etag string
}

func newLax(t testing.TB) (*lax, *s3.Store) {
	l := &lax{objects: map[string]laxObject{}, requests: map[string]int{}}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	return l, at(t, server.URL, s3.Config{})
}

func (l *lax) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[req.Method]++
	if req.Method == http.MethodPut {
		if l.spoil != nil {
			body = l.spoil(req.URL.Path, body)
		}
		o := laxObject{body, req.Header.Get("x-amz-checksum-sha256"), fmt.Sprintf("%x", md5.Sum(body))}
		if l.opaque {
			o.etag = fmt.Sprint("etag", len(l.objects))
		}
		if body != nil {
			l.objects[req.URL.Path] = o
		}
		w.Header().Set("ETag", `"`+o.etag+`"`)
		return
	}
	o, ok := l.objects[req.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(o.body)))
	if !l.mute {
		w.Header().Set("x-amz-checksum-sha256", o.checksum)
	}
	if req.Method == http.MethodGet {
		w.Write(o.body)
	}
}

// A store that leaves the checksum out of its answer to a PUT is asked once how it
// tells what it holds, and served at full rate from then on.
func TestStoreThatDoesNotRepeatTheChecksum(t *testing.T) {
	const puts = 200
	for _, tt := range []struct {
		name          string
		opaque, mute  bool
		want          store.Confirmation
		heads, bodies int // at most
	}{
		{"its ETag is the MD5", false, false, store.ByETag, 1, puts/64 + 1},
		{"its ETag is the MD5, and HEAD tells nothing", false, true, store.ByETag, 1, puts/64 + 2},
		{"HEAD tells it", true, false, store.ByHead, puts, puts/64 + 1},
		{"nothing tells it", true, true, store.ByReading, puts, puts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, s := newLax(t)
			l.opaque, l.mute = tt.opaque, tt.mute
			if got := s.Confirmation(); got != "" {
				t.Errorf("%q before anything was stored", got)
			}
			for i := range puts {
				if _, err := s.Put(t.Context(), object(fmt.Sprint("k", i), fmt.Sprint("body ", i))); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.Confirmation(); got != tt.want {
				t.Errorf("confirmed by %q, want %q", got, tt.want)
			}
			if n := l.requests; n["PUT"] != puts || n["HEAD"] > tt.heads || n["GET"] > tt.bodies || n["GET"] == 0 {
				t.Errorf("requests %v: want %d PUT, at most %d HEAD and from 1 to %d GET", n, puts, tt.heads, tt.bodies)
			}
		})
	}
}

// Such a store, or the way to it, may change the bytes: that is found at once where
// its ETags were MD5, and by reading back where nothing else tells.
func TestChangedBytesAreFound(t *testing.T) {
	spoil := func(_ string, body []byte) []byte { return bytes.ToUpper(body) }
	t.Run("from the first on", func(t *testing.T) {
		l, s := newLax(t)
		l.spoil = spoil
		if _, err := s.Put(t.Context(), object("k", "body")); !errors.Is(err, store.ErrOtherBytes) || store.ClassOf(err) != store.Ambiguous {
			t.Errorf("put: %v", err)
		}
	})
	t.Run("later, with ETags that are MD5", func(t *testing.T) {
		l, s := newLax(t)
		for i := range 3 {
			if _, err := s.Put(t.Context(), object(fmt.Sprint("k", i), "body")); err != nil {
				t.Fatal(err)
			}
		}
		l.mu.Lock()
		l.spoil = spoil
		l.mu.Unlock()
		if _, err := s.Put(t.Context(), object("k", "body")); !errors.Is(err, store.ErrOtherBytes) {
			t.Errorf("put: %v", err)
		}
	})
	t.Run("later, with other ETags", func(t *testing.T) {
		l, s := newLax(t)
		l.opaque = true
		if _, err := s.Put(t.Context(), object("first", "body")); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		l.spoil = spoil
		l.mu.Unlock()
		for i := range 64 {
			if _, err := s.Put(t.Context(), object(fmt.Sprint("k", i), "body")); errors.Is(err, store.ErrOtherBytes) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
		t.Error("64 objects with other bytes were taken for stored, and none was read back")
	})
}

// An answer of 200 that the store knows nothing of confirms nothing.
func TestUnfoundedYes(t *testing.T) {
	l, s := newLax(t)
	l.spoil = func(string, []byte) []byte { return nil } // it keeps nothing
	if _, err := s.Put(t.Context(), object("k", "body")); store.ClassOf(err) != store.Ambiguous {
		t.Errorf("put: %v, want ambiguous", err)
	}
	if got := s.Confirmation(); got != "" {
		t.Errorf("learned %q from it", got)
	}
}
