package process

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const (
	openStreams = 4900      // a listener holds a quarter of the descriptors that a process may have: 5,000 of 20,000
	eachStream  = 112 << 10 // bytes of memory, and what the collector has not taken back; net/http alone holds 50 KiB
)

// TestTortureOpenStreams has thousands of streams under way at once through the recording proxy, each longer than a second
// and so with a file of its own: what one costs in memory is bounded, and each has its record in the end.
func TestTortureOpenStreams(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "recording proxy, streams under way at once", "streams")
	end := make(chan struct{})
	var open atomic.Int64
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"word word word w\"}}]}\n\n"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it is short
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		open.Add(1)
		for {
			_, _ = io.WriteString(w, event) // whoever leaves is found at the end
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
				continue
			case <-end:
			case <-r.Context().Done():
			}
			return
		}
	}))
	defer up.Close()
	s := proxyServe(t, up.URL)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	before, _, err := driver.Memory(s.PID())
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	conns := make([]net.Conn, 0, openStreams)
	for len(conns) < openStreams {
		c, err := net.Dial("tcp", s.At.Proxy)
		if err != nil {
			t.Fatalf("after %d: %v", len(conns), err)
		}
		body := fmt.Sprintf(`{"model":"m","stream":true,"n":%d}`, len(conns))
		if _, err := fmt.Fprintf(c, "POST /up/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key-of-a-client\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for wait := time.Now().Add(3 * time.Minute); open.Load() < openStreams; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(wait) {
			t.Fatalf("%d of %d are open", open.Load(), openStreams)
		}
	}
	time.Sleep(8 * time.Second) // each is written to its file by now
	now, peak, err := driver.Memory(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	each := (now - before) / openStreams
	row.Note = fmt.Sprintf("%d KiB of memory each (VmRSS; at its peak %d), %d MiB before", each>>10, (peak-before)/openStreams>>10, before>>20)
	if each > eachStream {
		t.Errorf("a stream takes %d bytes, more than %d", each, eachStream)
	}
	close(end)
	for _, c := range conns {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if err != nil {
			t.Errorf("a stream: %v", err)
		}
		_ = c.Close()
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	row.Ran(openStreams, openStreams)
	complete := 0
	for _, e := range ends(t, filepath.Join(s.Data, "store", "proxy")) {
		if e.Transport == capture.Complete && strings.HasPrefix(string(e.Response.Body.Bytes), event) {
			complete++
		}
	}
	row.Count(openStreams-complete, 0, 0)
}
