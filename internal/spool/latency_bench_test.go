//go:build unix

package spool_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// openLoop calls do for n arrivals, so many a second whether the ones before have ended or
// not, and returns how long each took from its arrival.
func openLoop(n, perSecond int, do func(i int)) []time.Duration {
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range n {
		at := begun.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(at))
		wg.Go(func() {
			do(i)
			took[i] = time.Since(at)
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

// BenchmarkAckLatency has records of 4 KiB arrive at 1,000 a second, and measures their acks;
// then the same arrivals are fdatasyncs of 4 KiB on the same disk, those that wait sharing the next one.
func BenchmarkAckLatency(b *testing.B) {
	const n, rate = 5000, 1000
	report := func(name string, took []time.Duration) {
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), name+"-p99-µs")
	}
	for b.Loop() {
		s := openDir(b, b.TempDir(), spool.Options{})
		report("ack", openLoop(n, rate, func(i int) {
			if _, err := s.Append(context.Background(), rec("bucket", fmt.Sprint(i), randomBody(uint64(i), 4096))); err != nil {
				b.Error(err)
			}
		}))
		fs, err := osdisk.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		f, err := fs.Create("file")
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Allocate(64 << 20); err != nil {
			b.Fatal(err)
		}
		var mu sync.Mutex // one sync at a time
		var next sync.Mutex
		var written, synced int
		report("fdatasync", openLoop(n, rate, func(i int) {
			body := randomBody(uint64(i), 4096)
			next.Lock()
			if _, err := f.WriteAt(body, int64(i)*4096); err != nil {
				b.Error(err)
			}
			written++
			mine := written
			next.Unlock()
			mu.Lock()
			defer mu.Unlock()
			next.Lock()
			upto, done := written, synced >= mine
			next.Unlock()
			if done {
				return
			}
			if err := f.Sync(); err != nil {
				b.Error(err)
			}
			next.Lock()
			synced = upto
			next.Unlock()
		}))
		_ = f.Close() // only measured
		_ = fs.Close()
	}
}

// BenchmarkAppendIn measures one producer in states that once made its acks dearer.
func BenchmarkAppendIn(b *testing.B) {
	put := func(b *testing.B, s *spool.Spool, bucket, key string) record.Receipt {
		r, err := s.Append(context.Background(), rec(bucket, key, randomBody(1, 1024)))
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	for _, state := range []struct {
		name string
		make func(b *testing.B, s *spool.Spool) (stop func())
	}{
		{"Empty", func(*testing.B, *spool.Spool) func() { return func() {} }},
		{"10000Parked", func(b *testing.B, s *spool.Spool) func() {
			for i := range 10000 {
				r := put(b, s, "b", fmt.Sprint("held", i))
				if err := s.Settle(context.Background(), record.Outcome{Info: record.Info{Seq: r.Seq, Size: r.Size}, State: record.Deferred}); err != nil {
					b.Fatal(err)
				}
			}
			return func() {}
		}},
		{"2000Buckets", func(b *testing.B, s *spool.Spool) func() {
			for i := range 2000 {
				put(b, s, fmt.Sprint("bucket", i), "k")
			}
			return func() {}
		}},
		{"ListUnderWay", func(b *testing.B, s *spool.Spool) func() {
			for i := range 20000 {
				put(b, s, "b", fmt.Sprint("k", i*7919%20000))
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil {
					for range s.Keys(ctx, "b", "", "") {
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			return func() { stop(); <-done }
		}},
	} {
		b.Run(state.name, func(b *testing.B) {
			s := openDir(b, b.TempDir(), spool.Options{})
			stop := state.make(b, s)
			n := 0
			b.ResetTimer()
			for b.Loop() {
				n++
				put(b, s, "b", fmt.Sprint("new", n))
			}
			b.StopTimer()
			stop()
		})
	}
}
