package capture

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// TestSecrets has a credential in each place of a request where one can stand.
func TestSecrets(t *testing.T) {
	const secret = "s3cr3t-MARKED-0123456789"
	for name, c := range map[string]struct {
		header http.Header
		query  string
		none   bool
	}{
		"a header of another provider":   {header: http.Header{"Xi-Api-Key": {secret}}},
		"a gateway's":                    {header: http.Header{"Ocp-Apim-Subscription-Key": {secret}}},
		"a token":                        {header: http.Header{"X-Auth-Token": {"Bearer " + secret}}},
		"Helicone":                       {header: http.Header{"Helicone-Auth": {"Bearer " + secret}}},
		"spelled otherwise":              {header: http.Header{"x-api-key": {secret}}},
		"the user of Basic":              {header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(secret+":"))}}},
		"the password of Basic":          {header: http.Header{"Proxy-Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+secret))}}},
		"a signature":                    {header: http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=AKID/20261130/r/s/aws4_request, SignedHeaders=host, Signature=" + secret}}},
		"a session token":                {header: http.Header{"X-Amz-Security-Token": {secret}}},
		"a protocol":                     {header: http.Header{"Sec-Websocket-Protocol": {"realtime, openai-insecure-api-key." + secret + ", openai-beta.realtime-v1"}}},
		"a protocol alone":               {header: http.Header{"Sec-Websocket-Protocol": {"token, " + secret}}},
		"a cookie":                       {header: http.Header{"Cookie": {"a=b; session=\"" + secret + "\""}}},
		"where a redirect came from":     {header: http.Header{"Referer": {"https://h/v1?a=b&key=" + secret}}},
		"a presigned URL":                {query: "X-Amz-Credential=AKID%2F2026&X-Amz-Signature=" + secret},
		"a presigned URL's token":        {query: "X-Amz-Security-Token=" + secret},
		"a shared access signature":      {query: "sv=2026&sig=" + secret},
		"a token in the query":           {query: "access_token=" + secret},
		"a key in the query":             {query: "subscription-key=" + secret},
		"the name of a key":              {header: http.Header{"X-Key-Alias": {"production-of-the-team"}}, none: true},
		"what to sort by":                {query: "sort_key=created_at_of_it", none: true},
		"the token of a page":            {query: "pageToken=" + secret, none: true},
		"a key of idempotency":           {header: http.Header{"Idempotency-Key": {secret}}, none: true},
		"the key of a WebSocket":         {header: http.Header{"Sec-Websocket-Key": {secret}}, none: true},
		"a limit of tokens":              {header: http.Header{"X-Ratelimit-Remaining-Tokens": {secret}}, none: true},
		"protocols without a credential": {header: http.Header{"Sec-Websocket-Protocol": {"realtime, openai-beta.realtime-v1-0123456789"}}, none: true},
	} {
		if got := Secrets(c.header, c.query); slices.Contains(got, secret) == c.none || len(got) > 0 == c.none {
			t.Errorf("%s: %q", name, got)
		}
	}
	h := http.Header{"Sec-Websocket-Protocol": {"realtime", "openai-insecure-api-key." + secret}}
	if c := NewCredential([]byte("k"), h, ""); c == nil || c.In != "sec-websocket-protocol" || c.HMAC != NewCredential([]byte("k"), http.Header{"Api-Key": {secret}}, "").HMAC {
		t.Errorf("%+v", c)
	}
	if got := AnswerSecrets(http.Header{"Set-Cookie": {"id=" + secret + "; Path=/; Secure"}, "Location": {"https://u:" + secret + "@h/?sig=" + secret}}); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// TestSpellings has a secret at each place of a text that is in base64: what is looked for stands in it, and is as long as it can be.
func TestSpellings(t *testing.T) {
	for _, secret := range []string{"s3cr3t-MARKED-0123456789", "12345678", "\xff\xfe\xfb?>~MARKED-77"} {
		list := Spellings([]string{secret})
		for before := range 6 {
			for after := range 4 {
				for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
					text := e.EncodeToString([]byte(strings.Repeat("x", before) + secret + strings.Repeat("y", after)))
					i := slices.IndexFunc(list, func(s string) bool { return strings.Contains(text, s) })
					if i < 0 || len(list[i]) < len(secret)*4/3-4 {
						t.Errorf("%q behind %d bytes is not found in %s", secret, before, text)
					}
				}
			}
		}
	}
}

// packed is text in a content coding.
func packed(t *testing.T, coding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch coding {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		err = w.Close()
	case "deflate":
		w := zlib.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		err = w.Close()
	case "zstd":
		w, zerr := zstd.NewWriter(&b)
		if zerr != nil {
			t.Fatal(zerr)
		}
		_, _ = w.Write([]byte(text))
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// recorded is the body of a record, scrubbed, and what Parse reads of it.
func recorded(t *testing.T, e *Exchange, secrets ...string) (string, *Exchange, *Derived) {
	t.Helper()
	e.Scrub(secrets)
	var b bytes.Buffer
	if err := e.Encode(&b); err != nil {
		t.Fatal(err)
	}
	back, d, err := Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), back, d
}

// TestScrubCompressed has a credential within compressed bodies, in memory and in a file, whole and cut off: what the coding holds is recorded without
// it. Bodies without one stay as they came, byte for byte.
func TestScrubCompressed(t *testing.T) {
	const secret = "s3cr3t-MARKED-0123456789"
	text := `{"id":"1","error":{"message":"wrong key: ` + secret + `"},"pad":"` + strings.Repeat("0123456789abcdef", 4096) + `"}`
	for _, coding := range []string{"gzip", "deflate", "zstd"} {
		for _, where := range []string{"memory", "file", "cut"} {
			whole := packed(t, coding, text)
			b := whole
			if where == "cut" {
				if coding == "zstd" {
					continue // gives nothing before a block is whole
				}
				b = whole[:len(whole)-8]
			}
			e := call("https://h/v1/chat/completions", "{}", "")
			e.Response.Headers = []Field{{"content-encoding", coding}}
			e.Response.Body = BytesBody(b, [32]byte{1})
			if where == "file" {
				e.Response.Body = Body{File: bytes.NewReader(b), Kept: int64(len(b)), Size: int64(len(b)), Digest: [32]byte{1}}
			}
			record, back, d := recorded(t, e, secret)
			got := back.Response
			want := strings.ReplaceAll(text, secret, strings.Repeat("*", len(secret)))
			if strings.Contains(record, "MARKED") || got.Undone != coding || !got.Body.Masked || got.Body.Size != int64(len(b)) || got.Body.Digest != [32]byte{1} || strings.Contains(record, `"kept"`) ||
				!strings.HasPrefix(want, string(got.Body.Bytes)) || len(got.Body.Bytes) < 200 || where != "cut" && string(got.Body.Bytes) != want {
				t.Errorf("%s in a %s: %.300s", coding, where, record)
			}
			if !strings.Contains(d.ErrorMessage, "wrong key: ****") && where != "cut" {
				t.Errorf("%s in a %s: %+v", coding, where, d)
			}
			again, err := Rederive([]byte(record))
			if err != nil || again.ErrorMessage != d.ErrorMessage {
				t.Errorf("%s in a %s: %v, %+v", coding, where, err, again)
			}
		}
		e := call("https://h/v1/chat/completions", "{}", "")
		plain := packed(t, coding, strings.ReplaceAll(text, secret, "another one that is none"))
		e.Response.Headers = []Field{{"content-encoding", coding}}
		e.Response.Body = BytesBody(plain, [32]byte{})
		if record, back, _ := recorded(t, e, secret); !bytes.Equal(back.Response.Body.Bytes, plain) || strings.Contains(record, "undone") || strings.Contains(record, "masked") {
			t.Errorf("%s: %.300s", coding, record)
		}
	}
}

// TestScrubIssued has answers that give out credentials: they are not recorded, whatever the coding is, and what else they say is. Where that cannot be
// looked into, nothing of it is.
func TestScrubIssued(t *testing.T) {
	for _, c := range []struct{ path, answer string }{
		{"/v1/realtime/client_secrets", `{"value":"ek_MARKED0123456789","expires_at":1764000000,"session":{"type":"realtime","model":"gpt-realtime","tools":[{"name":"get_weather_of"}]}}`},
		{"/v1/realtime/sessions?x=y", `{"object":"realtime.session","model":"gpt-realtime","client_secret":{"value":"ek_MARKED0123456789","expires_at":1}}`},
		{"/v1/chatkit/sessions", `{"client_secret":"ek_MARKED\u002d0123456789","model":"gpt-realtime"}`},
		{"/v1/organization/admin_api_keys", `{"object":"organization.admin_api_key","name":"gpt-realtime","redacted_value":"sk-admin...def","value":"sk-admin-MARKED0123"}`},
		{"/v1/organization/projects/p/service_accounts", `{"name":"gpt-realtime","api_key":{"value":"sk-MARKED0123","id":"key_abc"}}`},
		{"/v1alpha/auth_tokens", `{"name":"auth_tokens/MARKED0123456789","x":"gpt-realtime"}`},
		{"/oauth2/token", `{"access_token":"MARKED0123456789","refresh_token":"MARKED-refresh","scope":"gpt-realtime"}`},
		{"/key/generate", `{"key":"sk-MARKED0123456789","token":"MARKED-hash-0123","key_name":"gpt-realtime"}`},
		{"/key/abc/regenerate", `{"key":"sk-MARKED0123456789","models":["gpt-realtime"]}`},
	} {
		for _, coding := range []string{"", "gzip", "br", "cut"} {
			e := call("https://h"+c.path, "{}", "")
			b := []byte(c.answer)
			switch coding {
			case "gzip":
				b = packed(t, coding, c.answer)
				e.Response.Headers = []Field{{"content-encoding", coding}}
			case "br":
				e.Response.Headers = []Field{{"content-encoding", coding}}
			case "cut":
				b = b[:len(b)-1]
			}
			e.Response.Body = BytesBody(b, [32]byte{})
			record, back, _ := recorded(t, e, "another-secret")
			known := coding == "" || coding == "gzip"
			if strings.Contains(record, "MARKED") || !back.Response.Body.Masked || strings.Contains(record, "gpt-realtime") != known || strings.Contains(record, "get_weather_of") != (known && strings.Contains(c.path, "client_secrets")) {
				t.Errorf("%s, %q: %s", c.path, coding, record)
			}
		}
	}
	e := call("https://h/v1/realtime/client_secrets", "{}", "no such thing")
	if e.Status = 404; e.Issues() {
		t.Error("an error issues nothing")
	}
	if record, _, _ := recorded(t, e); !strings.Contains(record, "no such thing") {
		t.Error(record)
	}
}
