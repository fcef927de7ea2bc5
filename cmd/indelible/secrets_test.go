package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// base64Text is what may be bytes in base64 within a record.
var base64Text = regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`)

// showsMark says whether a marked credential stands in bytes, as it is or within base64.
func showsMark(b []byte) bool {
	if bytes.Contains(b, []byte("MARKED")) {
		return true
	}
	for _, text := range base64Text.FindAll(b, -1) {
		if plain, err := base64.StdEncoding.DecodeString(string(text[:len(text)/4*4])); err == nil && bytes.Contains(plain, []byte("MARKED")) {
			return true
		}
	}
	return false
}

// recovered says whether the record of an exchange that was under way is stored.
func recovered(t *testing.T, data string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(data, "store", "proxy", "*", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err != nil || bytes.Contains(b, []byte(`"transport":"unknown"`)) {
			return err == nil
		}
	}
	return false
}

// TestNoSecretAnywhere sends marked credentials through the doors of the real daemon, by the proxy to a provider that repeats them, in attributes of OTLP, whole
// and malformed, and as tokens of the doors, kills it, has the next one recover what was under way, and looks for them in everything that it shows and in every
// byte that it left.
func TestNoSecretAnywhere(t *testing.T) {
	const mark = "s3cr3t-MARKED-0123456789"
	stuck := make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it is short
		w.Header().Set("Set-Cookie", "s=cookie-MARKED-0123456789")
		answer := `{"id":"chatcmpl-` + mark + `","model":"` + mark + `","choices":[{"message":{"content":"` + mark + `"}}],"error":{"message":"wrong key ` + mark + `"}}`
		switch r.URL.Path {
		case "/stuck":
			w.Header().Set("Content-Type", "text/event-stream")
			for range 30 {
				_, _ = io.WriteString(w, "data: "+mark+"\n\n")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond)
			}
			<-stuck
			return
		case "/v1/realtime/client_secrets":
			answer = `{"value":"ek_MARKED0123456789","session":{}}`
		case "/zip/chat/completions":
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.WriteString(z, answer)
			_ = z.Close() // into memory
			w.Header().Set("Content-Encoding", "gzip")
			answer = b.String()
		}
		w.WriteHeader(map[bool]int{true: 401, false: 200}[strings.HasPrefix(r.URL.Path, "/refused")])
		_, _ = io.WriteString(w, answer)
	}))
	defer provider.Close()
	defer close(stuck)
	dir := t.TempDir()
	data, config, key := filepath.Join(dir, "data"), filepath.Join(dir, "indelible.yaml"), filepath.Join(dir, "key")
	text := fmt.Sprintf("index: {text: body}\ndoors:\n  http: {tokens: [\"http-%s\"]}\n  proxy:\n    tokens: [\"proxy-%s\"]\n    upstreams:\n      up: %q\n      keyed: {url: %q, key_file: %q}\n      away: \"http://127.0.0.1:1\"\n", mark, mark, provider.URL, provider.URL, key)
	for name, content := range map[string]string{config: text, key: "key-" + mark} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"--config", config, "--s3", "off", "--proxy", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "debug"}
	p := startServe(t, data, nil, flags...)
	ask := func(url, body string, header ...string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	calls := 0
	for _, to := range []string{"/up/v1/chat/completions", "/up/refused", "/up/zip/chat/completions", "/up/v1/realtime/client_secrets", "/keyed/v1/messages", "/away/x"} {
		for _, h := range [][]string{{"Authorization", "Bearer " + mark}, {"X-Api-Key", mark}, {"X-Goog-Api-Key", mark}, {"Api-Key", mark}, {"Cookie", "c=" + mark}, {"X-Amz-Security-Token", mark}, {"Accept", "*/*"}} {
			for _, query := range []string{"key=" + mark, "X-Amz-Signature=" + mark + "&X-Amz-Security-Token=" + mark} {
				if s := ask("http://"+p.at.Proxy+to+"?"+query, `{"model":"m"}`, append(h, "X-Indelible-Token", "proxy-"+mark)...); s == http.StatusUnauthorized != (to == "/up/refused") {
					t.Fatalf("%s: %d", to, s)
				}
				calls++
			}
		}
	}
	if s := ask("http://"+p.at.Proxy+"/up/x", "{}", "X-Indelible-Token", "wrong-"+mark); s != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", s)
	}
	attributes := `[{"key":"gen_ai.request.model","value":{"stringValue":"m"}},{"key":"x-api-key","value":{"stringValue":"` + mark + `"}},{"key":"gen_ai.input.messages","value":{"stringValue":"authorization: Bearer ` + mark + `"}}]`
	request := `{"resourceSpans":[{"resource":{"attributes":` + attributes + `},"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef","attributes":` + attributes + `}]}]}]}`
	for _, body := range []string{request, request[:len(request)-1], "\x0a\x0a" + "\x0a\x09x-api-key\x12\x1a\x0a\x18" + mark} {
		kind := "application/json"
		if body[0] != '{' {
			kind = "application/x-protobuf"
		}
		if s := ask("http://"+p.at.HTTP+"/v1/traces", body, "Content-Type", kind, "Authorization", "Bearer http-"+mark); s != http.StatusOK {
			t.Errorf("%.30q: %d", body, s)
		}
	}
	// A stream that is under way when the process is killed.
	conn, err := net.Dial("tcp", p.at.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /up/stuck HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX-Api-Key: %s\r\nX-Indelible-Token: proxy-%s\r\n\r\n{}", mark, mark)
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		if left, _ := filepath.Glob(filepath.Join(data, "exchanges", "*.answer")); len(left) > 0 {
			break
		} else if time.Now().After(end) {
			t.Fatal("there is no file of the stream")
		}
	}
	time.Sleep(300 * time.Millisecond) // so that more comes into it
	p.kill(t)
	_ = conn.Close()
	search := func(when string) (files int) {
		t.Helper()
		err := filepath.WalkDir(data, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(name)
			if files++; showsMark(b) {
				t.Errorf("%s: %s holds a credential", when, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	search("after kill -9")
	if showsMark(p.stderr.Bytes()) {
		t.Errorf("the log holds a credential")
	}
	p = startServe(t, data, nil, flags...)
	shown := func(args ...string) string {
		var out, complaints bytes.Buffer
		run(append(args, "--data", data), &out, &complaints)
		return out.String() + complaints.String()
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * pause) {
		if s := shown("status", "--json"); strings.Contains(s, `"pending":0,`) && recovered(t, data) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("records are still pending")
		}
	}
	texts := map[string]string{
		"status --json": shown("status", "--json"), "status": shown("status"), "ls": shown("ls", "--limit", "1000"), "ls --json": shown("ls", "--json", "--limit", "1000"),
		"search": shown("search", "--scan", "status=failure"), "search --json": shown("search", "--json", "status=failure"), "doctor": shown("doctor"), "config print": shown("config", "print", "--config", config),
	}
	for _, path := range []string{"/metrics", "/api/status", "/api/records?limit=1000", "/api/search?q=", "/api/parked", "/api/stats?by=model", "/api/index", "/api/session", "/"} {
		resp, err := http.Get("http://" + p.at.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		texts["GET "+path] = string(b)
	}
	for name, text := range texts {
		if showsMark([]byte(text)) || len(text) < 2 {
			t.Errorf("%s shows a credential, or nothing: %.300q", name, text)
		}
	}
	if !strings.Contains(texts["GET /metrics"], `indelible_records_acked_total{door="proxy"}`) || strings.Count(texts["ls --json"], "call_id")+strings.Count(texts["ls --json"], `"proxy"`) < calls {
		t.Errorf("not all is shown: %.300s", texts["ls --json"])
	}
	p.stop(t)
	if showsMark(p.stderr.Bytes()) {
		t.Errorf("the log holds a credential")
	}
	if n := search("in the end"); n < 2*calls {
		t.Errorf("%d files were searched", n)
	}
}
