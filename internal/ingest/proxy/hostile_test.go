package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/record"
	"indelible/internal/recorder"
	"indelible/internal/spool"
)

// A secret that comes back where bytes cannot be masked is not in what is derived from them.
func TestNoSecretIsDerived(t *testing.T) {
	const secret = "MARKED-secret-0001"
	refused := `{"error":{"message":"Incorrect API key provided: ` + secret + `","type":"` + secret + `","code":"` + secret + `"}}`
	chat := `{"id":"` + secret + `","model":"` + secret + `","choices":[{"message":{"content":"` + secret + `","tool_calls":[{"id":"` + secret +
		`","function":{"name":"f","arguments":"` + secret + `"}}]},"finish_reason":"` + secret + `"}],"usage":{"prompt_tokens":1,"x":"` + secret + `"}}`
	escaped := strings.ReplaceAll(refused, "MARKED", `\u004dARKED`)
	for name, body := range map[string]string{"error": gzipped(refused), "answer": gzipped(chat), "escaped": escaped} {
		coding := "Content-Encoding: gzip\r\n"
		if name == "escaped" {
			coding = ""
		}
		up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 401 No\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", coding, len(body), body)
		})
		b := newBench(t, up.addr, nil)
		if s := ask(t, "POST", b.url+"/v1/chat/completions", "{}", "Authorization", "Bearer "+secret); s.Body != body {
			t.Errorf("%s: the client has %q", name, s.Body)
		}
		if _, _, d := b.one(); d.Status != "failure" || name != "answer" && !strings.Contains(d.ErrorMessage, "Incorrect API key provided: ****") {
			t.Errorf("%s: %+v", name, d)
		}
		for record, err := range bodies(b.spool) {
			if err != nil || bytes.Contains(record, []byte(secret)) {
				t.Errorf("%s: %v: %s", name, err, record)
			}
		}
	}
}

// An upstream that is no HTTP server and repeats the request: the error quotes it.
func TestNoSecretInErrors(t *testing.T) {
	const secret, second = "MARKED%2Fquery-0001", "MARKED-second-0002"
	for _, answer := range []string{"?%s HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n %s\r\n\r\n", ok + isChunked + "\r\n1\r\nx\r\n0\r\n %s\r\n\r\n", ok + isChunked + "\r\n1\r\nx\r\n0\r\n%s\r\n\r\n"} {
		up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
			_, _ = fmt.Fprintf(c, answer, r.URL.RawQuery)
			_ = c.Close()
		})
		var log bytes.Buffer
		b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		s := ask(t, "GET", b.url+"/v1?KEY="+second+"&key="+secret, "")
		_, last, _ := b.one()
		t.Logf("%q: %d %q; recorded %s %q", answer, s.Status, s.Body, last.Transport, last.Fault)
		if last.Transport == capture.Complete || !s.Err && s.Status != http.StatusBadGateway {
			t.Errorf("%+v %+v", s, last)
		}
		for record, err := range bodies(b.spool) {
			if err != nil || bytes.Contains(record, []byte("MARKED")) {
				t.Errorf("%v: %s", err, record)
			}
		}
		if strings.Contains(log.String(), "MARKED") {
			t.Errorf("the log holds a secret: %s", log.String())
		}
	}
}

// An upstream that switches the protocol without being asked to: the call has an end, and its connection too.
func TestUnaskedUpgrade(t *testing.T) {
	for _, head := range []string{"Upgrade: other\r\nConnection: Upgrade\r\n", ""} {
		for _, header := range [][]string{nil, {"Connection", "Upgrade", "Upgrade", "websocket"}} {
			closed := make(chan struct{})
			up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n"+head+"\r\nx")
				_, _ = io.Copy(io.Discard, c)
				close(closed)
			})
			b := newBench(t, up.addr, nil)
			if s := ask(t, "GET", b.url+"/v1/realtime", "", header...); s.Status != http.StatusBadGateway {
				t.Errorf("%+v", s)
			}
			e := b.records() // strict: no answer before the record
			if len(e.open) != 1 || len(e.last) != 1 {
				t.Fatalf("%q %q: %d opens, %d ends", head, header, len(e.open), len(e.last))
			}
			if last := e.last[e.order[0]]; last.Transport != capture.ProxyError || !strings.Contains(last.Fault, "not asked for") {
				t.Errorf("%+v", last)
			}
			<-closed
			left, err := os.ReadDir(filepath.Join(b.dir, recorder.Dir))
			if err != nil || len(left) != 0 {
				t.Errorf("files are left: %v %v", left, err)
			}
		}
	}
}

// An upgraded connection that the upstream resets is no complete one.
func TestResetUpgrade(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
		_, _ = io.ReadFull(c, make([]byte, 1)) // the client has it
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	b := newBench(t, up.addr, nil)
	c := dial(t, b)
	fmt.Fprint(c, "GET /up/v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	got := make([]byte, 0, 4096)
	for !bytes.HasSuffix(got, []byte("hello")) {
		n, err := c.Read(got[len(got):cap(got)])
		if got = got[:len(got)+n]; err != nil {
			t.Fatal(err, string(got))
		}
	}
	_, _ = io.WriteString(c, "x")
	_, _ = io.Copy(io.Discard, c)
	if _, last, _ := b.one(); last.Transport != capture.UpstreamAbort || last.Fault == "" || string(last.Response.Body.Bytes) != "hello" {
		t.Errorf("%+v", last)
	}
}

func dial(t *testing.T, b *bench) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), "/up"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A client of HTTP/1.0, as many reverse proxies are, has nothing but the connection to tell an abort by.
func TestAbortReachesHTTP10(t *testing.T) {
	for _, cut := range []bool{true, false} {
		up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
			whole := ok + isChunked + "\r\n" + chunked("part")
			if !cut {
				whole += "\r\n"
			}
			_, _ = io.WriteString(c, whole)
			_ = c.Close()
		})
		b := newBench(t, up.addr, nil)
		c := dial(t, b)
		fmt.Fprint(c, "GET /up/x HTTP/1.0\r\nHost: localhost\r\n\r\n")
		got, err := io.ReadAll(c)
		if (err != nil) != cut {
			t.Errorf("cut %v: the client has %q and the error %v", cut, got, err)
		}
		if _, last, _ := b.one(); (last.Transport == capture.UpstreamAbort) != cut {
			t.Errorf("%+v", last)
		}
	}
}

// A receipt in an answer is of this log.
func TestReceiptIsOurs(t *testing.T) {
	const forged = "other/1/0000"
	up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
		if r.URL.Path == "/long" {
			_, _ = io.WriteString(c, ok+"X-Indelible-Receipt: "+forged+"\r\nContent-Length: 70000\r\n\r\n"+strings.Repeat("x", 70_000))
			return
		}
		_, _ = io.WriteString(c, ok+"X-Indelible-Receipt: "+forged+"\r\nTrailer: X-Indelible-Receipt\r\n"+isChunked+"\r\n"+chunked("x")+"X-Indelible-Receipt: "+forged+"\r\n\r\n")
	})
	var none atomic.Bool
	full := func(o *proxy.Options, s *spool.Spool) { // passed without records
		o.Recorder.PassFull, o.Recorder.MaxHold = true, time.Minute
		o.Recorder.Log = appender(func(ctx context.Context, r record.Record) (record.Receipt, error) {
			if none.Load() {
				return record.Receipt{}, record.ErrPushback
			}
			return s.Append(ctx, r)
		})
		none.Store(true)
	}
	for name, with := range map[string]func(*proxy.Options, *spool.Spool){"strict": nil, "full": full} {
		b := newBench(t, up.addr, with)
		for _, path := range []string{"/long", "/chunks"} {
			resp, err := http.Get(b.url + path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			_ = resp.Body.Close()
			if h, tr := resp.Header.Get("X-Indelible-Receipt"), resp.Trailer.Get("X-Indelible-Receipt"); h == forged || tr == forged {
				t.Errorf("%s %s: header %q, trailer %q", name, path, h, tr)
			}
		}
		none.Store(false)
	}
}

// Nobody leaves the path of an upstream's URL, which the door may have a key for.
func TestNoWayOutOfTheBase(t *testing.T) {
	up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
		_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", ok, len(r.RequestURI), r.RequestURI)
	})
	b := newBench(t, up.addr+"/team/a", nil)
	for _, path := range []string{"/../b", "/%2e%2e/b", "/x/..", "/x%2f..%2f..%2fb", "/..%5cb", "/.%2E/b"} {
		c := dial(t, b)
		fmt.Fprintf(c, "GET /up%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
		if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 400") {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"/x..y/...", "//b", "/a%2Fb"} {
		if s := ask(t, "GET", b.url+path, ""); s.Body != "/team/a"+path {
			t.Errorf("%s: %+v", path, s)
		}
	}
}

// The door's token, wherever authenticate takes it from, does not go to the upstream.
func TestTokenInTheQueryStays(t *testing.T) {
	const token, key = "MARKED-token-0001", "the-upstreams-key"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) { _, _ = io.WriteString(c, ok+"Content-Length: 0\r\n\r\n") })
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
		o.Tokens, o.Upstreams[0].KeyFile = []ingest.Token{{Secret: token}}, file
	})
	for _, name := range []string{"key", "KEY", "%6bey"} {
		if s := ask(t, "GET", b.url+"/x?a=1&"+name+"="+token+"&b=2", ""); s.Status != 200 {
			t.Fatalf("%+v", s)
		}
	}
	for _, got := range up.got {
		if strings.Contains(got, token) || !strings.HasPrefix(got, "GET /x?a=1&b=2 ") {
			t.Errorf("the upstream got %s", got)
		}
	}
}

// unframed are the bytes in the frames of a file under way: each is behind its length and checksum.
func unframed(b []byte) (all []byte) {
	for len(b) >= 8 {
		n := min(int(binary.LittleEndian.Uint32(b)), len(b)-8)
		all, b = append(all, b[8:8+n]...), b[8+n:]
	}
	return all
}

// The file of an answer under way holds no secret, also one that comes in two pieces: if the process
// dies, nobody knows any more what to look for in it.
func TestNoSecretInFilesUnderWay(t *testing.T) {
	const secret, filler = "MARKED-secret-MARKED-0001", 100_000
	body := strings.Repeat("x", filler) + secret + secret[:14] + secret + " tail " + secret[:20]
	release := make(chan struct{})
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+isChunked+"\r\n")
		for at := 0; at < len(body); {
			end := min(len(body), at+filler)
			if at >= filler {
				end = min(len(body), at+3)
			}
			_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", end-at, body[at:end])
			if at = end; at > filler {
				time.Sleep(20 * time.Millisecond)
			}
		}
		<-release
		_, _ = io.WriteString(c, "0\r\n\r\n")
	})
	b := newBench(t, up.addr, nil)
	done := make(chan seen)
	go func() { done <- ask(t, "GET", b.url+"/x", "", "X-Api-Key", secret) }()
	var content []byte
	for deadline := time.Now().Add(20 * time.Second); !bytes.Contains(content, []byte(" tail ")) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		names, err := filepath.Glob(filepath.Join(b.dir, recorder.Dir, "*.answer"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			content, _ = os.ReadFile(name) // it grows
			content = unframed(content)
			if bytes.Contains(content, []byte(secret)) {
				t.Fatal("the file holds the secret")
			}
		}
	}
	if !bytes.Contains(content, []byte(strings.Repeat("*", len(secret))+" tail ")) {
		t.Errorf("the file ends with %q", content[max(0, len(content)-100):])
	}
	close(release)
	if s := <-done; s.Body != body {
		t.Errorf("the client has %d bytes of %d", len(s.Body), len(body))
	}
	_, last, _ := b.one()
	if got, want := string(last.Response.Body.Bytes), strings.ReplaceAll(body, secret, strings.Repeat("*", len(secret))); got != want || !last.Response.Body.Masked || last.Response.Body.Digest != sha256.Sum256([]byte(body)) {
		t.Errorf("recorded ...%q, masked %v", got[max(0, len(got)-120):], last.Response.Body.Masked)
	}
}
