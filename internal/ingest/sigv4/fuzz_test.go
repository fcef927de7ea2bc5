package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// refuses checks that an error is one that a door can answer, and one after
// which a sender keeps its record.
func refuses(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	terminal := []string{"EntityTooLarge", "InvalidArgument", "MalformedXML", "InvalidDigest", "KeyTooLongError", "BadDigest", "InvalidRequest"}
	if e.Status < 400 || e.Status > 599 || e.Message == "" || slices.Contains(terminal, e.Code) || !utf8.ValidString(e.Message) {
		t.Fatalf("%+v", e)
	}
}

// FuzzAuthorization: no header passes that nobody signed, whatever it says.
func FuzzAuthorization(f *testing.F) {
	for _, d := range documented {
		f.Add(parse(f, d.head, d.body).Header.Get("Authorization"), "20130524T000000Z")
	}
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e/s3/aws4_request, SignedHeaders=;;host;, Signature=", "")
	v := verifierAt(exampleTime)
	f.Fuzz(func(t *testing.T, authorization, date string) {
		r := &http.Request{Method: http.MethodPut, RequestURI: "/fuzz/key", Host: "h", Header: http.Header{"Authorization": {authorization}, "X-Amz-Date": {date}}}
		if _, err := v.Verify(r); err == nil {
			t.Fatal("a forged request passed")
		} else {
			refuses(t, err)
		}
		if c, err := parseAuthorization(authorization); err == nil && (c.keyID+"/"+c.scope != c.keyID+"/"+c.day+"/"+c.region+"/s3/aws4_request" || c.keyID == "") {
			t.Fatalf("claim %+v", c)
		}
	})
}

// FuzzPresigned: like FuzzAuthorization, for queries.
func FuzzPresigned(f *testing.F) {
	for _, d := range documented {
		_, query := Target(parse(f, d.head, d.body))
		f.Add(query)
	}
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%&X-Amz-Expires=1e3&+&=&&%00")
	v := verifierAt(exampleTime)
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, RequestURI: "/fuzz/key?" + query, Host: "h", Header: http.Header{}}
		if _, err := v.Verify(r); err == nil {
			t.Fatal("a forged request passed")
		} else {
			refuses(t, err)
		}
	})
}

// FuzzPathForms: a path in S3's encoding is its own canonical form, and all
// forms of a path are what net/url makes of it.
func FuzzPathForms(f *testing.F) {
	for _, p := range oddPaths {
		f.Add(p)
		f.Add((&url.URL{Path: p}).EscapedPath())
	}
	f.Add("/%zz/%2")
	f.Fuzz(func(t *testing.T, path string) {
		want := func(s string) string { // S3's encoding by way of net/url
			parts := strings.Split(s, "/")
			for i, p := range parts {
				parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
			}
			return strings.Join(parts, "/")
		}
		if got, ok := appendPath(nil, path, 0); !ok || string(got) != path {
			t.Errorf("form 0 = %q %v", got, ok)
		}
		encoded := want(path)
		for n, given := range map[int]string{1: encoded, 2: encoded} {
			got, ok := appendPath(nil, given, n)
			if n == 1 && (ok || string(got) != encoded) {
				t.Errorf("form 1 of %q = %q %v", given, got, ok)
			}
			if n == 2 && string(got) != want(encoded) {
				t.Errorf("form 2 of %q = %q", given, got)
			}
		}
		decoded, err := url.PathUnescape(path)
		if got, ok := appendPath(nil, path, 1); err != nil && ok || err == nil && string(got) != want(decoded) {
			t.Errorf("form 1 of %q = %q %v, want %q", path, got, ok, want(decoded))
		}
		if got, ok := appendPath(nil, path, 3); ok && strings.Contains(string(got), "//") {
			t.Errorf("form 3 of %q = %q", path, got)
		}
		for n := range queryForms {
			appendQuery(nil, path, n)
		}
	})
}

// FuzzChunkedValid: whatever the chunks, a good client's stream decodes to
// them; with one byte of the body or of a signature changed, it does not.
func FuzzChunkedValid(f *testing.F) {
	f.Add([]byte("hello world"), uint16(3), uint8(0), uint32(20))
	f.Add([]byte(strings.Repeat("0\r\n", 5000)), uint16(4096), uint8(1), uint32(5000))
	f.Add([]byte{}, uint16(1), uint8(2), uint32(0))
	f.Fuzz(func(t *testing.T, body []byte, size uint16, kind uint8, at uint32) {
		var chunks []string
		for c := range slices.Chunk(body, max(1, int(size))) {
			chunks = append(chunks, string(c))
		}
		if len(chunks) > 1000 {
			return
		}
		k := kinds[int(kind)%len(kinds)]
		var checksums []string
		if k != streamSigned {
			checksums = []string{algorithms[int(kind/4)%len(algorithms)]}
			if checksums[0] == "sha256" { // Seal's
				checksums[0] = "sha1"
			}
		}
		s := valid(k, chunks, checksums...)
		if got, err := s.read(at%2 == 0); err != nil || got != string(body) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(body), err)
		}
		wire := []byte(s.wire)
		wire[int(at)%len(wire)] ^= 1
		s.wire = string(wire)
		if got, err := s.read(false); err == nil && got != string(body) {
			t.Fatal("a changed stream passed as another body")
		}
	})
}

// FuzzChunked: no bytes at all end cleanly unless the body is as long as
// announced, all trailers came, and every signature is right: which for signed
// chunks nobody without the key can make.
func FuzzChunked(f *testing.F) {
	for _, s := range validStreams() {
		if len(s.wire) < 1000 {
			f.Add([]byte(s.wire), len(s.decoded), slices.Index(kinds, s.kind), s.trailers)
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, decoded, kind int, trailers string) {
		s := stream{kinds[max(0, kind)%len(kinds)], "5", trailers, string(wire)}
		got, err := s.read(decoded%2 == 0)
		if err != nil {
			refuses(t, err)
			return
		}
		if len(got) != 5 {
			t.Fatalf("clean end after %d bytes of 5", len(got))
		}
		for name := range strings.SplitSeq(strings.ToLower(trailers), ",") {
			if name = strings.TrimSpace(name); !strings.Contains(strings.ToLower(s.wire), name) {
				t.Fatalf("clean end without trailer %q", name)
			}
		}
		if s.kind == streamUnsigned {
			return
		}
		// Data and signatures of the chunks, in order, as an independent signer makes them.
		if !strings.Contains(s.wire, chunkSigName) {
			t.Fatal("clean end without a signature")
		}
		var chunks []string
		if got != "" {
			chunks = []string{got}
		}
		if first, _, _ := strings.Cut(valid(s.kind, chunks).wire, "\n"); len(chunks) == 1 && strings.HasPrefix(s.wire, "5;") && !strings.HasPrefix(s.wire, first[:len(first)-1]) {
			t.Fatalf("clean end with another signature than %q", first)
		}
	})
}
