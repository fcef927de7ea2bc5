package litellm_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/testserver"
)

// tap stands between the callback and the door and does as it is told.
type tap struct {
	*httptest.Server
	down   atomic.Bool                    // connections end without an answer
	answer func(n int64, body []byte) int // 0: what the door says; -1: no answer although the door has one; else this status
	seen   atomic.Int64
}

func newTap(t *testing.T, door string, answer func(n int64, body []byte) int) *tap {
	t.Helper()
	tp := &tap{answer: answer}
	transport := &http.Transport{}
	tp.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || tp.down.Load() {
			panic(http.ErrAbortHandler)
		}
		does := 0
		if tp.answer != nil {
			does = tp.answer(tp.seen.Add(1), body)
		}
		if does > 0 {
			w.WriteHeader(does)
			return
		}
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", door
		out.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := transport.RoundTrip(out)
		if err != nil || does < 0 {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = resp.Body.Close() }()
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(tp.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return tp
}

// sender is an SDK program at work, which makes a call for each line on its stdin.
const sender = `import os, sys
import litellm
import indelible_callback
litellm.suppress_debug_info = True
litellm.callbacks = [indelible_callback.indelible]
indelible_callback.install()
for line in sys.stdin:
    try:
        litellm.completion(model="openai/fake", api_key="x", messages=[{"role": "user", "content": line}],
                           mock_response="an answer", litellm_call_id=line.strip())
        print("answered", line, end="", flush=True)
    except litellm.ServiceUnavailableError as e:
        print(e.status_code, line, end="", flush=True)
`

// TestResent has every third answer of the door lost on its way: what is sent again is one record.
func TestResent(t *testing.T) {
	python := needLiteLLM(t)
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	tp := newTap(t, h.door, func(n int64, _ []byte) int { return map[bool]int{true: -1}[n%3 == 0] })
	s := newSender(t, python, tp.URL)
	for i := range 60 {
		if got := s.call(fmt.Sprintf("call-%d", i)); got != "answered" {
			t.Errorf("call %d: %s", i, got)
		}
	}
	h.delivered()
	got := records(t, s3)
	for i := range 60 {
		if n := got[fmt.Sprintf("call-%d", i)]; n != 1 {
			t.Errorf("%d records of call %d", n, i)
		}
	}
	if tp.seen.Load() < 80 {
		t.Errorf("only %d requests: no answer was lost", tp.seen.Load())
	}
}

// TestUnavailable has the door silent for longer than the hold, under each of the ways to go on.
func TestUnavailable(t *testing.T) {
	python := needLiteLLM(t)
	for _, c := range []struct {
		way, during  string
		after, total int // records while the door is silent, and at the end
	}{
		{"spool", "answered", 10, 21},
		{"fail", "503", 10, 21}, // of the failure that the 503 is
		{"pass", "answered", 0, 11},
	} {
		t.Run(c.way, func(t *testing.T) {
			s3 := testserver.Versitygw(t)
			h := newHouse(t, s3.Endpoint, s3)
			var mu sync.Mutex
			var order []string
			tp := newTap(t, h.door, func(_ int64, body []byte) int {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, callID(t, body))
				return 0
			})
			spool := filepath.Join(t.TempDir(), "spool.ndjson")
			s := newSender(t, python, tp.URL, "INDELIBLE_HOLD=0.5", "INDELIBLE_ON_UNAVAILABLE="+c.way, "INDELIBLE_SPOOL="+spool)
			for i := range 10 {
				s.expect("answered", fmt.Sprintf("before-%d", i))
			}
			tp.down.Store(true)
			tp.CloseClientConnections()
			begun := time.Now()
			for i := range 10 {
				s.expect(c.during, fmt.Sprintf("during-%d", i))
			}
			if took := time.Since(begun); took < 500*time.Millisecond || took > 10*time.Second {
				t.Errorf("ten calls took %s with a hold of 0.5 s", took)
			}
			kept, _ := os.ReadFile(spool)
			if got := bytes.Count(kept, []byte("\n")); got != c.after {
				t.Errorf("%d records in the spool, not %d", got, c.after)
			}
			tp.down.Store(false)
			empty := func() bool { b, _ := os.ReadFile(spool); return len(b) == 0 }
			for deadline := time.Now().Add(20 * time.Second); !empty() && time.Now().Before(deadline); {
				time.Sleep(50 * time.Millisecond)
			}
			if !empty() {
				t.Error("the spool is not handed over")
			}
			time.Sleep(1100 * time.Millisecond) // without a spool, one call a second asks whether the door is back
			s.expect("answered", "after")
			h.delivered()
			got := records(t, s3)
			for id, n := range got {
				if n != 1 {
					t.Errorf("%d records of %s", n, id)
				}
			}
			if len(got) != c.total {
				t.Errorf("%d records, not %d", len(got), c.total)
			}
			mu.Lock()
			defer mu.Unlock()
			order = slices.DeleteFunc(order, func(id string) bool { return !strings.HasPrefix(id, "during") })
			if !slices.IsSorted(order) {
				t.Errorf("handed over as %q", order)
			}
		})
	}
}

// TestRefused has the door refuse one record for itself: it is parked and blocks no other.
func TestRefused(t *testing.T) {
	python := needLiteLLM(t)
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	tp := newTap(t, h.door, func(_ int64, body []byte) int {
		return map[bool]int{true: http.StatusRequestEntityTooLarge}[callID(t, body) == "call-3"]
	})
	spool := filepath.Join(t.TempDir(), "spool.ndjson")
	s := newSender(t, python, tp.URL, "INDELIBLE_SPOOL="+spool)
	for i := range 6 {
		s.expect("answered", fmt.Sprintf("call-%d", i))
	}
	h.delivered()
	refused, err := os.ReadFile(spool + ".refused")
	if err != nil || callID(t, refused) != "call-3" {
		t.Errorf("refused: %q, %v", refused, err)
	}
	if got := records(t, s3); len(got) != 5 {
		t.Errorf("%d records, not 5", len(got))
	}
}

// TestTornSpool starts with a spool whose last line a crash cut short.
func TestTornSpool(t *testing.T) {
	python := needLiteLLM(t)
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	spool := filepath.Join(t.TempDir(), "spool.ndjson")
	line := `{"id":"left","litellm_call_id":"left","call_type":"completion","startTime":1795540000.5}`
	if err := os.WriteFile(spool, []byte(line+"\n"+line[:40]), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSender(t, python, "http://"+h.door, "INDELIBLE_SPOOL="+spool)
	s.expect("answered", "call")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if b, err := os.ReadFile(spool); err == nil && len(b) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the spool is not handed over")
		}
	}
	h.delivered()
	whole, torn := 0, 0
	for _, byCall := range objectsRaw(t, s3) {
		switch string(byCall) {
		case line:
			whole++
		case line[:40]:
			torn++
		}
	}
	if whole != 1 || torn != 1 {
		t.Errorf("%d whole and %d torn records", whole, torn)
	}
}

// TestSameCallID has two calls bring one call id, as a client may: both have their record.
func TestSameCallID(t *testing.T) {
	python := needLiteLLM(t)
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	s := newSender(t, python, "http://"+h.door)
	for range 3 {
		s.expect("answered", "the-same")
	}
	h.delivered()
	if n := records(t, s3)["the-same"]; n != 3 {
		t.Errorf("%d records of three calls", n)
	}
}
