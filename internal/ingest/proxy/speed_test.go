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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/ingest/proxy"
	"indelible/internal/spool"
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

// BenchmarkCalls is calls of 64 and of 8 clients to an upstream that takes 20 ms, through the strict proxy and
// through a plain one, in turns in one run: requests per second, the time to the first byte, and the
// processor time of the whole process per call (client and upstream are in it for both).
func BenchmarkCalls(b *testing.B) {
	for _, c := range []struct{ size, clients int }{{2 << 10, 64}, {64 << 10, 64}, {2 << 10, 8}, {64 << 10, 8}} {
		size, clients := c.size, c.clients
		b.Run(fmt.Sprintf("%dKiB,%d", size>>10, clients), func(b *testing.B) {
			answer := `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"` + strings.Repeat("x", 900) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				time.Sleep(20 * time.Millisecond)
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answer)
			}))
			defer up.Close()
			door := newBench(b, up.URL, nil)
			targets := map[string]string{"plain": plain(b, up.URL), "strict": door.url}
			body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some \\\"words\\\" of a prompt\\n", size/27) + `"}]}`)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			const each = 8
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
			b.ReportMetric(float64(door.synced.Load())/float64(door.fsyncs.Load()), "records/fsync")
			b.ReportMetric(float64(median(first["strict"])-median(first["plain"]))/1e6, "ms-more-p50")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkStream is streams of 2,000 events of 60 bytes, one after the other and eight at once, through the strict proxy, a plain one and, to tell
// the wait for the disk from the rest, the relaxed proxy, in turns.
func BenchmarkStream(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) { benchStreams(b, clients) })
	}
}

func benchStreams(b *testing.B, clients int) {
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"word word word w\"}}]}\n\n"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 2000 {
			_, _ = io.WriteString(w, event)
			w.(http.Flusher).Flush()
		}
	}))
	defer up.Close()
	relaxed := newBench(b, up.URL, func(o *proxy.Options, _ *spool.Spool) { o.Recorder.Relaxed = true })
	targets := map[string]string{"plain": plain(b, up.URL), "strict": newBench(b, up.URL, nil).url, "relaxed": relaxed.url}
	spent, cpu := map[string]time.Duration{}, map[string]time.Duration{}
	for b.Loop() {
		for _, name := range []string{"plain", "strict", "relaxed"} {
			begun, used := time.Now(), cpuTime()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					resp, err := http.Get(targets[name] + "/x")
					if err != nil {
						b.Error(err)
						return
					}
					if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(2000*len(event)) {
						b.Error(n, err)
					}
					_ = resp.Body.Close()
				})
			}
			wg.Wait()
			spent[name] += time.Since(begun)
			cpu[name] += cpuTime() - used
		}
	}
	b.ReportMetric(spent["plain"].Seconds()/spent["strict"].Seconds(), "strict/plain")
	b.ReportMetric(spent["plain"].Seconds()/spent["relaxed"].Seconds(), "relaxed/plain")
	b.ReportMetric(float64((cpu["strict"]-cpu["plain"]).Microseconds())/float64(b.N*clients), "us-cpu-more/stream")
	b.ReportMetric((spent["strict"]-spent["plain"]).Seconds()*1e3/float64(b.N), "ms-more")
	b.ReportMetric(2000*float64(b.N*clients)/spent["strict"].Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEventDelay is how much later than through the plain proxy each event of a stream arrives: 100 events, 2 ms apart.
func BenchmarkEventDelay(b *testing.B) {
	const events = 100
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range events {
			_, _ = fmt.Fprintf(w, "data: %020d\n\n", time.Now().UnixNano())
			w.(http.Flusher).Flush()
			time.Sleep(2 * time.Millisecond)
		}
	}))
	defer up.Close()
	targets := map[string]string{"plain": plain(b, up.URL), "strict": newBench(b, up.URL, nil).url}
	late := map[string][]time.Duration{}
	for b.Loop() {
		for _, name := range []string{"plain", "strict"} {
			resp, err := http.Get(targets[name] + "/x")
			if err != nil {
				b.Fatal(err)
			}
			event := make([]byte, len("data: 12345678901234567890\n\n"))
			for range events {
				if _, err := io.ReadFull(resp.Body, event); err != nil {
					b.Fatal(err)
				}
				sent, err := strconv.ParseInt(string(bytes.TrimLeft(event[6:26], "0")), 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				late[name] = append(late[name], time.Duration(time.Now().UnixNano()-sent))
			}
			_ = resp.Body.Close()
		}
	}
	for _, name := range []string{"plain", "strict"} {
		slices.Sort(late[name])
		b.ReportMetric(float64(late[name][len(late[name])/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(late[name][len(late[name])*99/100].Microseconds()), name+"-p99-us")
	}
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
