package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"indelible/internal/capture"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/record"
	"indelible/internal/recorder"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// heapOf runs f and returns by how much the heap grew at most meanwhile, what was no longer used and not yet collected included.
func heapOf(f func()) uint64 {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		for {
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(3 * time.Millisecond):
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
			}
		}
	}()
	f()
	close(done)
	return <-peak
}

// settled fails the test unless nothing is left of calls that have ended: no file under way, and after the release of their records nothing
// that the spool counts.
func (b *bench) settled() {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left, err := os.ReadDir(filepath.Join(b.dir, recorder.Dir))
		if err == nil && len(left) == 0 {
			break // a file is removed after its record is durable, which the test may see first
		}
		if err != nil || time.Now().After(end) {
			b.t.Errorf("files are left: %v %v", left, err)
			break
		}
	}
	for seq := record.Seq(1); uint64(seq) <= b.spool.Stats().Acked; seq++ {
		if err := b.spool.Release(b.t.Context(), seq); err != nil {
			b.t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		st := b.spool.Stats()
		if st.Pending == 0 && st.PendingBytes == 0 && st.SpoolBytes <= 3*64<<20 && st.Holding == 0 {
			return
		}
		if time.Now().After(end) {
			b.t.Errorf("%+v", st)
			return
		}
	}
}

// zeros is the text of a bomb: so many zeros in a content coding.
func zeros(t *testing.T, coding string, n int) string {
	t.Helper()
	if coding == "gzip" {
		return gzipped(strings.Repeat("0", n))
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll(bytes.Repeat([]byte("0"), n), nil))
}

// cutFrame is an Amazon event stream of which the second message is cut.
const cutFrame = "\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff" + "\x00\x00\x00\x10\x00\x00"

// TestHostileIsBounded has upstreams and clients send what swells, what is endless and what is cut: memory stays within a few megabytes whatever they
// send, the record tells what happened, and nothing is left of it on the disk afterwards.
func TestHostileIsBounded(t *testing.T) {
	long, bomb, most := 64<<20, 128<<20, uint64(64<<20)
	if torture.Race { // the detector makes all of it ten times as long, and memory larger: what is bounded is shown without
		long, bomb, most = 4<<20, 16<<20, 128<<20
	}
	endless := func(head, more string) func(c net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, head)
			for range 20_000 { // 80 MB, of which most is not taken
				if _, err := io.WriteString(c, more); err != nil {
					return
				}
			}
		}
	}
	filler := "X-Filler: " + strings.Repeat("x", 4000) + "\r\n"
	coded := func(coding, body string) func(c net.Conn) {
		return func(c net.Conn) {
			_, _ = fmt.Fprintf(c, "%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", ok, coding, len(body), body)
		}
	}
	tooLong := "longer than is looked at"
	if torture.Race {
		tooLong = "neither JSON" // it is short enough to be looked at
	}
	sum := sha256.New()
	for name, c := range map[string]struct {
		answer   func(c net.Conn)
		header   []string // of the request
		request  string
		most     int64 // max_kept
		how      capture.Transport
		fault    string // a part of it
		unparsed string // likewise, of what could not be read
		check    func(t *testing.T, last *capture.Exchange)
	}{
		"a long answer": {how: capture.Complete, unparsed: tooLong, answer: func(c net.Conn) {
			_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n", ok, long)
			piece := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
			for range long / len(piece) {
				sum.Write(piece)
				_, _ = c.Write(piece)
			}
		}, check: func(t *testing.T, last *capture.Exchange) {
			if b := last.Response.Body; b.Size != int64(long) || b.Kept != int64(long) || string(b.Digest[:]) != string(sum.Sum(nil)) {
				t.Errorf("%d bytes, %d are kept", b.Size, b.Kept)
			}
		}},
		"a long answer, of which a part is kept": {how: capture.Complete, unparsed: "longer than is looked at", most: 1 << 20, answer: func(c net.Conn) {
			_, _ = io.WriteString(c, ok+isChunked+"\r\n")
			for range long >> 16 {
				_, _ = io.WriteString(c, "10000\r\n"+strings.Repeat("y", 1<<16)+"\r\n")
			}
			_, _ = io.WriteString(c, "0\r\n\r\n")
		}, check: func(t *testing.T, last *capture.Exchange) {
			if b := last.Response.Body; b.Size != int64(long) || len(b.Bytes) != 1<<20 {
				t.Errorf("%d bytes, %d are kept", b.Size, len(b.Bytes))
			}
		}},
		"a bomb in gzip":                     {answer: coded("gzip", zeros(t, "gzip", bomb)), how: capture.Complete, unparsed: "response: longer than is looked at"},
		"a bomb in zstd":                     {answer: coded("zstd", zeros(t, "zstd", bomb)), how: capture.Complete, unparsed: "response: longer than is looked at"},
		"a bomb in a request, in gzip":       {header: []string{"Content-Encoding", "gzip"}, request: zeros(t, "gzip", bomb), how: capture.Complete, unparsed: "request: longer than is looked at"},
		"a bomb in a request, in zstd":       {header: []string{"Content-Encoding", "zstd"}, request: zeros(t, "zstd", bomb), how: capture.Complete, unparsed: "request: longer than is looked at"},
		"a coding that is none":              {answer: coded("gzip", "no gzip"), how: capture.Complete, unparsed: "response: "},
		"half of a coding":                   {answer: coded("gzip", gzipped(`{"id":"x"}`)[:20]), how: capture.Complete, unparsed: "response: "},
		"a head without an end":              {answer: endless(ok, filler), how: capture.ProxyError, fault: "header"},
		"interim answers without an end":     {answer: endless("", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"), how: capture.UpstreamAbort, fault: "EOF"},
		"trailers without an end":            {answer: endless(ok+isChunked+"\r\n1\r\nx\r\n0\r\n", filler), how: capture.UpstreamAbort, fault: "trailer"},
		"the size of a chunk without an end": {answer: endless(ok+isChunked+"\r\n1;", filler[:4000]), how: capture.UpstreamAbort, fault: "line too long"},
		"a chunk that is cut": {answer: func(c net.Conn) { _, _ = io.WriteString(c, ok+isChunked+"\r\nff\r\nhalf of it") }, how: capture.UpstreamAbort, fault: "EOF",
			check: func(t *testing.T, last *capture.Exchange) {
				if string(last.Response.Body.Bytes) != "half of it" {
					t.Errorf("%q", last.Response.Body.Bytes)
				}
			}},
		"half an event": {answer: func(c net.Conn) {
			_, _ = io.WriteString(c, ok+sse+isChunked+"\r\n"+chunked("data: {\"a\":1}\n\ndata: {\"a\"")+"\r\n")
		}, how: capture.Complete, unparsed: "its end is missing"},
		"half a frame of an event stream": {answer: func(c net.Conn) {
			_, _ = fmt.Fprintf(c, "%sContent-Type: application/vnd.amazon.eventstream\r\nContent-Length: %d\r\n\r\n%s", ok, len(cutFrame), cutFrame)
		}, how: capture.Complete, unparsed: "its end is missing"},
		"an answer in single bytes": {answer: func(c net.Conn) {
			_, _ = io.WriteString(c, ok+isChunked+"\r\n"+strings.Repeat("1\r\nz\r\n", torture.RaceShare(30_000))+"0\r\n\r\n")
		}, how: capture.Complete, check: func(t *testing.T, last *capture.Exchange) {
			if len(last.Arrivals) > 16 || last.Response.Body.Size != int64(torture.RaceShare(30_000)) {
				t.Errorf("%d arrivals, %d bytes", len(last.Arrivals), last.Response.Body.Size)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			up := newScript(t, func(conn net.Conn, _ *http.Request, _ []byte) {
				if c.answer == nil {
					_, _ = io.WriteString(conn, ok+"Content-Length: 2\r\n\r\n{}")
					return
				}
				c.answer(conn)
				if c.how != capture.Complete {
					_ = conn.Close()
				}
			})
			b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) { o.Recorder.MaxKept = c.most })
			peak := heapOf(func() {
				r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/v1/chat/completions", strings.NewReader(c.request))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer sk-0123456789abcdef")
				for i := 0; i < len(c.header); i += 2 {
					r.Header.Set(c.header[i], c.header[i+1])
				}
				resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if whole := c.how == capture.Complete; (err == nil && resp.StatusCode == http.StatusOK) != whole {
					t.Errorf("the client sees %d, %v", resp.StatusCode, err)
				}
			})
			t.Logf("%d KiB", peak>>10)
			if peak > most {
				t.Errorf("the heap grew by %d MiB", peak>>20)
			}
			_, last, d := b.one()
			if last.Transport != c.how || !strings.Contains(last.Fault, c.fault) || !strings.Contains(strings.Join(d.Unparsed, "; "), c.unparsed) || (last.Fault == "") != (c.how == capture.Complete) {
				t.Errorf("recorded as %s, %q, %q", last.Transport, last.Fault, d.Unparsed)
			}
			if c.check != nil {
				c.check(t, last)
			}
			b.settled()
		})
	}
}

// TestSlowClientBody has a client that sends its body too slowly: no call is made, and nothing is left of what came.
func TestSlowClientBody(t *testing.T) {
	for _, size := range []string{"Content-Length: 400000", "Transfer-Encoding: chunked"} {
		up := newScript(t, func(net.Conn, *http.Request, []byte) { t.Error("the upstream was called") })
		b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
			o.Pace = ingest.Pace{Pause: 300 * time.Millisecond, Rate: 1 << 30}
		})
		c := dial(t, b)
		fmt.Fprintf(c, "POST /up/v1/files HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", size)
		piece := strings.Repeat("x", 300_000)
		if strings.HasPrefix(size, "T") {
			piece = fmt.Sprintf("%x\r\n%s\r\n4\r\nmore", len(piece), piece)
		}
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
		go func() {
			for { // and then byte by byte
				if _, err := c.Write([]byte("y")); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		got, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(got), "HTTP/1.1 4") && len(got) > 0 {
			t.Errorf("%s: %.200q", size, got)
		}
		if e := b.records(); len(e.open)+len(e.last) != 0 {
			t.Errorf("%s: %+v", size, e)
		}
		b.settled()
	}
}

// TestSlowUpstream has upstreams that send a head byte by byte, or nothing, or a body byte by byte: they are waited for as long as the client waits, and
// when it leaves the record says so and holds what had come.
func TestSlowUpstream(t *testing.T) {
	for name, c := range map[string]struct {
		begin, drip string
		status      int
	}{
		"nothing": {}, "a head": {begin: "HTTP/1.1 200 OK\r\nX-A: ", drip: "x"}, "interim answers": {begin: "HTTP/1.1 103 Early Hints\r\nX-A: ", drip: "x"},
		"a body": {begin: ok + "Content-Length: 1000000\r\n\r\nbegin", drip: "z", status: 200}, "chunks": {begin: ok + isChunked + "\r\n5\r\nbegin\r\n", drip: "1\r\nz\r\n", status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			up := newScript(t, func(conn net.Conn, _ *http.Request, _ []byte) {
				defer close(ended)
				_, _ = io.WriteString(conn, c.begin)
				for c.drip != "" {
					if _, err := io.WriteString(conn, c.drip); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				_, _ = io.Copy(io.Discard, conn)
			})
			b := newBench(t, up.addr, nil)
			conn := dial(t, b)
			peak := heapOf(func() {
				fmt.Fprint(conn, "POST /up/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
				time.Sleep(1300 * time.Millisecond) // what came is in a file by then
				_ = conn.Close()
				<-ended
			})
			_, last, d := b.one()
			if last.Transport != capture.ClientAbort || last.Status != c.status || last.Fault == "" || d.Status != "failure" || c.status > 0 && !strings.HasPrefix(string(last.Response.Body.Bytes), "beginzz") {
				t.Errorf("recorded as %s %d, %q, %.50q", last.Transport, last.Status, last.Fault, last.Response.Body.Bytes)
			}
			if peak > 16<<20 {
				t.Errorf("the heap grew by %d MiB", peak>>20)
			}
			b.settled()
		})
	}
}
