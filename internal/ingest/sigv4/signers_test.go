package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// door is a server on loopback that does what the S3 door does with a request,
// and answers the body it got.
func door(t *testing.T, v *Verifier) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, body, _, err := receive(v, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func send(t *testing.T, r *http.Request, want string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != want {
		t.Fatalf("answer %d %.200q %v", resp.StatusCode, body, err)
	}
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

var oddPaths = []string{
	"/audit/plain.json", "/audit/My Team/x", "/audit/R&D + Ops/x=y", "/audit/resp_a=b+c", "/audit/team#1",
	"/audit/Équipe/日本", "/audit/a:b@c,d;e/(f)'g!*$", "/audit//double//x", "/audit/100%", "/audit/%2F?", "/audit/[a]|b^",
}

// TestGoSDK signs as aws-sdk-go-v2 does, over a real connection.
func TestGoSDK(t *testing.T) {
	s := door(t, &Verifier{Keys: map[string]string{exampleID: exampleSecret}})
	creds := aws.Credentials{AccessKeyID: exampleID, SecretAccessKey: exampleSecret, SessionToken: "token"}
	sdk := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	for _, path := range oddPaths {
		for _, query := range []string{"", "prefix=a+b%20c%2Fd&delimiter=%2F&list-type=2&a&a-b=1&a=2"} {
			target := s.URL + (&url.URL{Path: path, RawQuery: query}).RequestURI()
			put := func(body string) *http.Request {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Add("X-Amz-Meta-Note", "  two   words ")
				r.Header.Add("X-Amz-Meta-Note", "again")
				r.Header.Set("Content-Type", "application/json")
				return r
			}
			t.Run("header "+path+"?"+query, func(t *testing.T) {
				r := put("hello")
				r.Header.Set("X-Amz-Content-Sha256", hexSum("hello"))
				if err := sdk.SignHTTP(t.Context(), creds, r, hexSum("hello"), "s3", "eu-west-1", time.Now()); err != nil {
					t.Fatal(err)
				}
				send(t, r, "hello")
			})
			t.Run("presigned "+path+"?"+query, func(t *testing.T) {
				r := put("hello")
				q := r.URL.Query()
				q.Set("X-Amz-Expires", "60")
				r.URL.RawQuery = q.Encode()
				uri, header, err := sdk.PresignHTTP(t.Context(), creds, r, "UNSIGNED-PAYLOAD", "s3", "us-gov-1", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				r = put("hello")
				if r.URL, err = url.Parse(uri); err != nil {
					t.Fatal(err)
				}
				for name, values := range header {
					if name != "Host" {
						r.Header[name] = values
					}
				}
				send(t, r, "hello")
			})
		}
	}
}

// minioPut is a PUT whose chunks minio-go signs.
func minioPut(t testing.TB, target, body string, now time.Time, trailer http.Header) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = trailer
	for name := range trailer {
		r.Header.Add("X-Amz-Trailer", strings.ToLower(name))
	}
	return signer.StreamingSignV4(r, exampleID, exampleSecret, "", "us-east-1", int64(len(body)), now, minioSHA{sha256.New()})
}

// TestMinioGo sends signed chunks as minio-go does, with and without trailers.
func TestMinioGo(t *testing.T) {
	s := door(t, &Verifier{Keys: map[string]string{exampleID: exampleSecret}})
	for _, size := range []int{0, 1, 4096, 65535, 65536, 65537, 300_000} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		send(t, minioPut(t, s.URL+"/audit/key", body, time.Now(), nil), body)
		send(t, minioPut(t, s.URL+"/audit/key", body, time.Now(), http.Header{"X-Amz-Checksum-Crc32c": {encodeSum("crc32c", body)}}), body)
	}
}

// minioSHA is the hash in the form that minio-go wants.
type minioSHA struct{ hash.Hash }

func (minioSHA) Close() {}
