package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Bodies come back byte for byte, from memory and from a file, also where a character
// lies across two reads.
func TestBodiesAreVerbatim(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rnd.UintN(256))
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, body := range map[string]string{
		"empty": "", "controls": string(all[:128]), "binary": string(all), "noise": string(noise),
		"text": strings.Repeat("aé\u2028\"\\\n\r\t\x00😀<&>", 20_000), "cut character": strings.Repeat("é", 50_000) + "\xc3",
		"long text with one bad byte": strings.Repeat("x", 70_000) + "\xff" + strings.Repeat("y", 70_000),
		"surrogate":                   "\xed\xa0\x80",
	} {
		for _, file := range []bool{false, true} {
			e := call("https://h/x", "{}", body)
			e.Derive = false
			if file {
				e.Response.Body.Bytes, e.Response.Body.File, e.Response.Body.Offset = nil, strings.NewReader("head"+body), 4
			}
			var b bytes.Buffer
			if err := e.Encode(&b); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(b.Bytes()) || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
				t.Errorf("%s (file %v): no JSON in one line", name, file)
			}
			back, _, err := Parse(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if got := string(back.Response.Body.Bytes); got != body || back.Response.Body.Digest != sha256.Sum256([]byte(body)) {
				t.Errorf("%s (file %v): changed: %d bytes instead of %d", name, file, len(got), len(body))
			}
			text := strings.Contains(b.String(), `,"body":"`+escapedText(body)+`"`)
			if want := strings.ToValidUTF8(body, "") == body; text != want {
				t.Errorf("%s (file %v): as text %v", name, file, text)
			}
		}
	}
}

// escapedText is what appendEscaped makes, by the book.
func escapedText(body string) string {
	var b strings.Builder
	for i := range len(body) {
		switch c := body[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Everything but the derived fields comes back, and these can be derived again.
func TestParseEncode(t *testing.T) {
	at := time.Date(2026, 11, 30, 1, 2, 3, 4, time.UTC)
	e := call("https://h/v1/messages?x=1", `{"model":"c"}`, claudeStream, Field{"content-type", "text/event-stream"})
	e.Kind, e.Upstream, e.Provider, e.Client = Whole, "up", "anthropic", "127.0.0.1"
	e.Start, e.FirstByte, e.End = at, at.Add(time.Second), at.Add(2*time.Second)
	e.Retry, e.RetryOf, e.Fault, e.Transport = "1", "before", "why", UpstreamAbort
	e.Credential = &Credential{In: "x-api-key", HMAC: "00"}
	e.Response.Trailers, e.Response.Withheld = []Field{{"x", "y"}}, []string{"set-cookie"}
	e.Arrivals = []Arrival{{100, at.Add(time.Second)}, {int64(len(claudeStream)), at.Add(1500 * time.Millisecond)}}
	var b bytes.Buffer
	if err := e.Encode(&b); err != nil {
		t.Fatal(err)
	}
	back, d, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, e) {
		t.Errorf("\n got %+v\nwant %+v", back, e)
	}
	again, err := Rederive(b.Bytes())
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("derived again: %v\n got %+v\nwant %+v", err, again, d)
	}
	for _, bad := range []string{"", "{}", `{"v":2}`, `{"v":1,"kind":"close"}`, `{"v":1,"kind":"gap","request":{}}`, `{"v":1,"kind":"open","request":{"sha256":"zz"}}`} {
		if _, _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// No credential leaves a request, wherever it stands, and equal ones have one HMAC.
func TestCredentials(t *testing.T) {
	const secret = "s3cr3t-MARKED-0123456789"
	key := []byte("key")
	hmacs := map[string]bool{}
	for name, set := range map[string]func(h http.Header) string{
		"bearer":  func(h http.Header) string { h.Set("Authorization", "Bearer "+secret); return "" },
		"bearer2": func(h http.Header) string { h.Set("Authorization", "bearer  "+secret); return "" },
		"x-api":   func(h http.Header) string { h.Set("X-Api-Key", secret); return "" },
		"goog":    func(h http.Header) string { h.Set("X-Goog-Api-Key", secret); return "" },
		"azure":   func(h http.Header) string { h.Set("Api-Key", secret); return "" },
		"query":   func(http.Header) string { return "a=1&key=" + url.QueryEscape(secret) + "&alt=sse" },
		"query2":  func(http.Header) string { return "k%65y=" + secret },
	} {
		h := http.Header{"Cookie": {"id=" + secret}, "Proxy-Authorization": {secret}, "X-Unknown": {secret}, "User-Agent": {"ua"}}
		query := set(h)
		c := NewCredential(key, h, query)
		if c == nil || strings.Contains(c.HMAC+c.In+c.Scheme, secret) {
			t.Fatalf("%s: %+v", name, c)
		}
		hmacs[c.HMAC] = true
		if found := Secrets(h, query); len(found) == 0 || found[0] != secret {
			t.Errorf("%s: %q", name, found)
		}
		kept, withheld := KeepHeaders(h)
		u := &url.URL{Scheme: "https", User: url.UserPassword("u", secret), Host: "h", Path: "/p", RawQuery: query, Fragment: secret}
		e := call(RedactURL(u), `{"k":"`+secret+`"}`, "it was "+secret+", "+secret)
		e.Request.Headers, e.Request.Withheld, e.Credential = kept, withheld, c
		e.Response.Headers = []Field{{"x-request-id", "for " + secret}}
		e.Fault = "dial " + secret
		e.Scrub(Secrets(h, query))
		var b bytes.Buffer
		if err := e.Encode(&b); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte(secret)) || bytes.Contains(b.Bytes(), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))) {
			t.Errorf("%s: the record holds the secret: %s", name, b.Bytes())
		}
		if !bytes.Contains(b.Bytes(), []byte(`"masked":true`)) || !bytes.Contains(b.Bytes(), []byte("cookie")) {
			t.Errorf("%s: %s", name, b.Bytes())
		}
	}
	if len(hmacs) != 1 {
		t.Errorf("%d HMACs of one credential", len(hmacs))
	}
	if c := NewCredential(key, http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=AKID/20261130/r/s/aws4_request, SignedHeaders=host, Signature=abc"}}, ""); c.Scheme != "AWS4-HMAC-SHA256" || c.HMAC != NewCredential(key, http.Header{"Api-Key": {"AKID"}}, "").HMAC {
		t.Errorf("%+v", c)
	}
}

// Masking works across reads of a file.
func TestScrubFile(t *testing.T) {
	const secret = "0123456789abcdef"
	text := strings.Repeat("x", 32<<10-5) + secret + strings.Repeat("é", 10_000) + secret
	e := call("https://h/", "{}", "")
	e.Response.Body = Body{File: strings.NewReader("HEAD" + text + secret), Offset: 4, Kept: int64(len(text)), Size: int64(len(text))}
	e.Scrub([]string{secret})
	var b bytes.Buffer
	if err := e.Encode(&b); err != nil {
		t.Fatal(err)
	}
	back, _, err := Parse(b.Bytes())
	if err != nil || string(back.Response.Body.Bytes) != strings.ReplaceAll(text, secret, "****************") || !back.Response.Body.Masked {
		t.Error("not masked, or too much of it", err)
	}
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h/v1/x?alt=sse&api-version=1":  "https://h/v1/x?alt=sse&api-version=1",
		"https://h/?access_token=a&limit=2":         "https://h/?access_token=REDACTED&limit=2",
		"https://h/a%2Fb?X-Amz-Signature=q;w&%zz=1": "https://h/a%2Fb?X-Amz-Signature=REDACTED&REDACTED",
		"https://h/?key=":                           "https://h/?key=",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := RedactURL(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
