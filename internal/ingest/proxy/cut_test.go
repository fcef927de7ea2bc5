package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/ingest/proxy"
	"indelible/internal/spool"
)

// webSocketFrame is the head of a text frame from a server that announces n bytes.
func webSocketFrame(n uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0x81, 126}, n) }

// TestWebSocketCutInAMessage has either side leave in the middle of a message: the other sees the end, the record says whose it was and has
// the bytes of both directions up to there.
func TestWebSocketCutInAMessage(t *testing.T) {
	half := append(webSocketFrame(1000), "half of it"...)
	for name, client := range map[string]bool{"the client": true, "the upstream": false} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				got := make([]byte, len(half))
				_, _ = io.ReadFull(c, got)
				_, _ = c.Write(half)
				if !client {
					_ = c.(*net.TCPConn).SetLinger(0)
					_ = c.Close()
					ended <- nil
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				_, err := c.Read(got)
				ended <- err
			})
			b := newBench(t, up.addr, nil)
			c := dial(t, b)
			fmt.Fprint(c, "GET /up/v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			in := bufio.NewReader(c)
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp, err)
			}
			if _, err := c.Write(half); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(half))
			if n, err := io.ReadFull(in, got); client && (err != nil || !bytes.Equal(got, half)) {
				t.Fatalf("%q %v", got[:n], err)
			}
			if client {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			} else {
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := in.ReadByte(); err == nil {
					t.Error("the client's connection goes on")
				}
			}
			if err := <-ended; client && err == nil {
				t.Error("the upstream's connection goes on")
			}
			_, last, d := b.one()
			want := capture.UpstreamAbort
			if client {
				want = capture.ClientAbort
			}
			if last.Transport != want || last.ClientStream == nil || !bytes.Equal(last.ClientStream.Bytes, half) || client && !bytes.Equal(last.Response.Body.Bytes, half) || d.Status != "failure" {
				t.Errorf("%s %q, %q, %+v", last.Transport, last.Fault, last.Response.Body.Bytes, d)
			}
		})
	}
}

// TestWebSocketEnds has either side close the connection in good order: with a close frame the exchange is complete, and without one, as RFC 6455
// has it, that side has aborted it.
func TestWebSocketEnds(t *testing.T) {
	const text, half, closing, clientText, clientClosing = "\x81\x02hi", "\x81\x7e\x03\xe8half", "\x88\x02\x03\xe8", "\x81\x82\x01\x02\x03\x04ik", "\x88\x82\x01\x02\x03\x04\x02\xea"
	for name, c := range map[string]struct {
		upstream, client string // what they send
		first            bool   // the upstream closes, as soon as it has read that; else the client does
		want             capture.Transport
	}{
		"the upstream, with a close frame":          {text + closing, clientText, true, capture.Complete},
		"the upstream, after the client's":          {text, clientText + clientClosing, true, capture.Complete},
		"the upstream, between two messages":        {text, clientText, true, capture.UpstreamAbort},
		"the upstream, in a message":                {text + half, clientText, true, capture.UpstreamAbort},
		"the upstream, whose text is a close frame": {"\x82\x04" + closing, clientText, true, capture.UpstreamAbort},
		"the client, with a close frame":            {text, clientText + clientClosing, false, capture.Complete},
		"the client, between two messages":          {text, clientText, false, capture.ClientAbort},
		"the client, before any":                    {text, "", false, capture.ClientAbort},
	} {
		t.Run(name, func(t *testing.T) {
			up := newScript(t, func(conn net.Conn, _ *http.Request, _ []byte) {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"+c.upstream)
				if c.first {
					_, _ = io.ReadFull(conn, make([]byte, len(c.client)))
				} else {
					_, _ = io.Copy(io.Discard, conn)
				}
				_ = conn.Close()
			})
			b := newBench(t, up.addr, nil)
			conn := dial(t, b)
			fmt.Fprint(conn, "GET /up/v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			in := bufio.NewReader(conn)
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp, err)
			}
			if _, err := io.WriteString(conn, c.client); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(c.upstream))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != c.upstream {
				t.Errorf("%q, %v", got, err)
			}
			if !c.first {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("then %q, %v", rest, err)
			}
			_ = conn.Close()
			_, last, d := b.one()
			if last.Transport != c.want || (last.Fault == "") != (c.want == capture.Complete) || string(last.Response.Body.Bytes) != c.upstream || last.ClientStream == nil || string(last.ClientStream.Bytes) != c.client {
				t.Errorf("%s %q, %+v", last.Transport, last.Fault, d)
			}
		})
	}
}

// TestNoRoomForWhatAClientSends has the disk fill up under an upgraded connection: it ends, and its record says why.
func TestNoRoomForWhatAClientSends(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
		o.Recorder.Data = faultdisk.New(o.Recorder.Data, func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Write && strings.HasSuffix(c.Name, ".sent") {
				return &faultdisk.Fault{Err: syscall.ENOSPC}
			}
			return nil
		})
	})
	c := dial(t, b)
	fmt.Fprint(c, "GET /up/v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	go func() { _, _ = c.Write(bytes.Repeat([]byte("x"), 300_000)) }() // which is cut
	_, _ = io.Copy(io.Discard, c)
	if _, last, _ := b.one(); last.Transport != capture.ProxyError || !strings.Contains(last.Fault, "no space") {
		t.Errorf("%s %q", last.Transport, last.Fault)
	}
}

// frame is one of HTTP/2.
func frame(kind, flags byte, stream uint32, payload string) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// TestGoAwayInAStream has an HTTP/2 upstream say in the middle of an answer that it goes away: after this stream, which then ends well, or before
// it, which is an abort.
func TestGoAwayInAStream(t *testing.T) {
	const data, settings, goAway = 0, 4, 7
	for name, c := range map[string]struct {
		last  uint32 // stream that the upstream still answers
		ends  bool   // it does
		whole bool
	}{"behind this stream": {1, true, true}, "behind this stream, and cut": {1, false, false}, "before this stream": {0, false, false}} {
		t.Run(name, func(t *testing.T) {
			up := httptest.NewTLSServer(nil) // for its certificate
			t.Cleanup(up.Close)
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: up.TLS.Certificates, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				_, _ = io.ReadFull(in, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
				_, _ = conn.Write(frame(settings, 0, 0, ""))
				for { // to the end of the request
					head := make([]byte, 9)
					if _, err := io.ReadFull(in, head); err != nil {
						return
					}
					n := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
					_, _ = io.CopyN(io.Discard, in, n)
					if head[3] == settings && head[4] == 0 {
						_, _ = conn.Write(frame(settings, 1, 0, ""))
					}
					if (head[3] == data || head[3] == 1) && head[4]&1 != 0 {
						break
					}
				}
				_, _ = conn.Write(frame(1, 4, 1, "\x88")) // HEADERS: :status 200
				_, _ = conn.Write(frame(data, 0, 1, "data: 1\n\n"))
				_, _ = conn.Write(frame(goAway, 0, 0, string(binary.BigEndian.AppendUint32(nil, c.last))+"\x00\x00\x00\x00"))
				if c.ends {
					_, _ = conn.Write(frame(data, 1, 1, "data: 2\n\n"))
					_, _ = io.Copy(io.Discard, in)
				}
			}()
			b := newBench(t, "https://"+l.Addr().String(), nil)
			roots := x509.NewCertPool()
			roots.AddCert(up.Certificate())
			b.door.TrustUpstreams(roots)
			s := ask(t, "POST", b.url+"/v1/chat/completions", "{}")
			_, last, _ := b.one()
			if c.whole != (!s.Err && s.Body == "data: 1\n\ndata: 2\n\n" && last.Transport == capture.Complete) || !c.whole && (!s.Err || last.Transport != capture.UpstreamAbort) {
				t.Errorf("%+v, %s %q", s, last.Transport, last.Fault)
			}
		})
	}
}

// TestCompressedRequest has bodies that are compressed: they reach the upstream byte for byte, are recorded as they were, and what is derived is
// of what they hold.
func TestCompressedRequest(t *testing.T) {
	var got []byte
	up := newScript(t, func(c net.Conn, r *http.Request, body []byte) {
		got = append([]byte(r.Header.Get("Content-Encoding")+" "), body...)
		_, _ = io.WriteString(c, ok+"Content-Length: 2\r\n\r\n{}")
	})
	b := newBench(t, up.addr, nil)
	sent := []string{
		gzipped(`{"model":"m1","user":"u"}`), gzipped(`{"model":"m1","user":"u","pad":"` + strings.Repeat("x", 1<<20) + `"}`),
		gzipped(`{"model":"m1"}`)[:20], "\x1f\x8bno gzip",
	}
	for i, body := range sent {
		s := ask(t, "POST", b.url+"/v1/chat/completions", body, "Content-Encoding", "gzip")
		if s.Status != http.StatusOK || string(got) != "gzip "+body {
			t.Errorf("%d: %d, the upstream got %.50q", i, s.Status, got)
		}
	}
	e := b.wait(len(sent))
	for i, id := range e.order {
		d, whole := e.derived[id], i < 2
		if string(e.open[id].Request.Body.Bytes) != sent[i] {
			t.Errorf("%d: recorded %.50q", i, e.open[id].Request.Body.Bytes)
		}
		if whole != (d.RequestedModel == "m1" && d.User == "u" && len(d.Unparsed) == 0) || !whole && len(d.Unparsed) == 0 {
			t.Errorf("%d: %+v", i, d)
		}
	}
}
