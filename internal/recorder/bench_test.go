//go:build unix

package recorder_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/recorder"
)

// nowhere takes records and keeps none: what is measured is this package and capture.
type nowhere struct{ seq record.Seq }

func (n *nowhere) Append(_ context.Context, r record.Record) (record.Receipt, error) {
	size, err := io.Copy(io.Discard, r.Body)
	n.seq++
	return record.Receipt{Log: "bench", Seq: n.seq, Size: size}, err
}

// canned is an upstream without a network.
type canned struct {
	header http.Header
	body   string
	length int64
	chunk  int // bytes that a read gives at most
}

func (c *canned) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Proto: "HTTP/1.1", Header: c.header.Clone(), ContentLength: c.length,
		Body: io.NopCloser(&chunks{Reader: strings.NewReader(c.body), most: c.chunk})}, nil
}

type chunks struct {
	*strings.Reader
	most int
}

func (c *chunks) Read(p []byte) (int, error) { return c.Reader.Read(p[:min(len(p), c.most)]) }

// BenchmarkRoundTrip is what recording one exchange costs, without network and spool.
func BenchmarkRoundTrip(b *testing.B) {
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"word word word w\"}}]}\n\n"
	answer := `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"` + strings.Repeat("x", 900) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`
	for _, c := range []struct {
		name string
		size int
		up   canned
	}{
		{"2KiB", 2 << 10, canned{body: answer, length: int64(len(answer)), chunk: 4096}},
		{"64KiB", 64 << 10, canned{body: answer, length: int64(len(answer)), chunk: 4096}},
		{"stream", 2 << 10, canned{body: strings.Repeat(event, 2000), length: -1, chunk: len(event)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			fs, err := osdisk.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			c.up.header = http.Header{"Content-Type": {"application/json"}, "Date": {"Mon, 30 Nov 2026 12:00:00 GMT"}, "X-Request-Id": {"req_1"}}
			r, err := recorder.New(recorder.Options{Log: &nowhere{}, Data: fs, Door: "proxy", Base: &c.up})
			if err != nil {
				b.Fatal(err)
			}
			body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some \\\"words\\\" of a prompt\\n", c.size/27) + `"}]}`)
			buf := make([]byte, 8<<10)
			b.ReportAllocs()
			begun := cpuTime()
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), "POST", "http://up.example/v1/chat/completions", bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				req.Header = http.Header{"Authorization": {"Bearer sk-0123456789abcdef"}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}}
				resp, err := r.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			b.ReportMetric(float64((cpuTime()-begun).Microseconds())/float64(b.N), "us-cpu/op")
			if err := r.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// cpuTime is what this process has used of the processors: on a busy machine it says more than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for RUSAGE_SELF
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
