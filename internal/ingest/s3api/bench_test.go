//go:build unix

package s3api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
)

const (
	benchBody  = 4 << 10
	benchRound = 4096 // requests of one round to one server
)

// BenchmarkPut measures signed PUTs of 4 KiB over 64 and over 256 loopback connections, each
// acknowledged after its fsync, beside the least that net/http could do with them: verify the
// signature and the digest that it covers, answer; and beside the door over a spool that reads and
// hashes the body and acknowledges it at once, which leaves the door alone. They take turns, so
// that a busy machine slows all. "ratio" is the least's time of ours, "cpu-ratio" its CPU of ours,
// "door-cpu-ratio" of the door's alone; the client's work is in all.
func BenchmarkPut(b *testing.B) {
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprint("conns=", conns), func(b *testing.B) { benchPut(b, conns) })
	}
}

func benchPut(b *testing.B, conns int) {
	v := &sigv4.Verifier{Keys: map[string]string{keyID: keySecret}}
	alone, err := s3api.New(s3api.Options{Spool: new(instant), Records: &memory{}, Verifier: v})
	if err != nil {
		b.Fatal(err)
	}
	servers := []*benchServer{
		{name: "noop", conns: benchConnect(b, conns, serveHandler(b, leastHandler(v)))},
		{name: "door", conns: benchConnect(b, conns, serve(b, alone))},
		{name: "put", conns: benchConnect(b, conns, serve(b, newRealDoor(b, v)))},
	}
	rounds := 0
	for b.Loop() {
		b.StopTimer()
		requests := benchRequests(b, rounds)
		for i := range servers {
			s := servers[(i+rounds)%len(servers)]
			if s.name == "put" {
				b.StartTimer()
			}
			cpu := cpuTime(b)
			s.took += benchRun(b, s.conns, requests)
			s.cpu += cpuTime(b) - cpu
			b.StopTimer()
		}
		b.StartTimer()
		rounds++
	}
	n := float64(rounds * benchRound)
	noop, door, put := servers[0], servers[1], servers[2]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/noop.took.Seconds(), "noop/s")
	b.ReportMetric(n/put.took.Seconds(), "puts/s")
	b.ReportMetric(noop.took.Seconds()/put.took.Seconds(), "ratio")
	b.ReportMetric(noop.cpu.Seconds()/put.cpu.Seconds(), "cpu-ratio")
	b.ReportMetric(noop.cpu.Seconds()/door.cpu.Seconds(), "door-cpu-ratio")
	for _, s := range servers {
		b.ReportMetric(float64(s.cpu.Microseconds())/n, s.name+"-cpu-µs")
	}
}

type benchServer struct {
	name      string
	conns     []*benchConn
	took, cpu time.Duration
}

// leastHandler verifies and answers, and does nothing else.
func leastHandler(v *sigv4.Verifier) http.Handler {
	buffers := sync.Pool{New: func() any { return new([benchBody]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	})
}

// instant is a spool that keeps nothing and acknowledges everything.
type instant struct {
	seq     atomic.Uint64
	buffers sync.Pool
}

func (s *instant) Append(_ context.Context, r record.Record) (record.Receipt, error) {
	buf, ok := s.buffers.Get().(*[2 * benchBody]byte)
	if !ok {
		buf = new([2 * benchBody]byte)
	}
	defer s.buffers.Put(buf)
	n, err := io.ReadFull(r.Body, buf[:])
	if err != io.ErrUnexpectedEOF {
		return record.Receipt{}, fmt.Errorf("body of %d bytes or more: %w", n, err)
	}
	sum := record.Digest(sha256.Sum256(buf[:n]))
	if _, err := r.Seal(sum, int64(n)); err != nil {
		return record.Receipt{}, err
	}
	return record.Receipt{Log: "test", Seq: record.Seq(s.seq.Add(1)), Time: time.Now(), Digest: sum, Size: int64(n)}, nil
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

func benchConnect(b *testing.B, n int, addr string) []*benchConn {
	conns := make([]*benchConn, n)
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
