package s3_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/s3"
)

// BenchmarkPut is what one PUT of 4 KiB costs us, with the network and the
// server taken out: the transport answers at once.
//
//	go test -run '^$' -bench Put -benchmem ./internal/store/s3
func BenchmarkPut(b *testing.B) {
	s := at(b, "http://127.0.0.1:1", s3.Config{Transport: yes{}})
	benchmarkPut(b, s)
}

// BenchmarkPutLoopback is the same over a socket, with the CPU of a server that does nothing.
func BenchmarkPutLoopback(b *testing.B) {
	r := newRecorder(b)
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("ETag", `"etag"`)
		w.Header().Set("x-amz-checksum-sha256", req.Header.Get("x-amz-checksum-sha256"))
	})
	benchmarkPut(b, at(b, r.URL, s3.Config{}))
}

func benchmarkPut(b *testing.B, s *s3.Store) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 256)
	o := store.Object{
		Key: "2026-11-24/time-16-00-00-000000_chatcmpl-1.json", Size: int64(len(body)), Digest: sha256.Sum256(body),
		Header: map[string]string{"content-type": "application/json"},
		Meta:   map[string]string{"indelible-log": "host-0badcafe", "indelible-seq": "12345", "indelible-time": "2026-11-24T16:00:00.000000000Z", "indelible-bucket": "litellm"},
	}
	b.SetBytes(o.Size)
	b.ReportAllocs()
	for b.Loop() {
		o.Body = bytes.NewReader(body)
		if _, err := s.Put(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// yes is a transport whose other side takes everything.
type yes struct{}

func (yes) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, Request: req,
		Header: http.Header{"Etag": {`"etag"`}, "X-Amz-Checksum-Sha256": req.Header["X-Amz-Checksum-Sha256"]},
	}, nil
}
