package s3api_test

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"indelible/internal/record"
)

// FuzzRequest sends whole requests: each gets an answer, a refusal says what it is about,
// and what is acked is what was sent.
func FuzzRequest(f *testing.F) {
	f.Add("PUT", "/audit/a.json", "Content-Encoding", "aws-chunked", "5\r\nhello\r\n0\r\n\r\n")
	f.Add("PUT", "/audit/a.json", "x-amz-checksum-crc32", "NhCmhg==", "hello")
	f.Add("PUT", "/audit/a.json", "Content-Md5", "XUFAKrxLKna5cZ2REBfFkg==", "hello")
	f.Add("PUT", "/audit/a.json", "If-None-Match", "*", "hello")
	f.Add("PUT", "/audit/a.json", "x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n")
	f.Add("GET", "/audit?list-type=2&max-keys=1&continuation-token=MWE", "Range", "bytes=0-1", "")
	f.Add("GET", "/audit?max-keys=-1&encoding-type=url&delimiter=/&prefix=%00", "", "", "")
	f.Add("GET", "/audit/a.json", "If-Modified-Since", "Mon, 01 Jan 0001 00:00:00 GMT", "")
	f.Add("HEAD", "//..%2f/%", "Host", "audit.s3.amazonaws.com", "")
	f.Add("POST", "/audit?delete", "", "", "<Delete>")
	f.Fuzz(func(t *testing.T, method, target, name, value, body string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(method+target, " \r\n") || method == "" {
			return // no HTTP server hands such a request on
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		m := &memory{}
		d := newDoor(t, m)
		r := &http.Request{Method: method, URL: u, RequestURI: target, Host: "127.0.0.1", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: http.NoBody, ContentLength: int64(len(body)), RemoteAddr: "127.0.0.1:1"}
		r = r.WithContext(t.Context())
		if body != "" {
			r.Body = httptest.NewRequest("PUT", "/", strings.NewReader(body)).Body
		}
		if name != "" {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code >= 400 && method != http.MethodHead && (code(w) == "" || !strings.Contains(w.Body.String(), "<Message>")) {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		for header, values := range w.Header() {
			if !strings.EqualFold(header, "x-indelible-receipt") || len(m.entries) == 0 {
				continue
			}
			receipt, err := record.ParseReceipt(strings.Join(values, ""))
			last := m.entries[len(m.entries)-1]
			if err != nil || receipt.Digest != last.Digest {
				t.Errorf("receipt %q of %v: %v", values, last.Digest, err)
			}
			if r.Header.Get("Content-Encoding") == "" && r.Header.Get("X-Amz-Content-Sha256") == "" && last.Digest != record.Digest(sha256.Sum256([]byte(body))) {
				t.Error("other bytes were acked than were sent")
			}
		}
	})
}
