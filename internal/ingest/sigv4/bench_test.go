package sigv4

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signedPut is the head of a PUT as LiteLLM sends it, with a body of size bytes.
func signedPut(b *testing.B, size int) (*http.Request, []byte) {
	b.Helper()
	body := bytes.Repeat([]byte("x"), size)
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPut, "http://127.0.0.1:9000/audit/team/2026-11-22/time-01-02-03-000004_resp_a%3Db.json", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	sum := hexSum(string(body))
	for name, value := range map[string]string{"Content-Type": "application/json", "Content-Language": "en", "Content-Disposition": `inline; filename="time-01.json"`,
		"Cache-Control": "private, immutable, max-age=31536000, s-maxage=0", "Content-Md5": encodeSum("md5", string(body)), headerContentSHA256: sum} {
		r.Header.Set(name, value)
	}
	creds := aws.Credentials{AccessKeyID: exampleID, SecretAccessKey: exampleSecret}
	sdk := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := sdk.SignHTTP(b.Context(), creds, r, sum, "s3", "us-east-1", exampleTime); err != nil {
		b.Fatal(err)
	}
	r.RequestURI, r.Host = r.URL.EscapedPath(), r.URL.Host
	return r, body
}

func BenchmarkVerify(b *testing.B) {
	r, _ := signedPut(b, 4096)
	v := verifierAt(exampleTime)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAndBody(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			r, body := signedPut(b, size)
			sum := sha256.Sum256(body) // the spool's work
			v := verifierAt(exampleTime)
			buf := make([]byte, 64<<10)
			src := bytes.NewReader(body)
			r.Body = io.NopCloser(src)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(body)
				a, err := v.Verify(r)
				if err != nil {
					b.Fatal(err)
				}
				got, err := a.Body(r)
				if err != nil {
					b.Fatal(err)
				}
				drain(b, got, buf)
				if _, err := got.Seal(sum, int64(size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSignedChunks(b *testing.B) {
	chunk := strings.Repeat("x", 64<<10)
	s := valid(streamTrailer, []string{chunk, chunk, chunk, chunk}, "crc32c")
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(s.wire)))
	b.ReportAllocs()
	for b.Loop() {
		r := &http.Request{Header: http.Header{"X-Amz-Decoded-Content-Length": {s.decoded}, "X-Amz-Trailer": {s.trailers}}, Body: io.NopCloser(strings.NewReader(s.wire))}
		body, err := testAuth(s.kind).Body(r)
		if err != nil {
			b.Fatal(err)
		}
		drain(b, body, buf)
	}
}

func drain(b *testing.B, r io.Reader, buf []byte) {
	b.Helper()
	for {
		if _, err := r.Read(buf); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}
