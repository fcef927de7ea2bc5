package proxy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/torture"
)

// seen is all that a client sees of an answer.
type seen struct {
	Status   int
	Header   http.Header
	Interim  []int
	Body     string
	Err      bool
	Trailer  http.Header
	Length   int64
	Chunked  bool
	Redirect string
}

// ask makes a call and reads its answer.
func ask(t testing.TB, method, url, body string, header ...string) seen {
	t.Helper()
	var s seen
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		s.Interim = append(s.Interim, code)
		return nil
	}})
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		s.Err = true
		return s
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	s.Status, s.Body, s.Err, s.Length, s.Chunked = resp.StatusCode, string(b), err != nil, resp.ContentLength, slices.Contains(resp.TransferEncoding, "chunked")
	s.Header, s.Trailer = resp.Header.Clone(), resp.Trailer.Clone()
	for _, name := range []string{"X-Indelible-Receipt", "Trailer", "Connection"} {
		s.Header.Del(name)
		s.Trailer.Del(name)
	}
	if len(s.Trailer) == 0 {
		s.Trailer = nil
	}
	return s
}

// askTooMuch asks until the refusal arrives: it comes before the whole body has been sent, and the
// client gives up on an answer that is not there soon after its writing failed.
func askTooMuch(t testing.TB, url, body string) seen {
	t.Helper()
	s := ask(t, "POST", url, body)
	for try := 0; s.Err && s.Status == 0 && try < 30; try++ {
		s = ask(t, "POST", url, body)
	}
	return s
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func chunked(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	return b.String() + "0\r\n"
}

const (
	ok        = "HTTP/1.1 200 OK\r\n"
	sse       = "Content-Type: text/event-stream\r\n"
	isChunked = "Transfer-Encoding: chunked\r\n"
)

// answers are what upstreams send, by what they try.
var answers = map[string]string{
	"short":               ok + "Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"model\": \"m\"}",
	"empty":               ok + "Content-Length: 0\r\n\r\n",
	"no content":          "HTTP/1.1 204 No Content\r\nX-Request-Id: r\r\n\r\n",
	"not modified":        "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n",
	"redirect":            "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/x\r\nContent-Length: 2\r\n\r\nno",
	"rate limit":          "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nX-Should-Retry: true\r\nContent-Length: 26\r\n\r\n{\"error\":{\"message\":\"no\"}}",
	"error stream":        "HTTP/1.1 500 Oops\r\n" + sse + isChunked + "\r\n" + chunked("event: error\n", "data: {}\n\n") + "\r\n",
	"sse":                 ok + sse + isChunked + "\r\n" + chunked("data: {\"a\":", "1}\n\n", "data: [DONE]\n\n") + "\r\n",
	"sse byte by byte":    ok + sse + isChunked + "\r\n" + chunked(strings.Split("data: {\"é\":1}\r\n\r\nda", "")...) + "\r\n",
	"trailers":            ok + "Trailer: X-Sum, X-Other\r\n" + isChunked + "\r\n" + chunked("abc") + "X-Sum: 1\r\nX-Other: 2\r\n\r\n",
	"trailers unforetold": ok + isChunked + "\r\n" + chunked("abc") + "X-Sum: 1\r\n\r\n",
	"gzip":                ok + "Content-Encoding: gzip\r\n" + isChunked + "\r\n" + chunked(gzipped("{\"model\":\"z\"}")) + "\r\n",
	"until close":         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\nto the end",
	"old":                 "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"x\":1}",
	"early hints":         "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx",
	"many headers":        ok + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-A: one\r\nX-A: two\r\nServer: other\r\nContent-Length: 1\r\n\r\ny",
	"binary":              ok + "Content-Type: audio/mpeg\r\nContent-Length: 6\r\n\r\n\x00\xff\xfe\x80\r\n",
	"large":               ok + "Content-Length: 300000\r\n\r\n" + strings.Repeat("0123456789", 30_000),
	"large chunked":       ok + isChunked + "\r\n" + chunked(strings.Repeat("é", 70_000), "x", strings.Repeat("\xff", 200_000)) + "\r\n",
}

// Answers reach the client as they would without the proxy, and are recorded byte for byte.
func TestAnswersAreUnchanged(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
				head, body, _ := strings.Cut(answer, "\r\n\r\n")
				if r.Method == "HEAD" {
					body = ""
				}
				_, _ = io.WriteString(c, head+"\r\n\r\n"+body)
				if strings.HasPrefix(name, "until") || name == "old" {
					_ = c.Close()
				}
			})
			b := newBench(t, up.addr, nil)
			direct := ask(t, "POST", up.addr+"/v1/x?alt=sse", `{"model":"m"}`)
			through := ask(t, "POST", b.url+"/v1/x?alt=sse", `{"model":"m"}`)
			if name == "until close" || name == "old" { // an answer without an end of its own gets one
				through.Chunked = direct.Chunked
			}
			if !reflect.DeepEqual(direct, through) {
				t.Errorf("\n  direct %.300q\n through %.300q", fmt.Sprint(direct), fmt.Sprint(through))
			}
			open, last, _ := b.one()
			if string(last.Response.Body.Bytes) != direct.Body || last.Response.Body.Size != int64(len(direct.Body)) || last.Transport != capture.Complete || last.Status != direct.Status {
				t.Errorf("recorded %d bytes, %s, %d", len(last.Response.Body.Bytes), last.Transport, last.Status)
			}
			if open == nil || string(open.Request.Body.Bytes) != `{"model":"m"}` || last.Open == "" {
				t.Errorf("open: %+v", open)
			}
			if name != "early hints" {
				direct, through = ask(t, "HEAD", up.addr+"/", ""), ask(t, "HEAD", b.url+"/", "")
				if direct.Chunked && name != "sse" {
					through.Chunked = true
				}
				if direct.Header.Del("Content-Length"); !reflect.DeepEqual(direct.Header, withoutLength(through.Header)) || direct.Status != through.Status || through.Err {
					t.Errorf("HEAD\n  direct %+.300v\n through %+.300v", direct, through)
				}
			}
		})
	}
}

func withoutLength(h http.Header) http.Header {
	h.Del("Content-Length")
	return h
}

// Requests reach the upstream as they were sent: method, path, query, headers, body, framing.
func TestRequestsAreUnchanged(t *testing.T) {
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		_, _ = io.WriteString(c, ok+"Content-Length: 0\r\n\r\n")
	})
	b := newBench(t, up.addr, nil)
	for _, raw := range []string{
		"GET /v1/models?a=b;c&d=%zz&e HTTP/1.1\r\nHost: H\r\nAccept-Encoding: gzip\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
		"POST /v1/a%2Fb/../c//d:e?key=k HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nContent-Type: x/y; q=\"é\"\r\n\r\n{\"a\":",
		"PATCH / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: v\r\n\r\n",
		"DELETE /x HTTP/1.1\r\nHost: H\r\nUser-Agent: one\r\nAuthorization: Bearer k\r\n\r\n",
		"OPTIONS /x HTTP/1.1\r\nHost: H\r\n\r\n",
		"GET /{a}|\"b\"^`é/%7Bc%7d?q={|}\" HTTP/1.1\r\nHost: H\r\n\r\n",
		"BREW /x%20y HTTP/1.1\r\nHost: H\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000),
		"POST /x HTTP/1.1\r\nHost: H\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
	} {
		addr := strings.TrimPrefix(strings.TrimSuffix(b.url, "/up"), "http://")
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		method, rest, _ := strings.Cut(raw, " ")
		sent := method + " /up" + strings.Replace(rest, "Host: H", "Host: "+addr, 1)
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		for status := 0; status < 200; {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "HTTP/1.1 ") {
				_, _ = fmt.Sscan(line[9:], &status)
			}
		}
		_ = c.Close()
		up.mu.Lock()
		got := up.got[len(up.got)-1]
		up.got = nil
		up.mu.Unlock()
		if g, w := normal(got), normal(strings.Replace(raw, "Host: H", "Host: "+strings.TrimPrefix(up.addr, "http://"), 1)); g != w {
			t.Errorf("\n got %.400q\nwant %.400q", g, w)
		}
	}
}

// normal is a request with its headers sorted, and one chunk in place of several.
func normal(raw string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Expect:") })
	body = strings.ReplaceAll(body, "3\r\nabc\r\n2\r\nde\r\n", "5\r\nabcde\r\n")
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// Wherever the upstream cuts the connection, the client sees that it was cut, and the record says so.
func TestUpstreamAbortsStayAborts(t *testing.T) {
	whole := ok + sse + isChunked + "\r\n" + chunked("data: {\"id\":1}\n\n", "data: [DONE]\n\n") + "\r\n"
	plain := ok + "Content-Length: 20\r\n\r\n01234567890123456789"
	for _, answer := range []string{whole, plain} {
		cut := 0
		up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
			_, _ = io.WriteString(c, answer[:cut])
			_ = c.Close()
		})
		b := newBench(t, up.addr, nil)
		head := strings.Index(answer, "\r\n\r\n") + 4
		n := 0
		for cut = 0; cut < len(answer); cut += torture.RaceStep(3) {
			s := ask(t, "POST", b.url+"/v1/chat/completions", "{}")
			n++
			e := b.wait(n)
			last := e.last[e.order[len(e.order)-1]]
			if cut < head {
				if s.Status != http.StatusBadGateway || last.Transport == capture.Complete || last.Status != 0 {
					t.Fatalf("cut at %d: %d, recorded %s %d", cut, s.Status, last.Transport, last.Status)
				}
				continue
			}
			if !s.Err || last.Transport != capture.UpstreamAbort || last.Fault == "" || last.Status != 200 {
				t.Fatalf("cut at %d of %d: the client saw error %v %q; recorded %s, %q", cut, len(answer), s.Err, s.Body, last.Transport, last.Fault)
			}
			if got := string(last.Response.Body.Bytes); !strings.HasPrefix(got, s.Body) {
				t.Fatalf("cut at %d: the client has %q, the record %q", cut, s.Body, got)
			}
		}
	}
}
