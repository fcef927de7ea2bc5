package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
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
	"indelible/internal/ingest/proxy"
	"indelible/internal/recorder"
	"indelible/internal/spool"
)

// echoes are what an upstream does with a credential, by path: said is what it was sent.
var echoes = map[string]func(said string) (head, body string){
	"plain": func(said string) (string, string) {
		return "HTTP/1.1 401 No\r\n", `{"error":{"message":"wrong: ` + said + `"}}`
	},
	"gzip": func(said string) (string, string) {
		return ok + "Content-Encoding: gzip\r\n", gzipped(`{"said":"` + said + `"}`)
	},
	"base64": func(said string) (string, string) {
		return ok, base64.StdEncoding.EncodeToString([]byte("said " + said))
	},
	"binary": func(said string) (string, string) { return ok, "\xff\x00" + said },
	"redirect": func(said string) (string, string) {
		return "HTTP/1.1 307 No\r\nLocation: https://h/?key=" + said + "\r\n", "see https://h/?key=" + said
	},
	"cookie": func(said string) (string, string) {
		return ok + "Set-Cookie: id=" + said + "; Path=/\r\n", "id=" + said
	},
	"header": func(said string) (string, string) {
		return ok + "X-Request-Id: " + said + "\r\nX-Other: " + said + "\r\n", "{}"
	},
	"long": func(said string) (string, string) { return ok, strings.Repeat("some text ", 40_000) + said },
	"trailers": func(said string) (string, string) {
		return ok + "Trailer: X-Request-Id, X-Sum\r\n" + isChunked, chunked(said, said[:9], said[9:]) + "X-Request-Id: " + said + "\r\nX-Sum: " + said + "\r\n\r\n"
	},
}

// TestNoSecretStaysWhereverItStands sends a marked credential in each place where a provider's can stand, to upstreams that repeat it in each way, and looks
// for it byte by byte in whatever is on the disk afterwards, in the bytes that records hold in base64, in the log and in the counts.
func TestNoSecretStaysWhereverItStands(t *testing.T) {
	const mark = "s3cr3t/MARKED+0123456789"
	places := map[string]func(h http.Header, query *string, body *string){
		"authorization":  func(h http.Header, _, _ *string) { h.Set("Authorization", "Bearer "+mark) },
		"x-api-key":      func(h http.Header, _, _ *string) { h.Set("X-Api-Key", mark) },
		"x-goog-api-key": func(h http.Header, _, _ *string) { h.Set("X-Goog-Api-Key", mark) },
		"api-key":        func(h http.Header, _, _ *string) { h.Set("Api-Key", mark) },
		"another header": func(h http.Header, _, _ *string) { h.Set("Ocp-Apim-Subscription-Key", mark) },
		"basic": func(h http.Header, _, _ *string) {
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(mark+":")))
		},
		"cookie":           func(h http.Header, _, _ *string) { h.Set("Cookie", "a=b; session="+mark) },
		"key in the query": func(_ http.Header, q, _ *string) { *q = "alt=sse&key=" + mark },
		"signature": func(h http.Header, _, _ *string) {
			h.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261130/r/s/aws4_request, SignedHeaders=host, Signature="+mark)
		},
		"session token": func(h http.Header, _, _ *string) { h.Set("X-Amz-Security-Token", mark) },
		"presigned":     func(_ http.Header, q, _ *string) { *q = "X-Amz-Credential=AKID&X-Amz-Signature=" + mark },
		"presigned token": func(_ http.Header, q, _ *string) {
			*q = "X-Amz-Security-Token=" + strings.NewReplacer("/", "%2F", "+", "%2B").Replace(mark)
		},
		"where it comes from": func(h http.Header, _, _ *string) { h.Set("Referer", "https://h/?key="+mark) },
		"multipart, and a header": func(h http.Header, _, body *string) {
			h.Set("Authorization", "Bearer "+mark)
			h.Set("Content-Type", "multipart/form-data; boundary=B")
			*body = "--B\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\n" + mark + "\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\xff" + strings.Repeat("x", 300_000) + mark + "\r\n--B--\r\n"
		},
	}
	up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
		head, body := echoes[strings.TrimPrefix(r.URL.Path, "/")](mark)
		if !strings.Contains(head, isChunked) {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		_, _ = io.WriteString(c, head+"\r\n"+body)
	})
	var log bytes.Buffer
	b := newBench(t, up.addr, func(o *proxy.Options, _ *spool.Spool) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	asked := 0
	for place, put := range places {
		for way := range echoes {
			h, query, body := http.Header{}, "", "{}"
			put(h, &query, &body)
			r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/"+way+"?"+query, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = h
			resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_, want := echoes[way](mark)
			if got, err := io.ReadAll(resp.Body); err != nil || way != "trailers" && string(got) != want {
				t.Errorf("%s, %s: the client got %.100q, %v", place, way, got, err)
			}
			_ = resp.Body.Close()
			asked++
		}
	}
	e := b.wait(asked)
	if len(e.last) != asked || len(e.open) != asked {
		t.Errorf("%d opens and %d ends of %d", len(e.open), len(e.last), asked)
	}
	for _, list := range []map[string]*capture.Exchange{e.open, e.last} {
		for _, one := range list {
			for _, body := range [][]byte{one.Request.Body.Bytes, one.Response.Body.Bytes} {
				if found := findMark(body, mark); found != "" {
					t.Errorf("%s %s: %s", one.Kind, one.URL, found)
				}
			}
		}
	}
	searchDir(t, b.dir, mark)
	if text := log.String() + fmt.Sprintf("%+v", b.door.Stats()); strings.Contains(text, "MARKED") {
		t.Errorf("the log or the counts hold it: %s", text)
	}
}

// findMark says how a credential stands in bytes.
func findMark(b []byte, mark string) string {
	if bytes.Contains(b, []byte("MARKED")) {
		return "as it is"
	}
	for _, spelled := range capture.Spellings([]string{mark}) {
		if bytes.Contains(b, []byte(spelled)) {
			return "in base64"
		}
	}
	if plain, err := gunzip(b); err == nil && bytes.Contains(plain, []byte("MARKED")) {
		return "in gzip"
	}
	return ""
}

// searchDir looks for a credential in all files below a directory.
func searchDir(t *testing.T, dir, mark string) {
	t.Helper()
	searched := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if searched += len(content); findMark(content, mark) != "" {
			t.Errorf("%s holds it %s", name, findMark(content, mark))
		}
		return err
	})
	if err != nil || searched < 10_000 {
		t.Error(searched, err)
	}
}

// TestNoKeyOfABrowserStays opens WebSockets with the key as a protocol, as browsers do, to an upstream that repeats it in its frames.
func TestNoKeyOfABrowserStays(t *testing.T) {
	const mark = "sk-MARKED-0123456789"
	up := newScript(t, func(c net.Conn, r *http.Request, _ []byte) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: "+r.Header.Get("Sec-WebSocket-Protocol")+"\r\n\r\n\x81\x14"+mark)
		_, _ = io.Copy(c, c)
		_ = c.Close()
	})
	b := newBench(t, up.addr, nil)
	c := dial(t, b)
	fmt.Fprint(c, "GET /up/v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: realtime, openai-insecure-api-key."+mark+"\r\n\r\n")
	in := bufio.NewReader(c)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	fmt.Fprint(c, "\x81\x14"+mark)
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(in); err != nil || strings.Count(string(got), mark) != 2 {
		t.Errorf("%q %v", got, err)
	}
	_, last, _ := b.one()
	if last.Credential == nil || last.Credential.In != "sec-websocket-protocol" || !last.Response.Body.Masked || !last.ClientStream.Masked {
		t.Errorf("%+v", last)
	}
	searchDir(t, b.dir, mark)
}

// TestIssuedSecretsStayNowhere asks for a session's secret. The answer comes slowly, so that another would get a file: this one gets none, and what is
// recorded of it is masked.
func TestIssuedSecretsStayNowhere(t *testing.T) {
	const mark = "ek_MARKED0123456789"
	release := make(chan struct{})
	up := newScript(t, func(c net.Conn, _ *http.Request, _ []byte) {
		answer := chunked(`{"expires_at":1764000000,"client_secret":{"value":"`+mark[:10], mark[10:]+`"},`, `"model":"m","pad":"`+strings.Repeat("x", 100_000)+`"}`)
		cut := strings.Index(answer, `"pad"`) + 50_000
		_, _ = io.WriteString(c, ok+"Content-Type: application/json\r\n"+isChunked+"\r\n"+answer[:cut])
		time.Sleep(1300 * time.Millisecond) // others have a file by then
		_, _ = io.WriteString(c, answer[cut:cut+100])
		<-release
		_, _ = io.WriteString(c, answer[cut+100:]+"\r\n")
	})
	b := newBench(t, up.addr, nil)
	done := make(chan seen)
	go func() {
		done <- ask(t, "POST", b.url+"/v1/realtime/sessions", "{}", "Authorization", "Bearer sk-of-somebody")
	}()
	time.Sleep(1600 * time.Millisecond)
	if left, err := os.ReadDir(filepath.Join(b.dir, recorder.Dir)); err != nil || len(left) != 0 {
		t.Errorf("there are files: %v %v", left, err)
	}
	close(release)
	if s := <-done; !strings.Contains(s.Body, mark) || s.Err {
		t.Errorf("the client got %.100q", s.Body)
	}
	_, last, _ := b.one()
	if got := string(last.Response.Body.Bytes); !strings.HasPrefix(got, `{"expires_at":1764000000,"client_secret":{"value":"*******************"},"model":"m"`) || !last.Response.Body.Masked {
		t.Errorf("%.200q", got)
	}
	searchDir(t, b.dir, mark)
}
