package s3api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/s3api"
	"indelible/internal/record"
)

// serve runs a door's server on a loopback port until the test ends.
func serve(t testing.TB, d *s3api.Door) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := ingest.NewServer(d, ingest.ServerOptions{Refuse: d.Refuse, Header: s3api.MaxHeader})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// wire is a client that says exactly what it is told.
type wire struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &wire{t, c, bufio.NewReader(c)}
}

func (w *wire) send(format string, args ...any) {
	w.t.Helper()
	if _, err := fmt.Fprintf(w, strings.ReplaceAll(format, "\n", "\r\n"), args...); err != nil {
		w.t.Fatal(err)
	}
}

// head reads a status line and the headers behind it, as they stand on the wire.
func (w *wire) head() (status string, headers []string) {
	w.t.Helper()
	for {
		line, err := w.in.ReadString('\n')
		if err != nil {
			w.t.Fatalf("no whole answer: %q %q: %v", status, headers, err)
		}
		switch line = strings.TrimRight(line, "\r\n"); {
		case status == "":
			status = line
		case line == "":
			return status, headers
		default:
			headers = append(headers, line)
		}
	}
}

func has(headers []string, prefix string) bool {
	for _, h := range headers {
		if strings.HasPrefix(h, prefix) {
			return true
		}
	}
	return false
}

// closed tells whether the server ends the connection, after whatever it still says.
func (w *wire) closed() bool {
	_, err := io.Copy(io.Discard, w.in)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestHeadersAreSpelledAsS3Does(t *testing.T) {
	w := dial(t, serve(t, newDoor(t, &memory{})))
	w.send("PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 5\nx-amz-meta-Team: a\nx-amz-checksum-crc32: NhCmhg==\n\nhello")
	status, headers := w.head()
	if status != "HTTP/1.1 200 OK" {
		t.Fatal(status, headers)
	}
	for _, want := range []string{`ETag: "5d41402a`, "x-amz-request-id: ", "x-amz-checksum-crc32: NhCmhg==", "x-indelible-receipt: mem/1/", "Content-Length: 0"} {
		if !has(headers, want) {
			t.Errorf("PUT has no %q in %q", want, headers)
		}
	}
	w.send("GET /audit/k HTTP/1.1\nHost: x\nx-amz-checksum-mode: ENABLED\n\n")
	_, headers = w.head()
	for _, want := range []string{`ETag: "5d41402a`, "x-amz-meta-team: a", "x-amz-checksum-crc32: NhCmhg==", "Last-Modified: ", "Accept-Ranges: bytes", "Content-Type: binary/octet-stream"} {
		if !has(headers, want) {
			t.Errorf("GET has no %q in %q", want, headers)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	addr := serve(t, newDoor(t, &memory{}))
	w := dial(t, addr)
	w.send("PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 5\nExpect: 100-continue\n\n")
	if status, _ := w.head(); status != "HTTP/1.1 100 Continue" {
		t.Fatal(status)
	}
	w.send("hello")
	if status, _ := w.head(); status != "HTTP/1.1 200 OK" {
		t.Fatal(status)
	}
	// What is refused by its head is refused before the body is asked for.
	for _, head := range []string{
		"PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 5\nIf-None-Match: *\nExpect: 100-continue\n\n",
		"PUT /audit/k?partNumber=1&uploadId=x HTTP/1.1\nHost: x\nContent-Length: 5\nExpect: 100-continue\n\n",
		"PUT /audit/big HTTP/1.1\nHost: x\nContent-Length: 1073741825\nExpect: 100-continue\n\n",
	} {
		w := dial(t, addr)
		w.send(head)
		if status, _ := w.head(); strings.Contains(status, "100") || strings.Contains(status, "200") {
			t.Errorf("%q: %s", head, status)
		}
		if !w.closed() {
			t.Errorf("%q: the connection stays open with a body owed", head)
		}
	}
}

func TestBodyCutShortIsNotAcked(t *testing.T) {
	m := &memory{}
	d := newDoor(t, m)
	addr := serve(t, d)
	for _, request := range []string{
		"PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 10\n\nhello",
		"PUT /audit/k HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n",
		"PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 85\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\nX-Amz-Decoded-Content-Length: 5\n\n5\nhello\n",
	} {
		w := dial(t, addr)
		w.send(request)
		w.Conn.(*net.TCPConn).CloseWrite()
		if status, _ := w.head(); status != "HTTP/1.1 400 Bad Request" {
			t.Errorf("%q: %s", request, status)
		}
		if !w.closed() {
			t.Errorf("%q: the connection stays open", request)
		}
	}
	if len(m.entries) != 0 || d.Stats().Acked != 0 {
		t.Errorf("%d records kept", len(m.entries))
	}
}

// A record that arrived whole is kept, also when its sender does not wait for the answer.
func TestSenderGoesAway(t *testing.T) {
	sealed, gone := make(chan struct{}), make(chan error)
	m := &memory{before: func(ctx context.Context, _ record.Record) error {
		close(sealed)
		select {
		case <-ctx.Done():
			gone <- context.Cause(ctx)
			return ctx.Err()
		case <-time.After(100 * time.Millisecond): // the server notices at once
			gone <- nil
			return nil
		}
	}}
	w := dial(t, serve(t, newDoor(t, m)))
	w.send("PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello")
	<-sealed
	w.Close()
	if err := <-gone; err != nil {
		t.Errorf("the append was ended: %v", err)
	}
}

func TestChunkedBodies(t *testing.T) {
	m := &memory{}
	w := dial(t, serve(t, newDoor(t, m)))
	for _, request := range []string{
		"PUT /audit/te HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
		"PUT /audit/aws HTTP/1.1\nHost: x\nContent-Encoding: aws-chunked\nContent-Length: 46\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n" +
			"X-Amz-Decoded-Content-Length: 5\nX-Amz-Trailer: x-amz-checksum-crc32\n\n5\nhello\n0\nx-amz-checksum-crc32:NhCmhg==\n\n",
	} {
		w.send(request)
		status, headers := w.head()
		if status != "HTTP/1.1 200 OK" || !has(headers, `ETag: "5d41402abc4b2a76b9719d911017c592"`) {
			t.Errorf("%.40q: %s %q", request, status, headers)
		}
	}
	if len(m.entries) != 2 {
		t.Errorf("%d records", len(m.entries))
	}
}

func TestSlowSenderIsCut(t *testing.T) {
	d := newDoor(t, &memory{}, func(o *s3api.Options) { o.Pace = ingest.Pace{Pause: 50 * time.Millisecond, Rate: 1 << 20} })
	w := dial(t, serve(t, d))
	w.send("PUT /audit/k HTTP/1.1\nHost: x\nContent-Length: 100\n\nhello")
	if status, _ := w.head(); status != "HTTP/1.1 400 Bad Request" {
		t.Fatal(status)
	}
	if !w.closed() {
		t.Error("the connection stays open")
	}
	if got := d.Stats().Refused["RequestTimeout"]; got != 1 {
		t.Errorf("%d counted", got)
	}
}

// After an answer that came before the body was read, the next request on the
// connection is not mistaken for the rest of it.
func TestConnectionAfterRefusal(t *testing.T) {
	m := &memory{}
	w := dial(t, serve(t, newDoor(t, m)))
	const size = 600 << 10 // more than net/http would read by itself
	w.send("PUT /audit/k?uploadId=1&partNumber=1 HTTP/1.1\nHost: x\nContent-Length: %d\n\n%sPUT /audit/k2 HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi",
		size, strings.Repeat("x", size))
	status, headers := w.head()
	if status != "HTTP/1.1 501 Not Implemented" || has(headers, "Connection: close") {
		t.Fatal(status, headers)
	}
	if _, err := w.in.Discard(contentLength(t, headers)); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.head(); status != "HTTP/1.1 200 OK" || len(m.entries) != 1 || m.entries[0].Key != "k2" {
		t.Error(status, m.entries)
	}
}

func contentLength(t *testing.T, headers []string) int {
	t.Helper()
	for _, h := range headers {
		var n int
		if _, err := fmt.Sscanf(h, "Content-Length: %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no length in %q", headers)
	return 0
}

// Nothing that a client can put into a path makes us answer a redirect.
func TestNeverRedirects(t *testing.T) {
	addr := serve(t, newDoor(t, &memory{}))
	for _, target := range []string{"//audit/k", "/audit//k", "/audit/../k", "/audit/./k", "/audit", "/audit/", "//", "/..", "http://h/audit/a/../b", "*"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"} {
			w := dial(t, addr)
			w.send("%s %s HTTP/1.1\nHost: x\nContent-Length: 0\nConnection: close\n\n", method, target)
			if status, _ := w.head(); strings.HasPrefix(status, "HTTP/1.1 3") {
				t.Errorf("%s %s: %s", method, target, status)
			}
		}
	}
}
