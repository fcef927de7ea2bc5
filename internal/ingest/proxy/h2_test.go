package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"indelible/internal/capture"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/spool"
)

// secure is an upstream that speaks HTTP/2.
func secure(t *testing.T, h http.HandlerFunc, with func(*proxy.Options, *spool.Spool)) *bench {
	t.Helper()
	up := httptest.NewUnstartedServer(h)
	up.EnableHTTP2 = true
	up.StartTLS()
	t.Cleanup(up.Close)
	b := newBench(t, up.URL, with)
	roots := x509.NewCertPool()
	roots.AddCert(up.Certificate())
	b.door.TrustUpstreams(roots)
	return b
}

// HTTP/2 upstreams: streams, trailers and resets are to the client of HTTP/1.1 what they are.
func TestHTTP2Upstream(t *testing.T) {
	b := secure(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what came is answered
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s %s %s\n\n", r.Proto, r.URL.RequestURI(), body)
		w.(http.Flusher).Flush()
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
		w.Header().Set("X-Sum", "1")
	}, nil)
	whole := ask(t, "POST", b.url+"/v1/{x}?a=b;c", `{"q":1}`)
	if whole.Err || whole.Body != "data: HTTP/2.0 /v1/%7Bx%7D?a=b;c {\"q\":1}\n\ndata: [DONE]\n\n" || whole.Trailer.Get("X-Sum") != "1" {
		t.Errorf("%+v", whole)
	}
	if cut := ask(t, "POST", b.url+"/cut", "{}"); !cut.Err || cut.Status != 200 {
		t.Errorf("%+v", cut)
	}
	e := b.wait(2)
	first, second := e.last[e.order[0]], e.last[e.order[1]]
	if first.Transport != capture.Complete || first.Response.Proto != "HTTP/2.0" || string(first.Response.Body.Bytes) != whole.Body || len(first.Response.Trailers) != 0 || !strings.HasSuffix(first.URL, "/v1/%7Bx%7D?a=b;c") {
		t.Errorf("%+v", first)
	}
	if second.Transport != capture.UpstreamAbort || !strings.Contains(string(second.Response.Body.Bytes), "HTTP/2.0 /cut") {
		t.Errorf("%s %q", second.Transport, second.Fault)
	}
}

// A request that an HTTP/2 upstream resets as a violation of the protocol, which net/http would send again for ever, ends
// after a few tries. Go's server does so for a trailer by that name.
func TestResetsAreNotTriedForEver(t *testing.T) {
	var conns atomic.Int32
	b := secure(t, func(_ http.ResponseWriter, r *http.Request) {
		conns.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // which is cut
	}, nil)
	r, err := http.NewRequest("POST", b.url+"/x", io.NopCloser(strings.NewReader("{}")))
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"Authorization": {"Bearer trailing-key"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_, last, _ := b.one()
	if resp.StatusCode != http.StatusBadGateway || last.Transport == capture.Complete || last.Transport == capture.ClientAbort || last.Fault == "" || conns.Load() > 10 {
		t.Errorf("%d, %s %q, %d requests", resp.StatusCode, last.Transport, last.Fault, conns.Load())
	}
}

// No secret stays of a call over HTTP/2, in trailers of both directions, or in the frames of a WebSocket, in records, files, logs or
// counts.
func TestNoSecretStaysOnOtherWays(t *testing.T) {
	marks := []string{"MARKED-bearer-0001", "MARKED-trailer-002", "MARKED-setcookie-3", "MARKED-cookie-0004", "MARKED-query-00005", "MARKED-token-00006", "MARKED-wskey-00007", "MARKED-protocol-8"}
	var log bytes.Buffer
	logged := func(o *proxy.Options, _ *spool.Spool) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Tokens = []ingest.Token{{Secret: marks[5]}}
	}
	b := secure(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // its trailers are behind it
		w.Header().Set("Trailer", "X-Request-Id, X-Secret")
		w.Header().Set("Set-Cookie", "s="+marks[2])
		all := r.Header.Get("Authorization") + " " + r.URL.RawQuery + " " + r.Header.Get("Cookie")
		_, _ = io.WriteString(w, all)
		w.Header().Set("X-Request-Id", all)
		w.Header().Set("X-Secret", marks[1])
	}, logged)
	r, err := http.NewRequest("POST", b.url+"/v1/chat/completions?access_token="+marks[4], io.NopCloser(strings.NewReader(`{}`)))
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"X-Secret": {marks[1]}, "X-Sum": {"1"}}
	for name, v := range map[string]string{"Authorization": "Bearer " + marks[0], "Cookie": "c=" + marks[3], "X-Indelible-Token": marks[5]} {
		r.Header.Set(name, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(got), marks[0]) || !strings.Contains(string(got), marks[3]) {
		t.Errorf("%v: %s", err, got)
	}
	_ = resp.Body.Close()
	_, first, _ := b.one()
	if !first.Response.Body.Masked || first.Response.Proto != "HTTP/2.0" || len(first.Response.Trailers) != 1 {
		t.Errorf("%+v", first)
	}

	echo := newScript(t, func(c net.Conn, r *http.Request, _ []byte) { // says in the first frame what it was sent
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: "+r.Header.Get("Sec-WebSocket-Protocol")+"\r\n\r\n")
		_, _ = io.WriteString(c, "\x81\x20"+r.Header.Get("Authorization")+r.URL.RawQuery)
		_, _ = io.Copy(c, c)
		_ = c.Close()
	})
	ws := newBench(t, echo.addr, logged)
	c := dial(t, ws)
	fmt.Fprintf(c, "GET /up/v1/realtime?key=%s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: realtime, openai-insecure-api-key.%s\r\nAuthorization: Bearer %s\r\nX-Indelible-Token: %s\r\n\r\n", marks[4], marks[6], marks[7], marks[0], marks[5])
	in := bufio.NewReader(c)
	if up, err := http.ReadResponse(in, nil); err != nil || up.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(up, err)
	}
	fmt.Fprintf(c, "\x81\x12%s", marks[0]) // a client may send its own key in a frame
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(in); err != nil || !strings.Contains(string(got), marks[0]) {
		t.Errorf("%v: %q", err, got)
	}
	_, last, _ := ws.one()
	if last.Status != 101 || !last.Response.Body.Masked || last.ClientStream == nil || !last.ClientStream.Masked {
		t.Errorf("%+v", last)
	}
	for _, dir := range []string{b.dir, ws.dir} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			for _, mark := range marks {
				if bytes.Contains(content, []byte(mark)) {
					t.Errorf("%s holds %s", name, mark)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	counted := fmt.Sprintf("%+v %+v", b.door.Stats(), ws.door.Stats())
	for _, mark := range marks {
		if strings.Contains(log.String(), mark) || strings.Contains(counted, mark) {
			t.Errorf("the log or the counts hold %s", mark)
		}
	}
}
