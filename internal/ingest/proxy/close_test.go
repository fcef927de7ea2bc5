package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"indelible/internal/capture"
	"indelible/internal/record"
	"indelible/internal/recorder"
)

// Close has an end for whatever is under way, also for a WebSocket, which no server waits for when it stops: the record
// holds what passed, and the client does not take it for a whole answer.
func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	for _, upgrade := range []bool{false, true} {
		up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
			if upgrade {
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\npart")
			} else {
				_, _ = io.WriteString(c, ok+sse+isChunked+"\r\n"+strings.TrimSuffix(chunked("part"), "0\r\n"))
			}
			_, _ = c.Read(make([]byte, 1)) // until the proxy leaves
		})
		b := newBench(t, up.addr, nil)
		c := dial(t, b)
		head := ""
		if upgrade {
			head = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
		}
		fmt.Fprint(c, "GET /up/v1/realtime HTTP/1.1\r\nHost: localhost\r\n"+head+"\r\n")
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body := resp.Body
		if upgrade {
			body = io.NopCloser(in)
		}
		if _, err := io.ReadFull(body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if err := b.door.Recorder().Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		e := b.records() // no waiting: Close has
		if len(e.last) != 1 {
			t.Fatalf("upgrade %v: %d ends are recorded", upgrade, len(e.last))
		}
		if last := e.last[e.order[0]]; last.Transport != capture.ProxyError || !strings.Contains(last.Fault, "closed") || string(last.Response.Body.Bytes) != "part" {
			t.Errorf("upgrade %v: %s %q %q", upgrade, last.Transport, last.Fault, last.Response.Body.Bytes)
		}
		if rest, err := io.ReadAll(body); !upgrade && err == nil {
			t.Errorf("the client took the answer for whole, with %q", rest)
		}
		r, _ := http.NewRequest("GET", up.addr, nil)
		var refused *recorder.RefusedError
		if _, err := b.door.Recorder().RoundTrip(r); !errors.As(err, &refused) || !errors.Is(err, record.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}
