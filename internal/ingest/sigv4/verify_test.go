package sigv4

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// change returns a documented request after edit changed its text.
func change(t *testing.T, name string, edit func(head string) string) *http.Request {
	t.Helper()
	for _, d := range documented {
		if d.name == name {
			head := edit(d.head)
			if head == d.head {
				t.Fatal("the edit changed nothing")
			}
			return parse(t, head, d.body)
		}
	}
	t.Fatalf("no documented request %q", name)
	return nil
}

func replace(from, to string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, from, to) }
}

func TestRefusals(t *testing.T) {
	const get, signed = "GET object", "presigned GET"
	drop := func(header string) func(string) string {
		return func(s string) string {
			before, rest, _ := strings.Cut(s, "\n"+header)
			_, after, _ := strings.Cut(rest, "\n")
			return before + "\n" + after
		}
	}
	authorization := func(value string) func(string) string {
		return func(s string) string { return drop("Authorization:")(s) + "Authorization: " + value + "\n" }
	}
	for _, tt := range []struct {
		name, request string
		edit          func(string) string
		status        int
		code          string
	}{
		{"no credentials", get, drop("Authorization:"), 403, "AccessDenied"},
		{"Signature Version 2", get, authorization("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo="), 403, "AccessDenied"},
		{"Signature Version 2 in the query", get, func(s string) string {
			return strings.Replace(drop("Authorization:")(s), "test.txt", "test.txt?AWSAccessKeyId=A&Expires=1&Signature=x", 1)
		}, 403, "AccessDenied"},
		{"Signature Version 4A", get, authorization("AWS4-ECDSA-P256-SHA256 Credential=A/20130524/s3/aws4_request"), 501, "NotImplemented"},
		{"bearer", get, authorization("Bearer sk-123"), 400, "AuthorizationHeaderMalformed"},
		{"empty", get, authorization(""), 400, "AuthorizationHeaderMalformed"},
		{"algorithm alone", get, authorization("AWS4-HMAC-SHA256"), 400, "AuthorizationHeaderMalformed"},
		{"field without value", get, replace("SignedHeaders=", "SignedHeaders"), 400, "AuthorizationHeaderMalformed"},
		{"no signed headers", get, replace("SignedHeaders=", "Signed="), 400, "AuthorizationHeaderMalformed"},
		{"no signature", get, replace("Signature=", "Sig="), 400, "AuthorizationHeaderMalformed"},
		{"signature cut", get, replace("bdb41", "bdb4"), 400, "AuthorizationHeaderMalformed"},
		{"signature with a letter", get, replace("bdb41", "bdb4g"), 400, "AuthorizationHeaderMalformed"},
		{"another service", get, replace("/s3/", "/ec2/"), 400, "AuthorizationHeaderMalformed"},
		{"another terminator", get, replace("aws4_request", "aws5_request"), 400, "AuthorizationHeaderMalformed"},
		{"short credential", get, replace("/us-east-1/s3/", "/s3/"), 400, "AuthorizationHeaderMalformed"},
		{"no key id", get, replace(exampleID, ""), 400, "AuthorizationHeaderMalformed"},
		{"day of another date", get, replace("/20130524/", "/20130525/"), 400, "AuthorizationHeaderMalformed"},
		{"date in another format", get, replace("20130524T000000Z", "2013-05-24T00:00:00Z"), 400, "AuthorizationHeaderMalformed"},
		{"no date", get, drop("x-amz-date:"), 403, "AccessDenied"},
		{"two Authorization headers", get, func(s string) string { return s + "Authorization: x\n" }, 400, "AuthorizationHeaderMalformed"},
		{"header and query", signed, func(s string) string { return s + "Authorization: x\n" }, 400, "AuthorizationHeaderMalformed"},
		{"header listed twice", get, replace("host;range", "host;host;range"), 400, "AuthorizationHeaderMalformed"},
		{"too many headers", get, replace("host;range", "host"+strings.Repeat(";a", maxSigned)), 400, "AuthorizationHeaderMalformed"},
		{"host not signed", get, replace("host;range", "range"), 403, "AccessDenied"},
		{"metadata not signed", get, func(s string) string { return s + "x-amz-meta-team: other\n" }, 403, "AccessDenied"},
		{"unknown key id", get, replace(exampleID, "AKIAIOSFODNN7EXAMPL3"), 403, "InvalidAccessKeyId"},
		{"another region", get, replace("us-east-1", "us-east-2"), 403, "SignatureDoesNotMatch"},
		{"another signature", get, replace("f0e8b", "f0e8c"), 403, "SignatureDoesNotMatch"},
		{"signed header changed", get, replace("bytes=0-9", "bytes=0-8"), 403, "SignatureDoesNotMatch"},
		{"signed header taken out", get, drop("Range:"), 403, "SignatureDoesNotMatch"},
		{"digest changed", get, replace("7852b855", "7852b856"), 403, "SignatureDoesNotMatch"},
		{"digest missing", "PUT object, dollar sign", drop("x-amz-content-sha256:"), 400, "MissingSecurityHeader"},

		{"presigned, algorithm", signed, replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), 400, "AuthorizationQueryParametersError"},
		{"presigned, no algorithm", signed, replace("X-Amz-Algorithm", "Algorithm"), 400, "AuthorizationQueryParametersError"},
		{"presigned, no credential", signed, replace("X-Amz-Credential", "Credential"), 400, "AuthorizationQueryParametersError"},
		{"presigned, no date", signed, replace("X-Amz-Date", "Date"), 400, "AuthorizationQueryParametersError"},
		{"presigned, no end", signed, replace("X-Amz-Expires", "Expires"), 400, "AuthorizationQueryParametersError"},
		{"presigned, expires at once", signed, replace("=86400", "=0"), 400, "AuthorizationQueryParametersError"},
		{"presigned, expires never", signed, replace("=86400", "=604801"), 400, "AuthorizationQueryParametersError"},
		{"presigned, expires before", signed, replace("=86400", "=-1"), 400, "AuthorizationQueryParametersError"},
		{"presigned, twice", signed, replace("&X-Amz-Expires", "&X-Amz-Expires=1&X-Amz-Expires"), 400, "AuthorizationQueryParametersError"},
		{"presigned, not encoded", signed, replace("%2Fus-east", "%zzus-east"), 400, "AuthorizationQueryParametersError"},
		{"presigned, longer", signed, replace("=86400", "=86401"), 403, "SignatureDoesNotMatch"},
		{"presigned, for another key", signed, replace("test.txt", "test.tx"), 403, "SignatureDoesNotMatch"},
		{"presigned, metadata added", signed, func(s string) string { return s + "x-amz-meta-a: b\n" }, 403, "AccessDenied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verifierAt(exampleTime).Verify(change(t, tt.request, tt.edit))
			wantError(t, err, tt.status, tt.code)
		})
	}
}

// Without keys every request is refused, whoever signed it.
func TestNoKeys(t *testing.T) {
	for _, d := range documented {
		_, err := (&Verifier{Now: func() time.Time { return exampleTime }}).Verify(parse(t, d.head, d.body))
		wantError(t, err, 403, "InvalidAccessKeyId")
	}
	_, err := new(Verifier).Verify(parse(t, "GET / HTTP/1.1\nHost: h", ""))
	wantError(t, err, 403, "AccessDenied")
}

// An empty secret opens nothing: neither one that stands in the configuration
// nor the one of a key id that is not there.
func TestEmptySecret(t *testing.T) {
	for _, id := range []string{exampleID, "UNKNOWN"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/b/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: id}
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hexSum(""), "s3", "us-east-1", exampleTime); err != nil {
			t.Fatal(err)
		}
		r.Host = "h"
		v := verifierAt(exampleTime)
		v.Keys[exampleID] = ""
		code := "SignatureDoesNotMatch"
		if id == "UNKNOWN" {
			code = "InvalidAccessKeyId"
		}
		_, err = v.Verify(r)
		wantError(t, err, 403, code)
	}
}

func TestTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		off  time.Duration
		code string // "" is right
	}{
		{"GET object", 15 * time.Minute, ""},
		{"GET object", -15 * time.Minute, ""},
		{"GET object", 15*time.Minute + time.Second, "RequestTimeTooSkewed"},
		{"GET object", -15*time.Minute - time.Second, "RequestTimeTooSkewed"},
		{"presigned GET", 24 * time.Hour, ""},
		{"presigned GET", 24*time.Hour + time.Second, "AccessDenied"},
		{"presigned GET", -15 * time.Minute, ""},
		{"presigned GET", -15*time.Minute - time.Second, "AccessDenied"},
	} {
		for _, d := range documented {
			if d.name != tt.name {
				continue
			}
			_, err := verifierAt(exampleTime.Add(tt.off)).Verify(parse(t, d.head, d.body))
			if tt.code != "" {
				wantError(t, err, 403, tt.code)
			} else if err != nil {
				t.Errorf("%s, %v off: %v", tt.name, tt.off, err)
			}
		}
	}
	v := verifierAt(exampleTime.Add(2 * time.Minute))
	v.Skew = time.Minute
	_, err := v.Verify(parse(t, documented[0].head, ""))
	wantError(t, err, 403, "RequestTimeTooSkewed")
	_, err = verifierAt(exampleTime.Add(48 * time.Hour)).Verify(parse(t, documented[4].head, ""))
	if want := "AccessDenied: Request has expired"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestTrust: whoever signs wrongly, or not at all, is let in; digests count all the same.
func TestTrust(t *testing.T) {
	for _, credentials := range []string{
		"", "Authorization: nonsense\n", "Authorization: AWS k:s\n",
		"Authorization: AWS4-HMAC-SHA256 Credential=id/20130524/r/s3/aws4_request,SignedHeaders=host,Signature=" + strings.Repeat("0", 64) + "\nx-amz-date: 20130524T000000Z\n",
	} {
		for digest, code := range map[string]string{hexSum("hello"): "", hexSum("other"): "InternalError", "UNSIGNED-PAYLOAD": ""} {
			r := parse(t, "PUT /b/k HTTP/1.1\nHost: h\nContent-Length: 5\nx-amz-content-sha256: "+digest+"\n"+credentials, "hello")
			a, body, _, err := receive(&Verifier{Trust: true}, r)
			if code != "" {
				wantError(t, err, 500, code)
				continue
			}
			if err != nil || body != "hello" || a.Signed {
				t.Errorf("%q: %+v %q %v", credentials, a, body, err)
			}
			if strings.Contains(credentials, "id/") && a.KeyID != "id" {
				t.Errorf("%q: key id %q", credentials, a.KeyID)
			}
		}
	}
	// Signed chunks are decoded, their signatures left alone.
	s := valid(streamTrailer, []string{"hello"}, "crc32")
	_, body, attrs, err := trusted(t, http.Header{headerContentSHA256: {s.kind}, "X-Amz-Trailer": {s.trailers}, "X-Amz-Decoded-Content-Length": {"5"}},
		int64(len(s.wire)), strings.NewReader(strings.Replace(s.wire, "chunk-signature=", "chunk-signature=0", 1)))
	if err != nil || body != "hello" || len(attrs) != 2 {
		t.Errorf("signed chunks under Trust: %q %v %v", body, attrs, err)
	}
	// Framing that only Content-Encoding tells of, as an unsigned client may send it.
	s = valid(streamUnsigned, []string{"hello"}, "crc32")
	if _, body, _, err := trusted(t, http.Header{"Content-Encoding": {"aws-chunked"}, "X-Amz-Trailer": {s.trailers}}, int64(len(s.wire)), strings.NewReader(s.wire)); err != nil || body != "hello" {
		t.Errorf("framing without x-amz-content-sha256: %q %v", body, err)
	}
}

func TestTarget(t *testing.T) {
	for uri, want := range map[string][2]string{
		"/a%2Fb//c?x=y?z": {"/a%2Fb//c", "x=y?z"}, "/": {"/", ""}, "*": {"*", ""}, "/?": {"/", ""}, "//b/k": {"//b/k", ""}, "/http://x/y": {"/http://x/y", ""},
		"http://h:9/a?b": {"/a", "b"}, "http://h": {"/", ""}, "http://h?b=/c": {"/", "b=/c"},
	} {
		if path, query := Target(&http.Request{RequestURI: uri}); path != want[0] || query != want[1] {
			t.Errorf("%q: %q %q, want %q", uri, path, query, want)
		}
	}
	if path, query := Target(&http.Request{URL: &url.URL{Path: "/a b", RawQuery: "c"}}); path != "/a%20b" || query != "c" {
		t.Errorf("request of a client: %q %q", path, query)
	}
}

func TestQueryForms(t *testing.T) {
	for query, want := range map[string][queryForms]string{
		"":                               {"", "-", "-"},
		"acl":                            {"acl=", "acl=", "acl="},
		"b=2&a-b=1&a=2&a=1":              {"a=1&a=2&a-b=1&b=2", "a=1&a=2&a-b=1&b=2", "a=1&a=2&a-b=1&b=2"},
		"p=a+b%2fc/d":                    {"p=a%20b%2Fc%2Fd", "p=a+b%2fc/d", "p=a%2Bb%2Fc%2Fd"},
		"&x=%zz&":                        {"-", "x=%zz", "-"},
		"X-Amz-Signature=ab&X-Amz-Date=": {"X-Amz-Date=", "X-Amz-Date=", "X-Amz-Date="},
	} {
		for n := range queryForms {
			got, ok := appendQuery(nil, query, n)
			if ok != (want[n] != "-") || ok && string(got) != want[n] {
				t.Errorf("form %d of %q = %q %v, want %q", n, query, got, ok, want[n])
			}
		}
	}
}

// TestKeyCache: the cache is bounded, holds only what was right, and a key is
// that of its own day, region and secret.
func TestKeyCache(t *testing.T) {
	v := verifierAt(exampleTime)
	bad := change(t, "GET object", replace("us-east-1", "us-east-2"))
	for range 2 {
		_, err := v.Verify(bad)
		wantError(t, err, 403, "SignatureDoesNotMatch")
		if len(v.keys.keys) != 0 {
			t.Fatal("a wrong signature filled the cache")
		}
	}
	for range 2 {
		if _, err := v.Verify(parse(t, documented[0].head, "")); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.keys.keys) != 1 {
		t.Errorf("%d keys in the cache, want 1", len(v.keys.keys))
	}
	for i := range 3 * maxCachedKeys {
		v.keys.put("id", "day", fmt.Sprint(i), nil)
		if len(v.keys.keys) > maxCachedKeys {
			t.Fatal("the cache has no bound")
		}
	}
}

func TestConcurrent(t *testing.T) {
	v := verifierAt(exampleTime)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				for _, d := range documented[:4] {
					if _, _, _, err := receive(v, parse(t, d.head, d.body)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
