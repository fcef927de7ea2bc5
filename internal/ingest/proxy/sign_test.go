package proxy_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"indelible/internal/capture"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/spool"
)

const (
	awsID     = "AKIDEXAMPLE"
	awsSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	awsToken  = "session-token-0123456789abcdef"
)

// verifySignature checks a request as AWS documents it for services other than S3, by what came over the wire.
func verifySignature(r *http.Request, body []byte, region string) error {
	claim := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		claim[name] = value
	}
	scope := strings.Split(claim["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 || scope[0] != awsID || scope[2] != region || scope[3] != "bedrock" {
		return fmt.Errorf("the claim is %q", r.Header.Get("Authorization"))
	}
	path, rawQuery, _ := strings.Cut(r.RequestURI, "?")
	var segments []string
	for s := range strings.SplitSeq(path, "/") {
		segments = append(segments, strings.ReplaceAll(url.QueryEscape(s), "+", "%20")) // encoded once more
	}
	var pairs []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.Sort(pairs)
	var headers strings.Builder
	names := strings.Split(claim["SignedHeaders"], ";")
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	if !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") || !slices.Contains(names, "x-amz-security-token") {
		return fmt.Errorf("signed are %q", names)
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	canonical := strings.Join([]string{r.Method, strings.Join(segments, "/"), strings.Join(pairs, "&"), headers.String(), claim["SignedHeaders"], sum(body)}, "\n")
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + strings.Join(scope[1:], "/") + "\n" + sum([]byte(canonical))
	key := []byte("AWS4" + awsSecret)
	for _, part := range append(scope[1:], text) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	if got := claim["Signature"]; got != hex.EncodeToString(key) {
		return fmt.Errorf("the signature %s does not fit\n%s", got, canonical)
	}
	return nil
}

// converse is Bedrock: it refuses what is not signed as it must be, as AWS does, with the session token in the answer.
func converse(t *testing.T) *httptest.Server {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := verifySignature(r, body, "eu-central-1"); err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"message":"x-amz-security-token:%s"}`, r.Header.Get("X-Amz-Security-Token"))
			return
		}
		if strings.HasSuffix(r.URL.Path, "/converse-stream") {
			w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
			_, _ = w.Write(converseStream())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, converseWhole)
	}))
	t.Cleanup(up.Close)
	return up
}

const converseWhole = `{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":1}}`

func converseStream() []byte {
	var b []byte
	for _, e := range [][2]string{
		{"messageStart", `{"role":"assistant"}`}, {"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"hel"}}`},
		{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"lo"}}`}, {"contentBlockStop", `{"contentBlockIndex":0}`},
		{"messageStop", `{"stopReason":"end_turn"}`}, {"metadata", `{"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":1}}`},
	} {
		b = append(b, eventStreamMessage(e[0], e[1])...)
	}
	return b
}

// eventStreamMessage is one message of an Amazon event stream.
func eventStreamMessage(kind, payload string) []byte {
	var headers []byte
	for _, h := range [][2]string{{":event-type", kind}, {":content-type", "application/json"}, {":message-type", "event"}} {
		headers = append(append(headers, byte(len(h[0]))), h[0]...)
		headers = append(binary.BigEndian.AppendUint16(append(headers, 7), uint16(len(h[1]))), h[1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(headers)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, headers...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// signingDoor is a door that signs for the upstream "up", with tokens or without.
func signingDoor(t *testing.T, upstream string, tokens ...ingest.Token) *bench {
	t.Setenv("AWS_ACCESS_KEY_ID", awsID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", awsSecret)
	t.Setenv("AWS_SESSION_TOKEN", awsToken)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	return newBench(t, upstream, func(o *proxy.Options, _ *spool.Spool) {
		o.Upstreams[0].Sign, o.Upstreams[0].Region, o.Tokens = "aws", "eu-central-1", tokens
	})
}

// TestSigned has a client whose own signature is worth nothing behind the proxy: the upstream gets one that it can verify,
// whatever path and query are; the bytes are the same, and nothing of the secrets is recorded.
func TestSigned(t *testing.T) {
	b := signingDoor(t, converse(t).URL)
	body := `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`
	paths := []string{
		"/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse", "/model/anthropic.claude-v1:0/converse", "/model/arn%3Aaws%3Abedrock%3Aus%2Fx/converse",
		"/model/m/converse?b=2&a=1&a=0", "/model/m%20x/converse?q=a%20b", "/model/{m}/converse",
		"/model/m/converse?X-Amz-Signature=00&X-Amz-Security-Token=clients-own-token-123&a=1", "/model/m%3A0/converse-stream",
	}
	for _, path := range paths {
		u, err := url.Parse(b.url)
		if err != nil {
			t.Fatal(err)
		}
		u.Opaque = "/up" + strings.Split(path, "?")[0]
		_, u.RawQuery, _ = strings.Cut(path, "?")
		req := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Header: http.Header{
			"Authorization":        {"AWS4-HMAC-SHA256 Credential=AKIDCLIENT/20261130/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"},
			"X-Amz-Date":           {"20200101T000000Z"},
			"X-Amz-Security-Token": {"clients-own-token-123"},
			"Content-Type":         {"application/json"},
			"User-Agent":           {"Boto3/1.0"},
		}}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		want := converseWhole
		if strings.HasSuffix(path, "stream") {
			want = string(converseStream())
		}
		if err != nil || resp.StatusCode != 200 || string(got) != want {
			t.Errorf("%s: %d %q, %v", path, resp.StatusCode, got, err)
		}
	}
	e := b.wait(len(paths))
	for _, id := range e.order {
		if d := e.derived[id]; d.Provider != "bedrock" || d.Text != "hello" || d.Tokens == nil || d.Input != 3 || d.FinishReason != "end_turn" {
			t.Errorf("%+v", d)
		}
	}
	searchSecrets(t, b.dir)
}

// TestCorrectedSecret has a mistyped secret corrected in the shared file, under the same access key's id: the first call that AWS refuses
// has the file read again, and the next one is signed with what it holds now.
func TestCorrectedSecret(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if verifySignature(r, body, "eu-central-1") != nil {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer up.Close()
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id="+awsID+"\naws_secret_access_key="+secret+"\naws_session_token="+awsToken+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_CONFIG_FILE": file + ".none", "AWS_SHARED_CREDENTIALS_FILE": file} {
		t.Setenv(name, value)
	}
	write("mistyped-" + awsSecret)
	b := newBench(t, up.URL, func(o *proxy.Options, _ *spool.Spool) {
		o.Upstreams[0].Sign, o.Upstreams[0].Region = "aws", "eu-central-1"
	})
	call := func(want int, when string) {
		t.Helper()
		if s := ask(t, "POST", b.url+"/model/m/converse", "{}"); s.Status != want {
			t.Errorf("%s: %d", when, s.Status)
		}
	}
	call(http.StatusForbidden, "mistyped")
	write(awsSecret)
	call(http.StatusOK, "corrected")
	searchSecrets(t, b.dir)
}

// searchSecrets looks through every file for what must not be in any.
func searchSecrets(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, secret := range []string{awsSecret, awsToken, "clients-own-token-123"} {
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRepeatedSessionToken has an upstream that refuses the signature, and says what it saw, as AWS does.
func TestRepeatedSessionToken(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, `{"message":"The Canonical String for this request should have been 'POST\nx-amz-security-token:%s'"}`, r.Header.Get("X-Amz-Security-Token"))
	}))
	defer up.Close()
	for name, b := range map[string]*bench{"signed by the door": signingDoor(t, up.URL), "by the client": newBench(t, up.URL, nil)} {
		req, err := http.NewRequest(http.MethodPost, b.url+"/model/m/converse", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		token := awsToken
		if name == "by the client" {
			token = "clients-own-token-123"
			req.Header.Set("X-Amz-Security-Token", token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.Contains(got, []byte(token)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		for _, x := range b.wait(1).last {
			if !x.Response.Body.Masked || x.Status != http.StatusForbidden {
				t.Errorf("%s: %d, masked %v", name, x.Status, x.Response.Body.Masked)
			}
		}
		searchSecrets(t, b.dir)
	}
}

// TestSigningNeedsAToken has a door that signs for whoever has one of its tokens; the id of an AWS key is none.
func TestSigningNeedsAToken(t *testing.T) {
	b := signingDoor(t, converse(t).URL, ingest.Token{Secret: "token-of-the-door"})
	for auth, want := range map[string]int{
		"Bearer token-of-the-door": 200, "Bearer other": 401, "": 401,
		"AWS4-HMAC-SHA256 Credential=token-of-the-door/20261130/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00": 401,
	} {
		req, err := http.NewRequest(http.MethodPost, b.url+"/model/m/converse", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d", auth, resp.StatusCode)
		}
	}
}

// TestTokenStaysAtTheDoor has clients put the token wherever an SDK puts a key: nothing of it is sent to AWS.
func TestTokenStaysAtTheDoor(t *testing.T) {
	const token = "token-of-the-door"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Header, r.URL) }))
	defer up.Close()
	b := signingDoor(t, up.URL, ingest.Token{Secret: token})
	for _, place := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "X-Indelible-Token", "?key="} {
		query, header := "", []string{place, token}
		if place == "?key=" {
			query, header = "?key="+token, nil
		}
		if s := ask(t, "POST", b.url+"/model/m/converse"+query, "{}", header...); s.Status != 200 || strings.Contains(s.Body, token) {
			t.Errorf("%s: %d, the upstream got %s", place, s.Status, s.Body)
		}
	}
}

// TestProcessOutputIsNotLogged has a credential_process that prints a warning before its JSON, which the SDK quotes whole.
func TestProcessOutputIsNotLogged(t *testing.T) {
	dir := t.TempDir()
	script, config := filepath.Join(dir, "print"), filepath.Join(dir, "config")
	for name, text := range map[string]string{
		script: "#!/bin/sh\necho 'warning: old'\necho '{\"Version\":1,\"AccessKeyId\":\"" + awsID + "\",\"SecretAccessKey\":\"" + awsSecret + "\"}'\n",
		config: "[default]\ncredential_process = " + script + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none")} {
		t.Setenv(name, value)
	}
	var log bytes.Buffer
	b := newBench(t, "http://127.0.0.1:1", func(o *proxy.Options, _ *spool.Spool) {
		o.Upstreams[0].Sign, o.Upstreams[0].Region = "aws", "eu-central-1"
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	s := ask(t, "POST", b.url+"/model/m/converse", "{}")
	if s.Status != http.StatusServiceUnavailable || !strings.Contains(s.Body, "no_credentials") || !strings.Contains(log.String(), "credential_process") || strings.Contains(log.String()+s.Body, awsSecret) {
		t.Errorf("%d %s, log: %s", s.Status, s.Body, log.String())
	}
}

// TestNoRoomToSign has a long request that cannot be kept, and thus not be hashed: it is refused as what was not recorded.
func TestNoRoomToSign(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", awsID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", awsSecret)
	b := newBench(t, "http://127.0.0.1:1", func(o *proxy.Options, _ *spool.Spool) {
		o.Upstreams[0].Sign, o.Upstreams[0].Region, o.Recorder.PassFull = "aws", "eu-central-1", true
		o.Recorder.Data = faultdisk.New(o.Recorder.Data, func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Write && strings.HasSuffix(c.Name, ".request") {
				return &faultdisk.Fault{Err: syscall.ENOSPC}
			}
			return nil
		})
	})
	if s := askTooMuch(t, b.url+"/model/m/converse", strings.Repeat("x", 900_000)); s.Status != http.StatusServiceUnavailable || !strings.Contains(s.Body, "not_recorded") {
		t.Errorf("%+v", s)
	}
}

// TestBotocore has the real client of AWS call through the proxy, with credentials of its own that AWS would not know.
func TestBotocore(t *testing.T) {
	if os.Getenv("INDELIBLE_BOTOCORE") == "" {
		t.Skip("INDELIBLE_BOTOCORE is not set: it needs botocore from the index")
	}
	venv := filepath.Join(t.TempDir(), "venv")
	for _, args := range [][]string{{"python3", "-m", "venv", venv}, {filepath.Join(venv, "bin", "pip"), "install", "-q", "-r", "testdata/requirements-aws.txt"}} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	b := signingDoor(t, converse(t).URL)
	cmd := exec.CommandContext(t.Context(), filepath.Join(venv, "bin", "python"), "testdata/bedrock.py", b.url)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=anything", "AWS_SECRET_ACCESS_KEY=anything-else", "AWS_SESSION_TOKEN=")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "hello 3 2\nhello 3 2\n" {
		t.Errorf("%s, %v", out, err)
	}
	e := b.wait(2)
	for _, x := range e.last {
		if x.Transport != capture.Complete || x.Credential == nil || x.Credential.Scheme != "AWS4-HMAC-SHA256" {
			t.Errorf("%+v", x)
		}
	}
}
