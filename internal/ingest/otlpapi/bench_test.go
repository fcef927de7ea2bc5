//go:build unix

package otlpapi_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

// peerVariable names another OTLP receiver, such as http://127.0.0.1:4418/v1/traces, that is measured in turns with this one.
const peerVariable = "INDELIBLE_OTLP_PEER"

var serial atomic.Uint64

// batchOf is a request with n spans of calls, each with messages of about 1 KB, that no other call returns.
func batchOf(b *testing.B, n int) []byte {
	input, output := `[{"role":"user","parts":[{"type":"text","content":"`+strings.Repeat("lorem ipsum ", 50)+`"}]}]`, `[{"role":"assistant","parts":[{"type":"text","content":"`+strings.Repeat("dolor sit ", 25)+`"}],"finish_reason":"stop"}]`
	spans := make([]*trace.Span, n)
	for i := range spans {
		s := call(uint16(i), text("gen_ai.provider.name", "openai"), text("gen_ai.response.model", "m-1"), text("gen_ai.response.id", fmt.Sprint("chatcmpl-", serial.Load(), i)), text("gen_ai.input.messages", input), text("gen_ai.output.messages", output))
		s.TraceId = binary.BigEndian.AppendUint64(make([]byte, 8), serial.Add(1))
		spans[i] = s
	}
	return export(b, "bench", spans...)
}

// BenchmarkSpans is spans that are durable when they are answered, in requests of one and of 512 (what exporters send at
// most), on 1 and on 32 connections, and in turns with the receiver that peerVariable names. The processor time is that of the door and
// of the client that sends to it.
func BenchmarkSpans(b *testing.B) {
	targets := []struct{ name, url string }{{"door", newBench(b, nil).url + "/v1/traces"}}
	if peer := os.Getenv(peerVariable); peer != "" {
		targets = append(targets, struct{ name, url string }{"peer", peer})
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for _, c := range []struct{ batch, connections, requests int }{{1, 1, 50}, {1, 32, 1000}, {16, 32, 500}, {512, 1, 10}, {512, 8, 40}} {
		b.Run(fmt.Sprintf("batch=%d/connections=%d", c.batch, c.connections), func(b *testing.B) {
			spent, cpu := map[string]float64{}, time.Duration(0)
			for b.Loop() {
				for _, target := range targets {
					bodies := make(chan []byte, c.requests)
					for range c.requests {
						bodies <- batchOf(b, c.batch)
					}
					close(bodies)
					begun, used := time.Now(), cpuTime(b)
					var wg sync.WaitGroup
					for range c.connections {
						wg.Go(func() {
							for body := range bodies {
								send(b, client, target.url, body)
							}
						})
					}
					wg.Wait()
					spent[target.name] += time.Since(begun).Seconds()
					if target.name == "door" {
						cpu += cpuTime(b) - used
					}
				}
			}
			for name, s := range spent {
				b.ReportMetric(float64(b.N*c.requests*c.batch)/s, name+"-spans/s")
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(b.N*c.requests*c.batch), "door-cpu-us/span")
			if s := spent["peer"]; s > 0 {
				b.ReportMetric(s/spent["door"], "door/peer")
			}
		})
	}
}

func send(b *testing.B, client *http.Client, url string, body []byte) {
	resp, err := client.Post(url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		b.Errorf("status %d", resp.StatusCode)
	}
}

// cpuTime is what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
