package jsonapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/ingest/jsonapi"
	"indelible/internal/record"
)

// nowhere acks at once: what is measured is the door.
type nowhere struct{ seq atomic.Uint64 }

func (n *nowhere) AppendAll(_ context.Context, rs []record.Record) ([]record.Receipt, error) {
	receipts := make([]record.Receipt, len(rs))
	for i := range receipts {
		receipts[i] = record.Receipt{Log: "bench", Seq: record.Seq(n.seq.Add(1)), Size: rs[i].Size}
	}
	return receipts, nil
}

var serial atomic.Uint64

// payload is a record of about n bytes that no other call returns.
func payload(n int) string {
	id := serial.Add(1)
	head := fmt.Sprintf(`{"id":"chatcmpl-%d","call_type":"acompletion","startTime":1764000000.%06d,"model":"gpt-5","metadata":{"user_api_key_team_alias":"alpha"},"messages":[{"role":"user","content":"`, id, id%1e6)
	return head + strings.Repeat("lorem ipsum dolor ", max(0, n-len(head)-4)/18) + `"}]}`
}

func lines(count, size int) []byte {
	var b bytes.Buffer
	for range count {
		b.WriteString(payload(size))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// BenchmarkBatch is NDJSON in batches of 500 records of 1 KB: through HTTP into a
// real spool on this disk, and into none.
func BenchmarkBatch(b *testing.B) {
	const count, size = 500, 1000
	run := func(b *testing.B, url string) {
		b.SetBytes(int64(len(lines(count, size))))
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			client := &http.Client{Transport: &http.Transport{}}
			for pb.Next() {
				post(b, client, url, lines(count, size))
			}
		})
		b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "records/s")
	}
	b.Run("spool", func(b *testing.B) { run(b, newBench(b, nil).url+jsonapi.Path) })
	b.Run("nowhere", func(b *testing.B) {
		run(b, newBench(b, func(o *jsonapi.Options) { o.Spool = &nowhere{} }).url+jsonapi.Path)
	})
}

func post(b *testing.B, client *http.Client, url string, body []byte) {
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
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

// BenchmarkSingle is one POST of 4 KiB at a time on each of some connections, against a
// handler that reads the body and does nothing, in turns in one run. The ratio is
// of requests per second.
func BenchmarkSingle(b *testing.B) {
	noop := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
	})
	targets := map[string]string{
		"noop":    "http://" + serve(b, noop),
		"nowhere": newBench(b, func(o *jsonapi.Options) { o.Spool = &nowhere{} }).url + jsonapi.Path,
		"spool":   newBench(b, nil).url + jsonapi.Path,
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	spent := map[string]float64{}
	const round = 200
	for b.Loop() {
		for name, url := range targets {
			bodies := make(chan []byte, round)
			for range round {
				bodies <- []byte(payload(4096))
			}
			close(bodies)
			spent[name] += timed(func() {
				for body := range bodies {
					post(b, client, url, body)
				}
			}, 32)
		}
	}
	for name, s := range spent {
		b.ReportMetric(spent["noop"]/s, name+"/noop")
		b.ReportMetric(float64(b.N)*round/s, name+"-requests/s")
	}
}

// timed is how many seconds n goroutines take for the work that they share.
func timed(work func(), n int) float64 {
	begun := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Go(work)
	}
	wg.Wait()
	return time.Since(begun).Seconds()
}
