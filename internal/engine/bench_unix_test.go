//go:build unix

package engine

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/store/dir"
)

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDelivered is a 4 KiB record of LiteLLM's kind from Append until it is stored, in a directory, and
// proven, by the layout: the CPU time of everything in between.
func BenchmarkDelivered(b *testing.B) {
	for _, layout := range []string{"object", "pack"} {
		b.Run(layout, func(b *testing.B) {
			fsys, err := osdisk.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer fsys.Close()
			o := options(&bucket{Store: dir.Open(fsys)}, b.TempDir())
			o.Packs.On = layout == "pack"
			o.Proof.CheckpointEvery = time.Minute
			e, err := Open(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			ran := make(chan error, 1)
			go func() { ran <- e.Run(b.Context()) }()
			filler := strings.Repeat("The quick brown fox jumps over the lazy dog, and asks a model about it. ", 60)
			b.ResetTimer()
			before := cpu()
			var wg sync.WaitGroup
			for lane := range 32 {
				wg.Go(func() {
					for i := lane; i < b.N; i += 32 {
						id := fmt.Sprintf("chatcmpl-%016x%016x", uint64(i)*0x9e3779b97f4a7c15, uint64(i)*0xbf58476d1ce4e5b9)
						body := fmt.Sprintf(`{"id":%q,"call_type":"acompletion","model":"gpt-4o","total_tokens":%d,"response_cost":0.00%d,"messages":[{"role":"user","content":"%s %d"}],"trace_id":"%x"}`, id, i%4000, i%97, filler[:3700+i%97], i, uint64(i)*0x94d049bb133111eb)
						r := record.Record{Door: "s3", Bucket: "b", Key: "2026-11-30/time-08-00-00-000000_" + id + ".json", Size: int64(len(body)), Body: strings.NewReader(body)}
						if _, err := e.Append(b.Context(), r); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if err := e.Drain(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.StopTimer()
			e.Stop(b.Context())
			if err := e.Close(); err != nil {
				b.Fatal(err)
			}
			<-ran
		})
	}
}
