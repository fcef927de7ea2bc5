package sigv4

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// presigned is a URL for a path that is encoded already.
func presigned(t *testing.T, path, query string) *url.URL {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:9000"+path+"?X-Amz-Expires=60"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: exampleID, SecretAccessKey: exampleSecret}
	signed, _, err := signer.PresignHTTP(t.Context(), creds, r, unsignedPayload, "s3", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A presigned URL opens the key it was made for, and no other however its path is written.
func TestPresignedOpensOneKey(t *testing.T) {
	v := &Verifier{Keys: map[string]string{exampleID: exampleSecret}}
	for _, tt := range []struct {
		signed, used string
		ok           bool
	}{
		{"/audit/a%20b", "/audit/a%20b", true},
		{"/audit/a%20b", "/audit/%61%20b", true}, // the same key, encoded by another client
		{"/audit/a%2520b", "/audit/a%20b", false},
		{"/audit/a/b", "/audit/a//b", false},
		{"/audit/a/b", "/audit//a/b", false},
		{"/audit/a/b", "//audit/a/b", false},
		{"/audit/a%5B1%5D", "/audit/a[1]", true},
		{"/audit/a%255B1%255D", "/audit/a[1]", false},
	} {
		u := presigned(t, tt.signed, "")
		r := &http.Request{Method: http.MethodGet, Host: u.Host, URL: u, RequestURI: tt.used + "?" + u.RawQuery, Header: http.Header{}}
		if _, err := v.Verify(r); (err == nil) != tt.ok {
			t.Errorf("signed for %s, used for %s: %v", tt.signed, tt.used, err)
		}
	}
}

// A plus in the query of a presigned URL is what the door reads it as.
func TestPresignedQueryIsExact(t *testing.T) {
	v := &Verifier{Keys: map[string]string{exampleID: exampleSecret}}
	u := presigned(t, "/audit", "&prefix=a%2Bb")
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{{"", "", true}, {"prefix=a%2Bb", "prefix=a+b", false}} {
		query := u.RawQuery
		if tt.from != "" {
			query = replace(tt.from, tt.to)(query)
		}
		r := &http.Request{Method: http.MethodGet, Host: u.Host, URL: u, RequestURI: u.EscapedPath() + "?" + query, Header: http.Header{}}
		if _, err := v.Verify(r); (err == nil) != tt.ok {
			t.Errorf("%s for %s: %v", tt.to, tt.from, err)
		}
	}
}
