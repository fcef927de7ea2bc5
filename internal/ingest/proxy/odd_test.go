package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"indelible/internal/capture"
)

// TestOddRequests are requests as few clients send them, each with what the upstream gets of it and what comes back.
func TestOddRequests(t *testing.T) {
	for name, c := range map[string]struct {
		sent   string // DOOR is its address
		answer string // of the upstream
		got    string // by the upstream, headers sorted, UP is its address; "": it was not asked
		lacks  string // by the upstream or, of the answer, by the client
		status int
		body   string
		how    capture.Transport
	}{
		"absolute form": {
			"POST http://DOOR/up/v1/x?a=b HTTP/1.1\r\nHost: DOOR\r\nContent-Length: 2\r\n\r\n{}", ok + "Content-Length: 1\r\n\r\nx",
			"POST /v1/x?a=b HTTP/1.1\r\nContent-Length: 2\r\nHost: UP\r\n\r\n{}", "http://", 200, "x", capture.Complete,
		},
		"headers of the connection": {
			"GET /up/x HTTP/1.1\r\nHost: DOOR\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nX-End: 1\r\n\r\n",
			ok + "Connection: X-Back\r\nX-Back: 1\r\nContent-Length: 1\r\n\r\nx",
			"GET /x HTTP/1.1\r\nHost: UP\r\nTe: trailers\r\nX-End: 1\r\n\r\n", "X-Back", 200, "x", capture.Complete,
		},
		"chunk extensions": {
			"POST /up/x HTTP/1.1\r\nHost: DOOR\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0;last\r\n\r\n", ok + isChunked + "\r\n1;x=\"y\"\r\nx\r\n0;z\r\n\r\n",
			"POST /x HTTP/1.1\r\nHost: UP\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "", 200, "x", capture.Complete,
		},
		"a range": {
			"GET /up/files/1 HTTP/1.1\r\nHost: DOOR\r\nRange: bytes=1-2\r\nIf-Range: \"e\"\r\n\r\n", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nbc",
			"GET /files/1 HTTP/1.1\r\nHost: UP\r\nIf-Range: \"e\"\r\nRange: bytes=1-2\r\n\r\n", "", 206, "bc", capture.Complete,
		},
		"an upgrade that is refused": {
			"GET /up/v1/realtime HTTP/1.1\r\nHost: DOOR\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
			"GET /v1/realtime HTTP/1.1\r\nConnection: Upgrade\r\nHost: UP\r\nUpgrade: websocket\r\n\r\n", "", 426, "no", capture.Complete,
		},
		"two lengths": {
			"POST /up/x HTTP/1.1\r\nHost: DOOR\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", "", "", "", 400, "", "",
		},
		"a length and chunks": {
			"POST /up/x HTTP/1.1\r\nHost: DOOR\r\nContent-Length: 4000000\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", ok + "Content-Length: 1\r\n\r\nx",
			"POST /x HTTP/1.1\r\nHost: UP\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "4000000", 200, "x", capture.Complete,
		},
		"two lengths of the answer": {
			"GET /up/x HTTP/1.1\r\nHost: DOOR\r\n\r\n", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
			"GET /x HTTP/1.1\r\nHost: UP\r\n\r\n", "", 502, "", capture.ProxyError,
		},
		"a coding of the transfer that nobody knows": {
			"GET /up/x HTTP/1.1\r\nHost: DOOR\r\n\r\n", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked("x") + "\r\n",
			"GET /x HTTP/1.1\r\nHost: UP\r\n\r\n", "", 502, "", capture.ProxyError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			up := newScript(t, func(conn net.Conn, _ *http.Request, _ []byte) { _, _ = io.WriteString(conn, c.answer) })
			b := newBench(t, up.addr, nil)
			addr := strings.TrimPrefix(strings.TrimSuffix(b.url, "/up"), "http://")
			conn := dial(t, b)
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(conn, strings.ReplaceAll(c.sent, "DOOR", addr)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || c.body != "" && string(body) != c.body {
				t.Errorf("%d %q, %v", resp.StatusCode, body, err)
			}
			up.mu.Lock()
			got := strings.Join(up.got, "")
			up.mu.Unlock()
			want := c.got
			if want != "" {
				got, want = normal(got), strings.ReplaceAll(want, "UP", strings.TrimPrefix(up.addr, "http://"))
			}
			if got != want || c.lacks != "" && (strings.Contains(got, c.lacks) || resp.Header.Get(c.lacks) != "") {
				t.Errorf("\n got %q\nwant %q\nanswer %v", got, want, resp.Header)
			}
			if c.how == "" {
				if e := b.records(); len(e.open)+len(e.last) > 0 {
					t.Errorf("%d and %d records of what was not sent", len(e.open), len(e.last))
				}
			} else if _, last, _ := b.one(); last.Transport != c.how || (last.Status == c.status) != (c.how == capture.Complete) {
				t.Errorf("%s %q %d", last.Transport, last.Fault, last.Status)
			}
		})
	}
}

// TestPipelined has a client send several requests before it reads: each has its answer in order, and its records. After an answer that the
// upstream cuts nothing more is answered on that connection, or the client would take the next answer for the rest.
func TestPipelined(t *testing.T) {
	up := newScript(t, func(conn net.Conn, r *http.Request, _ []byte) {
		answer := ok + "Content-Length: 6\r\n\r\n" + r.URL.Path
		if r.URL.Path == "/cut-3" {
			_, _ = io.WriteString(conn, answer[:len(answer)-2])
			_ = conn.Close()
			return
		}
		_, _ = io.WriteString(conn, answer)
	})
	b := newBench(t, up.addr, nil)
	conn := dial(t, b)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var all strings.Builder
	for _, path := range []string{"/one-1", "/two-2", "/cut-3", "/not-4"} {
		fmt.Fprintf(&all, "POST /up%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", path)
	}
	if _, err := io.WriteString(conn, all.String()); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, want := range []string{"/one-1", "/two-2"} {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
			t.Errorf("%q, %v", body, err)
		}
	}
	if rest, _ := io.ReadAll(in); strings.Contains(string(rest), "/not-4") {
		t.Errorf("behind an answer that was cut comes %q", rest)
	}
	e := b.wait(3)
	if len(e.last) != 3 || len(e.open) != 3 {
		t.Errorf("%d opens, %d ends", len(e.open), len(e.last))
	}
}

// TestAnswerBeforeTheRequestIsTaken has an upstream that answers a long request after its head, and takes no more of it: the client has
// the answer, and the records have all of both.
func TestAnswerBeforeTheRequestIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	over := make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		<-over
		_ = conn.Close()
	}()
	defer close(over)
	b := newBench(t, "http://"+l.Addr().String(), nil)
	body := strings.Repeat("0123456789abcdef", 1<<20)
	if s := ask(t, "POST", b.url+"/v1/files", body); s.Status != http.StatusRequestEntityTooLarge || s.Body != "no" || s.Err {
		t.Errorf("%d %q, cut %v", s.Status, s.Body, s.Err)
	}
	open, last, _ := b.one()
	if last.Transport != capture.Complete || last.Status != http.StatusRequestEntityTooLarge || string(last.Response.Body.Bytes) != "no" || open == nil || string(open.Request.Body.Bytes) != body {
		t.Errorf("%s %q %d", last.Transport, last.Fault, last.Status)
	}
}

// TestUpgradeIsNotAwaited has a client that sends in the new protocol right behind its request: nothing of that is lost, and its half-close is
// passed on.
func TestUpgradeIsNotAwaited(t *testing.T) {
	up := newScript(t, func(conn net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	})
	b := newBench(t, up.addr, nil)
	conn := dial(t, b)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	early, later := strings.Repeat("early ", 300), "and later"
	if _, err := io.WriteString(conn, "GET /up/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"+early); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	if _, err := io.WriteString(conn, later); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(in); err != nil || string(got) != early+later {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if _, last, _ := b.one(); last.ClientStream == nil || string(last.ClientStream.Bytes) != early+later || last.Transport != capture.Complete {
		t.Errorf("%s, %+v", last.Transport, last.ClientStream)
	}
}
