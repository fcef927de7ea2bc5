//go:build unix

package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// plain is what strict is measured against: the least that net/http can do.
func plain(b *testing.B, upstream string) string {
	u, err := url.Parse(upstream)
	if err != nil {
		b.Fatal(err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression, t.MaxIdleConnsPerHost = true, 256
	p := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: t, FlushInterval: -1})
	b.Cleanup(p.Close)
	return p.URL
}

// BenchmarkCalls is calls of 64 clients to an upstream that takes 20 ms, through the strict proxy and
// through a plain one, in turns in one run: requests per second, the time to the first byte, and the
// processor time of the whole process per call (client and upstream are in it for both).
func BenchmarkCalls(b *testing.B) {
	for _, size := range []int{2 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			answer := `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"` + strings.Repeat("x", 900) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				time.Sleep(20 * time.Millisecond)
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answer)
			}))
			defer up.Close()
			targets := map[string]string{"plain": plain(b, up.URL), "strict": newBench(b, up.URL, nil).url}
			body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some \\\"words\\\" of a prompt\\n", size/27) + `"}]}`)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			const clients, each = 64, 8
			spent, cpu, first := map[string]time.Duration{}, map[string]time.Duration{}, map[string][]time.Duration{}
			var mu sync.Mutex
			round := func(url string) (list []time.Duration) {
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						for range each {
							begun := time.Now()
							resp, err := client.Post(url+"/v1/chat/completions", "application/json", bytes.NewReader(body))
							if err != nil {
								b.Error(err)
								return
							}
							took := time.Since(begun)
							_, _ = io.Copy(io.Discard, resp.Body)
							_ = resp.Body.Close()
							mu.Lock()
							list = append(list, took)
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				return list
			}
			for _, url := range targets {
				round(url) // connections
			}
			for b.Loop() {
				for _, name := range []string{"plain", "strict"} {
					begun, used := time.Now(), cpuTime()
					list := round(targets[name])
					spent[name] += time.Since(begun)
					cpu[name] += cpuTime() - used
					first[name] = append(first[name], list...)
				}
			}
			n := float64(b.N * clients * each)
			b.ReportMetric(spent["plain"].Seconds()/spent["strict"].Seconds(), "strict/plain")
			b.ReportMetric(n/spent["strict"].Seconds(), "calls/s")
			b.ReportMetric(float64((cpu["strict"]-cpu["plain"]).Microseconds())/n, "us-cpu-more/call")
			b.ReportMetric(float64(median(first["strict"])-median(first["plain"]))/1e6, "ms-more-p50")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkStream is streams of 2,000 events of 60 bytes, one after the other, in turns.
func BenchmarkStream(b *testing.B) {
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"word word word w\"}}]}\n\n"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 2000 {
			_, _ = io.WriteString(w, event)
			w.(http.Flusher).Flush()
		}
	}))
	defer up.Close()
	targets := map[string]string{"plain": plain(b, up.URL), "strict": newBench(b, up.URL, nil).url}
	spent := map[string]time.Duration{}
	for b.Loop() {
		for _, name := range []string{"plain", "strict"} {
			begun := time.Now()
			resp, err := http.Get(targets[name] + "/x")
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil || n != int64(2000*len(event)) {
				b.Fatal(n, err)
			}
			_ = resp.Body.Close()
			spent[name] += time.Since(begun)
		}
	}
	b.ReportMetric(spent["plain"].Seconds()/spent["strict"].Seconds(), "strict/plain")
	b.ReportMetric(2000*float64(b.N)/spent["strict"].Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for RUSAGE_SELF
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
