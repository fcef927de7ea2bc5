package litellm_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
)

// What is run: calls is how many answers a scenario has seen when its disaster
// comes. At pace, that is after more than one of s3_v2's flushes, which come every 10 s.
const (
	calls   = 320
	callers = 8
	pace    = 2.5 // calls a second of each caller
)

// TestGap ends LiteLLM, Indelible or both while calls run, and has S3 away
// throughout. With the callback every answered call has exactly one record; beside it, what s3_v2 loses.
func TestGap(t *testing.T) {
	python := needLiteLLM(t)
	var table strings.Builder
	for _, s := range []struct {
		name  string
		ours  func(t *testing.T, python string) result
		plain func(t *testing.T, python string) result
	}{
		{"kill -9 of LiteLLM", endLiteLLM(syscall.SIGKILL), endPlain(syscall.SIGKILL)},
		{"SIGTERM of LiteLLM", endLiteLLM(syscall.SIGTERM), endPlain(syscall.SIGTERM)},
		{"kill -9 of Indelible", endIndelible, nil},
		{"kill -9 of both", endBoth, nil},
		{"kill -9 of both, Indelible away longer than the hold", endBothSpooled, nil},
		{"S3 away, then SIGTERM of LiteLLM", s3Away, s3AwayPlain},
	} {
		t.Run(s.name, func(t *testing.T) {
			r := s.ours(t, python)
			fmt.Fprintf(&table, "\n%-54s %9d %5d %6d", s.name, r.answered, r.lost, r.twice)
			if r.answered < 300 {
				t.Errorf("only %d calls were answered", r.answered)
			}
			if r.lost != 0 || r.twice != 0 {
				t.Errorf("of %d answered calls %d have no record and %d more than one: %q", r.answered, r.lost, r.twice, r.which)
			}
			if s.plain != nil {
				p := s.plain(t, python)
				fmt.Fprintf(&table, " %9d %5d", p.answered, p.lost)
			}
		})
	}
	t.Logf("\n%-54s %9s %5s %6s %9s %5s%s", "", "answered", "lost", "twice", "s3_v2", "lost", table.String())
}

func endLiteLLM(sig syscall.Signal) func(*testing.T, string) result {
	return func(t *testing.T, python string) result {
		s3 := testserver.Versitygw(t)
		h := newHouse(t, s3.Endpoint, s3)
		p := newProxy(t, python, ours, "INDELIBLE_URL=http://"+h.door)
		l := newLoad(p)
		l.waitAnswered(t, calls)
		p.end(sig)
		return l.count(t, h)
	}
}

func endPlain(sig syscall.Signal) func(*testing.T, string) result {
	return func(t *testing.T, python string) result {
		s3 := testserver.Versitygw(t)
		p := newProxy(t, python, plain(s3.Endpoint, s3))
		l := newLoad(p)
		l.waitAnswered(t, calls)
		p.end(sig)
		return l.stop(t, s3)
	}
}

func endIndelible(t *testing.T, python string) result {
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	p := newProxy(t, python, ours, "INDELIBLE_URL=http://"+h.door)
	l := newLoad(p)
	for n := range 3 {
		l.waitAnswered(t, (n+1)*calls/3)
		h.end(syscall.SIGKILL)
		h.start()
	}
	l.waitAnswered(t, calls+calls/3)
	return l.count(t, h)
}

func endBoth(t *testing.T, python string) result {
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	p := newProxy(t, python, ours, "INDELIBLE_URL=http://"+h.door)
	l := newLoad(p)
	l.waitAnswered(t, calls)
	h.end(syscall.SIGKILL)
	p.end(syscall.SIGKILL)
	h.start()
	return l.count(t, h)
}

// endBothSpooled has the callback spool, dies with it, and comes back.
func endBothSpooled(t *testing.T, python string) result {
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	p := newProxy(t, python, ours, "INDELIBLE_URL=http://"+h.door, "INDELIBLE_HOLD=0.5")
	l := newLoad(p)
	l.waitAnswered(t, calls/2)
	h.end(syscall.SIGKILL)
	l.waitAnswered(t, l.answered()+calls/2) // into the callback's spool
	p.end(syscall.SIGKILL)
	l.wait()
	h.start()
	p.start() // hands its spool over
	return l.count(t, h)
}

// s3Away has no S3 until LiteLLM has been stopped as a deploy stops it.
func s3Away(t *testing.T, python string) result {
	s3 := testserver.Versitygw(t)
	addr := freeAddr(t)
	h := newHouse(t, "http://"+addr, s3)
	p := newProxy(t, python, ours, "INDELIBLE_URL=http://"+h.door)
	l := newLoad(p)
	l.waitAnswered(t, calls)
	p.end(syscall.SIGTERM)
	open(t, addr, s3)
	return l.count(t, h)
}

func s3AwayPlain(t *testing.T, python string) result {
	s3 := testserver.Versitygw(t)
	addr := freeAddr(t)
	p := newProxy(t, python, plain("http://"+addr, s3))
	l := newLoad(p)
	l.waitAnswered(t, calls)
	p.end(syscall.SIGTERM)
	open(t, addr, s3)
	return l.stop(t, s3)
}

// open lets S3 be reached at addr.
func open(t *testing.T, addr string, s3 *testserver.Server) {
	t.Helper()
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server, err := faultproxy.Listen(addr, faultproxy.New(target, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
}

// result is what became of the calls of one run.
type result struct {
	answered, lost, twice int
	which                 []string
}

// load calls a proxy until it is stopped, successes, failures and streams mixed.
type load struct {
	proxy   *proxy
	stopped chan struct{}
	wg      sync.WaitGroup
	mu      sync.Mutex
	ids     map[string]string // of answered calls: what was called
	odd     []string          // answers without an id
}

func newLoad(p *proxy) *load {
	l := &load{proxy: p, stopped: make(chan struct{}), ids: map[string]string{}}
	for caller := range callers {
		l.wg.Go(func() {
			client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{Proxy: nil}}
			defer client.CloseIdleConnections()
			tick := time.NewTicker(time.Duration(float64(time.Second) / pace))
			defer tick.Stop()
			for n := caller; ; n++ {
				select {
				case <-l.stopped:
					return
				case <-tick.C:
				}
				_ = l.call(client, n) // no answer, no promise
			}
		})
	}
	return l
}

var kinds = []struct{ name, path, body string }{
	{"chat", "/v1/chat/completions", `{"model":"good","messages":[{"role":"user","content":"call %d"}]}`},
	{"stream", "/v1/chat/completions", `{"model":"good","stream":true,"messages":[{"role":"user","content":"call %d"}]}`},
	{"failure", "/v1/chat/completions", `{"model":"bad","messages":[{"role":"user","content":"call %d"}]}`},
	{"embedding", "/v1/embeddings", `{"model":"vectors","input":"call %d"}`},
	{"text stream", "/v1/completions", `{"model":"good","stream":true,"prompt":"call %d"}`},
	{"messages", "/v1/messages", `{"model":"good","max_tokens":50,"messages":[{"role":"user","content":"call %d"}]}`},
}

// call makes one call; it counts once its answer was read to the end.
func (l *load) call(client *http.Client, n int) error {
	kind := kinds[n%len(kinds)]
	req, err := http.NewRequest(http.MethodPost, l.proxy.url+kind.path, bytes.NewReader(fmt.Appendf(nil, kind.body, n)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+masterKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if strings.Contains(kind.name, "stream") && !bytes.Contains(body, []byte("[DONE]")) {
		return io.ErrUnexpectedEOF
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id := resp.Header.Get("x-litellm-call-id")
	if want := map[bool]int{true: 429, false: 200}[kind.name == "failure"]; id == "" || resp.StatusCode != want {
		l.odd = append(l.odd, fmt.Sprintf("%s: %s %.200s", kind.name, resp.Status, body))
		return nil
	}
	l.ids[id] = kind.name
	return nil
}

func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

func (l *load) waitAnswered(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); l.answered() < n; time.Sleep(5 * time.Millisecond) {
		if l.proxy.ended() || time.Now().After(deadline) {
			t.Fatalf("%d of %d calls answered, and no more come; odd ones: %q", l.answered(), n, l.odd[:min(3, len(l.odd))])
		}
	}
}

// wait lets the callers finish what they are at.
func (l *load) wait() {
	select {
	case <-l.stopped:
	default:
		close(l.stopped)
	}
	l.wg.Wait()
}

// count ends the load, and counts once everything is delivered.
func (l *load) count(t *testing.T, h *house) result {
	t.Helper()
	l.wait()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) { // the callback's spool may be on its way
		h.delivered()
		r := l.stop(t, h.s3)
		if r.lost == 0 {
			return r
		}
		if time.Now().After(deadline) {
			t.Logf("LiteLLM's and Indelible's last words:\n%s", h.tail())
			return r
		}
	}
}

// stop ends the load and counts what is in the bucket.
func (l *load) stop(t *testing.T, s3 *testserver.Server) (r result) {
	t.Helper()
	l.wait()
	for _, o := range l.odd {
		t.Errorf("an answer that is none: %s", o)
	}
	got := records(t, s3)
	for id, kind := range l.ids {
		r.answered++
		if got[id] == 0 {
			r.lost++
			r.which = append(r.which, kind+" "+id)
		}
	}
	for id, n := range got {
		if n > 1 {
			r.twice++
			r.which = append(r.which, fmt.Sprintf("%s %s: %d", l.ids[id], id, n))
		}
	}
	return r
}
