//go:build unix

package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkMemory is what a stream under way takes of heap and stacks, through the strict proxy and through a plain one: each
// a second old, and so with a file of its own. The upstream's and the client's share is measured without a proxy, and taken off.
func BenchmarkMemory(b *testing.B) {
	const streams = 500
	var open atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		defer open.Add(-1)
		for first := true; r.Context().Err() == nil; first = false {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"word word word w\"}}]}\n\n")
			_ = http.NewResponseController(w).Flush()
			if first {
				open.Add(1)
			}
			time.Sleep(300 * time.Millisecond)
		}
	}))
	defer up.Close()
	await := func(done func() bool) {
		for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				b.Fatalf("%d streams of %d are under way", open.Load(), streams)
			}
		}
	}
	held := func(url string) float64 {
		addr, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC() // what pools hold goes with the second
		runtime.ReadMemStats(&before)
		var conns []net.Conn
		for range streams {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := fmt.Fprintf(c, "POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{\"model\":1}", path); err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
		}
		await(func() bool { return open.Load() > streams*9/10 }) // the plain proxy loses one at times
		time.Sleep(2 * time.Second)
		for range 4 { // stacks shrink by half with each
			runtime.GC()
		}
		runtime.ReadMemStats(&after)
		n := float64(open.Load())
		for _, c := range conns {
			_ = c.Close()
		}
		await(func() bool { return open.Load() == 0 })
		return float64(after.HeapAlloc-before.HeapAlloc+after.StackInuse-before.StackInuse) / n / 1024
	}
	for b.Loop() {
		alone := held(up.URL)
		b.ReportMetric(held(plain(b, up.URL))-alone, "plain-KiB")
		b.ReportMetric(held(newBench(b, up.URL, nil).url)-alone, "strict-KiB")
	}
	b.ReportMetric(0, "ns/op")
}
