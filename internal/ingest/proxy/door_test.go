package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/recorder"
	"indelible/internal/spool"
)

// A client that leaves: the call is cancelled, or its answer is read on.
func TestClientLeaves(t *testing.T) {
	for _, drain := range []time.Duration{0, 10 * time.Second} {
		t.Run(fmt.Sprint(drain), func(t *testing.T) {
			gone, cut := make(chan struct{}), make(chan error, 1)
			up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
				_, _ = io.WriteString(c, ok+sse+isChunked+"\r\n"+strings.TrimSuffix(chunked("data: 1\n\n"), "0\r\n"))
				<-gone
				if drain == 0 {
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
					_, err := c.Read(make([]byte, 1))
					cut <- err
					return
				}
				time.Sleep(50 * time.Millisecond)
				_, _ = io.WriteString(c, chunked("data: 2\n\n")+"\r\n")
			})
			b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) { o.Recorder.Drain = drain })
			ctx, cancel := context.WithCancel(t.Context())
			r, _ := http.NewRequestWithContext(ctx, "POST", b.url+"/x", strings.NewReader("{}"))
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 9)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = resp.Body.Close()
			close(gone)
			_, last, d := b.one()
			want := "data: 1\n\n"
			if drain > 0 {
				want += "data: 2\n\n"
			} else if err := <-cut; err != io.EOF {
				t.Errorf("the upstream saw %v", err)
			}
			if last.Transport != capture.ClientAbort || string(last.Response.Body.Bytes) != want || d.Status != "failure" || d.EndedBy != "client_abort" {
				t.Errorf("%s %q, %+v", last.Transport, last.Response.Body.Bytes, d)
			}
		})
	}
}

// An upstream that cannot be reached: 502, and the record says why.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	b := newBench(t, "http://"+l.Addr().String(), nil)
	if s := ask(t, "POST", b.url+"/x", "{}"); s.Status != 502 || !strings.Contains(s.Body, "upstream_unreachable") ||
		!strings.Contains(s.Body, "doors.proxy.upstreams.") || strings.Contains(s.Body, "dial") || strings.Contains(s.Body, l.Addr().String()) {
		t.Errorf("%+v", s)
	}
	_, last, _ := b.one()
	if last.Transport != capture.ProxyError || last.Status != 0 || !strings.Contains(last.Fault, "refused") {
		t.Errorf("%+v", last)
	}
}

// No secret of a call is anywhere on the disk or in the log, whatever the upstream does with it.
func TestNoSecretStays(t *testing.T) {
	marks := []string{"MARKED-bearer-0001", "MARKED-x-api-key-2", "MARKED-goog-key-03", "MARKED-azure-0004", "MARKED-query-0005", "MARKED-cookie-006", "MARKED-setcookie7", "MARKED-upstream-8", "MARKED-proxyauth9", "MARKED-token-0010"}
	up := newScript(t, func(c net.Conn, r *http.Request, body []byte) {
		all := fmt.Sprint(r.Header, r.URL, string(body))
		for _, form := range []string{"%d\r\n\r\n%s", "%d\r\nX-Request-Id: " + r.Header.Get("Authorization") + "\r\n\r\n%s"} {
			if strings.HasSuffix(r.URL.Path, "2") == strings.Contains(form, "Request") {
				_, _ = fmt.Fprintf(c, ok+"Set-Cookie: id="+marks[6]+"\r\nContent-Length: "+form, len(all), all)
				return
			}
		}
	})
	var log bytes.Buffer
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(marks[7]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Upstreams = append(o.Upstreams, proxy.Upstream{Name: "keyed", URL: up.addr, KeyFile: keyFile}, proxy.Upstream{Name: "away", URL: "http://127.0.0.1:1"})
		o.Tokens = []ingest.Token{{Secret: marks[9]}}
	})
	base := strings.TrimSuffix(b.url, "/up")
	n := 0
	for _, path := range []string{"/up/1", "/up/2", "/keyed/1", "/away/1"} {
		for _, h := range [][]string{
			{"Authorization", "Bearer " + marks[0]}, {"X-Api-Key", marks[1]}, {"X-Goog-Api-Key", marks[2]}, {"Api-Key", marks[3]}, nil,
		} {
			body := "{}"
			if len(h) > 0 {
				body = `{"echo":"` + h[1] + `"}`
			}
			s := ask(t, "POST", base+path+"?key="+marks[4], body, append(h, "Cookie", "c="+marks[5], "Proxy-Authorization", marks[8], "X-Indelible-Token", marks[9])...)
			if s.Status != 200 && !strings.HasPrefix(path, "/away") {
				t.Fatalf("%s %v: %+v", path, h, s)
			}
			if strings.Contains(s.Body, marks[9]) || strings.Contains(s.Body, marks[8]) {
				t.Error("the door's own token reached the upstream")
			}
			if strings.HasPrefix(path, "/keyed") && (!strings.Contains(s.Body, marks[7]) || len(h) > 0 && strings.Contains(s.Body, "["+h[1]+"]")) {
				t.Errorf("the upstream got %s", s.Body)
			}
			n++
		}
	}
	if e := b.wait(n); len(e.last) != n || len(e.open) != n {
		t.Errorf("%d opens, %d ends of %d", len(e.open), len(e.last), n)
	}
	searched := 0
	err := filepath.WalkDir(b.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		searched += len(content)
		for _, mark := range marks {
			if bytes.Contains(content, []byte(mark)) {
				t.Errorf("%s holds %s", name, mark)
			}
		}
		return err
	})
	if err != nil || searched < 10_000 {
		t.Error(searched, err)
	}
	for _, mark := range marks {
		if strings.Contains(log.String(), mark) {
			t.Errorf("the log holds %s", mark)
		}
	}
	if !strings.Contains(log.String(), "upstream_unreachable") {
		t.Error("nothing was logged")
	}
}

// Tokens: who has none is refused; the token may stand where the key of the upstream would.
func TestTokens(t *testing.T) {
	up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
		text := r.Header.Get("Authorization") + "|" + r.Header.Get("X-Api-Key")
		_, _ = fmt.Fprintf(c, ok+"Content-Length: %d\r\n\r\n%s", len(text), text)
	})
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte("upstream-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
		o.Tokens = []ingest.Token{{Secret: "token", Name: "eu", Team: "search"}}
		o.Upstreams = append(o.Upstreams, proxy.Upstream{Name: "keyed", URL: up.addr, KeyFile: keyFile, Header: "x-api-key"})
	})
	base := strings.TrimSuffix(b.url, "/up")
	for _, c := range []struct {
		path   string
		header []string
		want   string
	}{
		{"/up/x", nil, ""}, {"/up/x", []string{"Authorization", "Bearer token"}, ""}, {"/up/x", []string{"X-Indelible-Token", "tokem"}, ""},
		{"/up/x", []string{"X-Indelible-Token", "token", "Authorization", "Bearer mine"}, "Bearer mine|"},
		{"/keyed/x", []string{"Authorization", "Bearer token"}, "|upstream-key"}, {"/keyed/x", []string{"X-Api-Key", "token"}, "|upstream-key"},
		{"/keyed/x?key=token", nil, "|upstream-key"}, {"/keyed/x", []string{"Authorization", "Bearer other"}, ""},
	} {
		s := ask(t, "GET", base+c.path, "", c.header...)
		if c.want == "" && s.Status != 401 || c.want != "" && s.Body != c.want {
			t.Errorf("%s %q: %+v", c.path, c.header, s)
		}
	}
	n := 0
	for e, err := range b.spool.Entries(t.Context(), 1) {
		if err != nil || e.Source != "search/eu" {
			t.Fatalf("%+v, %v", e.Info, err)
		}
		n++
	}
	if n == 0 {
		t.Error("nothing was recorded")
	}
}

// An SDK's retry is linked to the attempt before.
func TestRetriesAreLinked(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
	})
	b := newBench(t, up.addr, nil)
	for _, body := range []string{"{}", `{"other":1}`} {
		for i := range 3 {
			ask(t, "POST", b.url+"/v1/x", body, "X-Stainless-Retry-Count", fmt.Sprint(i), "Authorization", "Bearer k")
		}
	}
	e := b.records()
	for i, id := range e.order {
		before := ""
		if i%3 > 0 {
			before = e.order[i-1]
		}
		if c := e.last[id]; c.RetryOf != before || c.Retry != fmt.Sprint(i%3) {
			t.Errorf("%d: attempt %s of %q, want %q", i, c.Retry, c.RetryOf, before)
		}
	}
}

// An upgraded connection passes both ways, also one of a protocol that nobody knows, and what passed is recorded.
func TestUpgrade(t *testing.T) {
	up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\nConnection: Upgrade\r\n\r\nhello")
		got := make([]byte, 5)
		_, _ = io.ReadFull(c, got)
		_, _ = c.Write(bytes.ToUpper(got))
		_ = c.Close()
	})
	b := newBench(t, up.addr, nil)
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), "/up"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprint(c, "GET /up/v1/realtime?model=m HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "other" {
		t.Fatal(resp, err)
	}
	if _, err := io.WriteString(c, "\x7fabcd"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(in)
	if err != nil || string(rest) != "hello\x7fABCD" {
		t.Errorf("%q %v", rest, err)
	}
	_ = c.Close()
	_, last, _ := b.one()
	if last.Status != 101 || string(last.Response.Body.Bytes) != "hello\x7fABCD" || last.ClientStream == nil || string(last.ClientStream.Bytes) != "\x7fabcd" || last.Transport != capture.Complete {
		t.Errorf("%+v", last)
	}
}

// What is over the bounds is refused, or passed and cut in the record, which says so.
func TestBounds(t *testing.T) {
	const long = 300_000
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+isChunked+"\r\n"+chunked(strings.Repeat("x", long))+"\r\n")
	})
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) { o.Recorder.MaxRequest, o.Recorder.MaxKept = 100_000, 100_000 })
	if s := askTooMuch(t, b.url+"/x", strings.Repeat("y", 100_001)); s.Status != 413 || !strings.Contains(s.Body, "doors.proxy.max_request") {
		t.Errorf("%+v", s)
	}
	if s := ask(t, "POST", b.url+"/x", strings.Repeat("y", 100_000)); len(s.Body) != long || s.Err {
		t.Errorf("%d bytes", len(s.Body))
	}
	_, last, d := b.one()
	if body := last.Response.Body; len(body.Bytes) != 100_000 || body.Size != long || len(d.Unparsed) == 0 {
		t.Errorf("%d of %d, %q", len(body.Bytes), body.Size, d.Unparsed)
	}
	if s := ask(t, "GET", strings.TrimSuffix(b.url, "up")+"none/x", ""); s.Status != 404 || !strings.Contains(s.Body, "/up") {
		t.Errorf("%+v", s)
	}
	left, err := os.ReadDir(filepath.Join(b.dir, recorder.Dir))
	if err != nil || len(left) != 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}

// A body that stops short makes no call.
func TestBrokenRequest(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) { t.Error("the upstream was called") })
	b := newBench(t, up.addr, nil)
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), "/up"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "POST /up/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.ReadAll(c)
	_ = c.Close()
	if e := b.records(); len(e.open)+len(e.last) != 0 {
		t.Errorf("%+v", e)
	}
}

var _ ingest.Door = (*proxy.Door)(nil)
