//go:build unix

package s3api_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"indelible/internal/ingest/sigv4"
)

const (
	benchConns = 64
	benchBody  = 4 << 10
	benchRound = 4096 // requests of one round to one server
)

// BenchmarkPut measures signed PUTs of 4 KiB over 64 loopback connections, each acknowledged after
// its fsync, beside the least that net/http could do with them: verify the
// signature and the digest that it covers, answer. The two take turns, so that a busy machine
// slows both. "ratio" is ours of theirs; the client's work is in both.
func BenchmarkPut(b *testing.B) {
	v := &sigv4.Verifier{Keys: map[string]string{keyID: keySecret}}
	buffers := sync.Pool{New: func() any { return new([benchBody]byte) }}
	noop := benchConnect(b, serveHandler(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := v.Verify(r); err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		buf := buffers.Get().(*[benchBody]byte)
		defer buffers.Put(buf)
		_, err := io.ReadFull(r.Body, buf[:])
		sum := sha256.Sum256(buf[:]) // the signature covers the body by its digest
		if err != nil || hex.EncodeToString(sum[:]) != r.Header.Get("X-Amz-Content-Sha256") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header()["Content-Length"] = []string{"0"}
	})))
	door := benchConnect(b, serve(b, newRealDoor(b, v)))
	var noopTime, doorTime, noopCPU, doorCPU time.Duration
	rounds := 0
	for b.Loop() {
		b.StopTimer()
		requests := benchRequests(b, rounds)
		t0 := cpuTime(b)
		noopTime += benchRun(b, noop, requests)
		t1 := cpuTime(b)
		b.StartTimer()
		doorTime += benchRun(b, door, requests)
		noopCPU, doorCPU = noopCPU+t1-t0, doorCPU+cpuTime(b)-t1
		rounds++
	}
	n := float64(rounds * benchRound)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/noopTime.Seconds(), "noop/s")
	b.ReportMetric(n/doorTime.Seconds(), "puts/s")
	b.ReportMetric(noopTime.Seconds()/doorTime.Seconds(), "ratio")
	b.ReportMetric(noopCPU.Seconds()/doorCPU.Seconds(), "cpu-ratio")
	b.ReportMetric(float64(noopCPU.Microseconds())/n, "noop-cpu-µs")
	b.ReportMetric(float64(doorCPU.Microseconds())/n, "put-cpu-µs")
}

// serveHandler serves h with nothing but net/http.
func serveHandler(b *testing.B, h http.Handler) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: h}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	b.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	})
	return l.Addr().String()
}

// benchRequests are signed requests as LiteLLM sends them, each for a key of its own.
func benchRequests(b *testing.B, round int) [][]byte {
	body := bytes.Repeat([]byte{'j'}, benchBody)
	requests := make([][]byte, benchRound)
	for i := range requests {
		copy(body, fmt.Sprint(round, "/", i))
		sum := sha256.Sum256(body)
		r, err := http.NewRequest("PUT", fmt.Sprintf("http://indelible:9000/audit/2026-11-22/time-01-02-03-%06d_chatcmpl-%d.json", i, round), nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Language", "en")
		r.Header.Set("Content-Disposition", `inline; filename="time-01-02-03.json"`)
		r.Header.Set("Cache-Control", "private, immutable, max-age=31536000, s-maxage=0")
		r = signer.SignV4(*r, keyID, keySecret, "", "us-east-1")
		var out bytes.Buffer
		fmt.Fprintf(&out, "PUT %s HTTP/1.1\r\nHost: indelible:9000\r\nContent-Length: %d\r\n", r.URL.RequestURI(), len(body))
		if err := r.Header.Write(&out); err != nil {
			b.Fatal(err)
		}
		out.WriteString("\r\n")
		out.Write(body)
		requests[i] = out.Bytes()
	}
	return requests
}

// cpuTime is what this process has used of the processors: it says more than
// the clock where other programs want them, too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type benchConn struct {
	net.Conn
	in *bufio.Reader
}

func benchConnect(b *testing.B, addr string) []*benchConn {
	conns := make([]*benchConn, benchConns)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		conns[i] = &benchConn{c, bufio.NewReader(c)}
	}
	return conns
}

// benchRun sends every request over one of the connections, the next one after the answer.
func benchRun(b *testing.B, conns []*benchConn, requests [][]byte) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			for j := i; j < len(requests); j += len(conns) {
				if err := c.exchange(requests[j]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// exchange reads an answer without a body.
func (c *benchConn) exchange(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
			return errors.New(string(line))
		}
		if len(line) <= 2 {
			return nil
		}
	}
}
