package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/ingest/proxy"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// gate holds appends of one kind until it is opened.
type gate struct {
	s      *spool.Spool
	suffix string        // of the keys that wait
	came   chan struct{} // one for each that does
	open   chan struct{}
}

func newGate(s *spool.Spool, suffix string) *gate {
	return &gate{s: s, suffix: suffix, came: make(chan struct{}, 8), open: make(chan struct{})}
}

func (g *gate) Append(ctx context.Context, r record.Record) (record.Receipt, error) {
	if strings.HasSuffix(r.Key, "-open.json") == (g.suffix == "open") {
		g.came <- struct{}{}
		<-g.open
	}
	return g.s.Append(ctx, r)
}

// Strict: nothing is sent before the open record is durable.
func TestNothingIsSentBeforeTheOpenRecord(t *testing.T) {
	var asked atomic.Int32
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		asked.Add(1)
		_, _ = io.WriteString(c, ok+"Content-Length: 2\r\n\r\nok")
	})
	var g *gate
	b := newBench(t, up.addr, func(o *proxy.Options, s *spool.Spool) {
		g = newGate(s, "open")
		o.Recorder.Log = g
	})
	done := make(chan seen)
	go func() { done <- ask(t, "POST", b.url+"/x", "{}") }()
	<-g.came
	time.Sleep(50 * time.Millisecond) // what would be sent has time to arrive
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached the upstream without a durable record", n)
	}
	close(g.open)
	if s := <-done; s.Body != "ok" || asked.Load() != 1 {
		t.Errorf("%+v", s)
	}
}

// Strict: whatever tells a client that its answer is whole comes after the close record is durable:
// the last byte of a known length, the end of the chunks, the mark that SDKs stop at.
func TestNoAnswerEndsBeforeItsCloseRecord(t *testing.T) {
	for name, c := range map[string]struct{ answer, before, mark string }{
		"short":  {ok + "Content-Length: 5\r\n\r\nwhole", "", "whol"},
		"long":   {ok + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 99_999) + "Z", "", "Z"},
		"chunks": {ok + isChunked + "\r\n" + strings.Replace(chunked("part"), "0\r\n", "|0\r\n", 1) + "\r\n", "part", "0\r\n"},
		"done":   {ok + sse + isChunked + "\r\n" + strings.Replace(chunked("data: 1\n\n", "data: [DONE]\n\n"), "\r\n0\r\n", "\r\n|0\r\n", 1) + "\r\n", "", "[DONE]"},
		"split":  {ok + sse + isChunked + "\r\n" + strings.NewReplacer("[DO\r\n", "[DO\r\n|", "\r\n0\r\n", "\r\n|0\r\n").Replace(chunked("data: 1\n\ndata: [DO", "NE]\n\n")) + "\r\n", "data: [DO", "NE]"},
		"stop":   {ok + sse + isChunked + "\r\n" + strings.Replace(chunked("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "\r\n0\r\n", "\r\n|0\r\n", 1) + "\r\n", "", "message_stop"},
	} {
		t.Run(name, func(t *testing.T) {
			up := newScript(t, func(conn net.Conn, _ *http.Request, _ []byte) {
				for part := range strings.SplitSeq(c.answer, "|") {
					_, _ = io.WriteString(conn, part)
					time.Sleep(20 * time.Millisecond)
				}
			})
			var g *gate
			b := newBench(t, up.addr, func(o *proxy.Options, s *spool.Spool) {
				g = newGate(s, "close")
				o.Recorder.Log = g
			})
			conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), "/up"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			fmt.Fprint(conn, "GET /up/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
			<-g.came
			_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			early, _ := io.ReadAll(conn) // ends with the deadline
			_, body, _ := strings.Cut(string(early), "\r\n\r\n")
			if strings.Contains(body, c.mark) || !strings.Contains(body, c.before) {
				t.Errorf("before the close record the client has %.100q", early)
			}
			close(g.open)
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			rest := bufio.NewReader(io.MultiReader(strings.NewReader(string(early)), conn))
			resp, err := http.ReadResponse(rest, nil)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(whole), strings.TrimSuffix(c.mark, "0\r\n")) {
				t.Errorf("%v: %.100q", err, whole)
			}
			receipt := resp.Header.Get("X-Indelible-Receipt") + resp.Trailer.Get("X-Indelible-Receipt")
			if name != "long" && !strings.HasPrefix(receipt, "test/2/") {
				t.Errorf("receipt %q", receipt)
			}
		})
	}
}

// A mark within a stream that goes on holds it for a moment, and nothing is lost.
func TestStreamGoesOnBehindAnEndMark(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+sse+isChunked+"\r\n"+strings.TrimSuffix(chunked("data: [DONE]\n\n"), "0\r\n"))
		time.Sleep(400 * time.Millisecond)
		_, _ = io.WriteString(c, chunked(strings.Repeat("data: more\n\n", 300), "data: last\n\n")+"\r\n")
	})
	b := newBench(t, up.addr, nil)
	want := "data: [DONE]\n\n" + strings.Repeat("data: more\n\n", 300) + "data: last\n\n"
	s := ask(t, "GET", b.url+"/x", "")
	_, last, _ := b.one()
	if s.Body != want || s.Err || string(last.Response.Body.Bytes) != want {
		t.Errorf("%d bytes (error %v), recorded %d, want %d", len(s.Body), s.Err, len(last.Response.Body.Bytes), len(want))
	}
}

// A disk that is full: fail_closed refuses the call before it is made.
func TestFullDiskRefuses(t *testing.T) {
	var asked atomic.Int32
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		asked.Add(1)
		_, _ = io.WriteString(c, ok+"Content-Length: 2\r\n\r\nok")
	})
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
		o.Recorder.Log = appender(func(context.Context, record.Record) (record.Receipt, error) {
			return record.Receipt{}, record.ErrPushback
		})
	})
	s := ask(t, "POST", b.url+"/x", "{}")
	if s.Status != 503 || s.Header.Get("Retry-After") != "1" || !strings.Contains(s.Body, "not_recorded") || asked.Load() != 0 {
		t.Errorf("%+v, %d asked", s, asked.Load())
	}
	if n := b.door.Stats().Refused["not_recorded"]; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// Where there is no room for the close record, the client does not get the end of its answer.
func TestNoRoomForTheCloseRecord(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+isChunked+"\r\n"+chunked("part")+"\r\n")
	})
	b := newBench(t, up.addr, func(o *proxy.Options, s *spool.Spool) {
		o.Recorder.Log = appender(func(ctx context.Context, r record.Record) (record.Receipt, error) {
			if strings.HasSuffix(r.Key, "-open.json") {
				return s.Append(ctx, r)
			}
			return record.Receipt{}, record.ErrPushback
		})
	})
	// The reset that tells of it may overtake the status and the first part.
	if s := ask(t, "POST", b.url+"/x", "{}"); !s.Err || s.Status != 200 && s.Status != 0 {
		t.Errorf("%+v", s)
	}
	if e := b.records(); len(e.open) != 1 || len(e.last) != 0 {
		t.Errorf("%+v", e)
	}
}

// pass_and_record_gap passes calls without room, and one record says how many.
func TestFullDiskPasses(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+"Content-Length: 2\r\n\r\nok")
	})
	var full atomic.Bool
	full.Store(true)
	b := newBench(t, up.addr, func(o *proxy.Options, s *spool.Spool) {
		o.Recorder.PassFull = true
		o.Recorder.Log = appender(func(ctx context.Context, r record.Record) (record.Receipt, error) {
			if full.Load() {
				return record.Receipt{}, record.ErrPushback
			}
			return s.Append(ctx, r)
		})
	})
	for range 3 {
		if s := ask(t, "POST", b.url+"/x", "{}"); s.Body != "ok" {
			t.Errorf("%+v", s)
		}
	}
	full.Store(false)
	if s := ask(t, "POST", b.url+"/x", "{}"); s.Body != "ok" {
		t.Errorf("%+v", s)
	}
	e := b.records()
	if len(e.others) != 1 || !strings.Contains(string(e.others[0]), `"kind":"gap","calls":3,`) || len(e.last) != 1 {
		t.Errorf("%d calls recorded, gaps: %s", len(e.last), e.others)
	}
}

// A request too long for memory passes as well where there is no room for its file, with or without a length, and
// also where the room ends in the middle of it.
func TestFullDiskPassesLongRequests(t *testing.T) {
	const long = 900_000
	body := strings.Repeat("0123456789", long/10)
	up := newScript(t, func(c net.Conn, r *http.Request, got []byte) {
		if string(got) != body || r.Trailer.Get("X-T") != r.Header.Get("X-Wants") {
			t.Errorf("%d bytes reached the upstream, trailers %v", len(got), r.Trailer)
		}
		_, _ = io.WriteString(c, ok+"Content-Length: 2\r\n\r\nok")
	})
	for name, room := range map[string]int{"none": 0, "some": 300_000} {
		b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
			o.Recorder.PassFull, o.Recorder.MaxRequest = true, long
			left := room
			o.Recorder.Data = faultdisk.New(o.Recorder.Data, func(c faultdisk.Call) *faultdisk.Fault {
				if c.Op == faultdisk.Write && strings.HasSuffix(c.Name, ".request") {
					if left -= c.Len; left < 0 {
						return &faultdisk.Fault{Err: syscall.ENOSPC, Keep: c.Len / 3}
					}
				}
				return nil
			})
		})
		for _, chunks := range []bool{false, true} {
			r, err := http.NewRequest("POST", b.url+"/x", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if chunks {
				r.ContentLength, r.Trailer = -1, http.Header{"X-T": {"v"}}
				r.Header.Set("X-Wants", "v")
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "ok" {
				t.Errorf("%s, chunks %v: %q %v", name, chunks, got, err)
			}
			_ = resp.Body.Close()
		}
		s := askTooMuch(t, b.url+"/x", body+"0")
		if s.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%+v", s)
		}
		if err := b.door.Recorder().Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		e := b.records()
		if len(e.last) != 0 || len(e.others) != 1 || !strings.Contains(string(e.others[0]), `"kind":"gap","calls":2,`) {
			t.Errorf("%s: %d calls recorded, gaps: %s", name, len(e.last), e.others)
		}
	}
}

// Relaxed: one record, and the client does not wait for it.
func TestRelaxed(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+"Content-Length: 2\r\n\r\nok")
	})
	var g *gate
	b := newBench(t, up.addr, func(o *proxy.Options, s *spool.Spool) {
		g = newGate(s, "close")
		o.Recorder.Log, o.Recorder.Relaxed = g, true
	})
	if s := ask(t, "POST", b.url+"/x", `{"q":1}`); s.Body != "ok" {
		t.Errorf("%+v", s)
	}
	close(g.open)
	open, last, _ := b.one()
	if open != nil || last.Kind != capture.Whole || string(last.Request.Body.Bytes) != `{"q":1}` || string(last.Response.Body.Bytes) != "ok" {
		t.Errorf("%+v", last)
	}
}

// A long answer without room for its file ends as our own failure, not the upstream's; where calls may pass, it passes whole.
func TestNoRoomForALongAnswer(t *testing.T) {
	first, rest := strings.Repeat("x", 100_000), "data: 2\n\n"
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+sse+isChunked+"\r\n"+strings.TrimSuffix(chunked(first, "\n\ndata: [DONE]\n\n"), "0\r\n"))
		time.Sleep(100 * time.Millisecond) // comes while the mark is held
		_, _ = io.WriteString(c, chunked(rest)+"\r\n")
	})
	for _, pass := range []bool{false, true} {
		b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) { o.Recorder.Reserve, o.Recorder.PassFull = 1<<60, pass })
		s := ask(t, "POST", b.url+"/x", "{}")
		if s.Err == pass || pass && s.Body != first+"\n\ndata: [DONE]\n\n"+rest {
			t.Errorf("pass %v: error %v, %d bytes, %q", pass, s.Err, len(s.Body), s.Body[max(0, len(s.Body)-40):])
		}
		_, last, _ := b.one()
		want := map[bool]capture.Transport{true: capture.Complete, false: capture.ProxyError}[pass]
		if last.Transport != want || !pass && !strings.Contains(last.Fault, "no room") {
			t.Errorf("pass %v: recorded %s, %q", pass, last.Transport, last.Fault)
		}
	}
}
