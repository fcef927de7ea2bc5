package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// start runs a server on a loopback port until the test ends.
func start(t *testing.T, s *Server) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) ask() {
	c.t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) status() int {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// closed waits until the server closes the connection.
func (c *client) closed() bool {
	_, err := c.in.ReadByte()
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

var answer = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// Connections that wait for their next request make room for new ones.
func TestConnectionsMakeRoom(t *testing.T) {
	addr := start(t, NewServer(answer, ServerOptions{Conns: 4}))
	for i := range 20 {
		c := dial(t, addr)
		c.ask()
		if got := c.status(); got != http.StatusOK {
			t.Fatalf("connection %d: %d", i, got)
		}
	}
}

// A connection that never sent a request is idle, too: silent ones do not shut others out.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	addr := start(t, NewServer(answer, ServerOptions{Conns: 2}))
	for range 20 {
		dial(t, addr)
	}
	c := dial(t, addr)
	c.ask()
	if got := c.status(); got != http.StatusOK {
		t.Error(got)
	}
}

// Connections at work are never given up: the next one waits for its turn.
func TestBusyConnectionsStay(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	addr := start(t, NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	}), ServerOptions{Conns: 1}))
	first := dial(t, addr)
	first.ask()
	<-entered
	second := dial(t, addr)
	second.ask()
	leave <- struct{}{}
	if got := first.status(); got != http.StatusOK {
		t.Error(got)
	}
	<-entered // the first one was idle, and made room
	leave <- struct{}{}
	if got := second.status(); got != http.StatusOK {
		t.Error(got)
	}
}

// The host with the most idle connections loses one, not the one that came first.
func TestGreedyHostLosesFirst(t *testing.T) {
	var l connLimit
	l.init(4)
	conns := map[string]*fakeConn{}
	for _, name := range []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.2:2", "10.0.0.2:3"} {
		conns[name] = &fakeConn{addr: name}
		if !l.admit(conns[name]) {
			t.Fatal("not admitted")
		}
		l.changed(conns[name], http.StateNew)
	}
	if !l.admit(&fakeConn{addr: "10.0.0.3:1"}) {
		t.Fatal("not admitted")
	}
	for name, c := range conns {
		if want := name == "10.0.0.2:1"; c.closed != want {
			t.Errorf("%s closed: %v", name, c.closed)
		}
	}
}

type fakeConn struct {
	net.Conn
	addr   string
	closed bool
}

func (c *fakeConn) Close() error         { c.closed = true; return nil }
func (c *fakeConn) RemoteAddr() net.Addr { return fakeAddr(c.addr) }

type fakeAddr string

func (fakeAddr) Network() string  { return "tcp" }
func (a fakeAddr) String() string { return string(a) }

// All servers stop taking requests at the same moment, while those under way are answered.
func TestShutdownAllAtOnce(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	}), ServerOptions{})
	fast := NewServer(answer, ServerOptions{})
	inFlight := dial(t, start(t, slow))
	inFlight.ask()
	<-entered
	addr := start(t, fast)
	silent := dial(t, addr) // accepted, and without a request yet
	other := dial(t, addr)
	other.ask()
	if got := other.status(); got != http.StatusOK {
		t.Fatal(got)
	}

	done := make(chan []error)
	go func() { done <- ShutdownAll(context.Background(), slow, fast) }()
	if !other.closed() { // although the slow server is not done
		t.Error("an idle connection stays open")
	}
	silent.ask()
	if resp, err := http.ReadResponse(silent.in, nil); err == nil && resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a request that began after the stop: %s", resp.Status)
	}
	w := httptest.NewRecorder()
	fast.serveHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Connection") != "close" {
		t.Errorf("a request that the server had begun to read: %d %v", w.Code, w.Header())
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("the listener is open")
	}
	close(leave)
	if got := inFlight.status(); got != http.StatusOK {
		t.Errorf("the request under way: %d", got)
	}
	for _, err := range <-done {
		if err != nil {
			t.Error(err)
		}
	}
}

// What is still under way when the time is over is cut.
func TestShutdownAllCuts(t *testing.T) {
	entered := make(chan struct{})
	s := NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}), ServerOptions{})
	c := dial(t, start(t, s))
	c.ask()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := ShutdownAll(ctx, s); errs[0] == nil {
		t.Error("no error")
	}
	if !c.closed() {
		t.Error("the connection stays")
	}
}

// One line a minute for each subject, which says how many it stands for.
func TestNotices(t *testing.T) {
	notices(t, func(n *Notices, sleep func(time.Duration)) {
		for i, want := range []bool{true, false, false} {
			if log, _ := n.Note("a"); log != want {
				t.Errorf("event %d: %v", i, log)
			}
		}
		if log, _ := n.Note("b"); !log {
			t.Error("another subject is not logged")
		}
		sleep(time.Minute)
		if log, missed := n.Note("a"); !log || missed != 2 {
			t.Errorf("a minute later: %v, %d missed", log, missed)
		}
		sleep(3 * time.Minute)
		if log, missed := n.Note("a"); !log || missed != 0 {
			t.Errorf("later: %v, %d missed", log, missed)
		}
		logged := 0
		for i := range 2 * maxNoted {
			if log, _ := n.Note(fmt.Sprint(i)); log {
				logged++
			}
		}
		if logged >= maxNoted || len(n.count) > maxNoted {
			t.Errorf("%d lines, %d subjects", logged, len(n.count))
		}
	})
}
