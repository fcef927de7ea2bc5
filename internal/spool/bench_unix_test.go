//go:build unix

package spool_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// BenchmarkAppend has 64 producers append records, each waiting for its ack, while what was
// acked is released, as in a healthy day, so that segments are used again. Then it writes the same bytes in batches of
// the same mean size to the same disk, in the best way that it knows: over a file that was written
// before, the next batch while the one before is being synced.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) { benchmarkAppend(b, size, 64) })
	}
}

func benchmarkAppend(b *testing.B, size, producers int) {
	var batches, written, records, syncing atomic.Int64
	s := openDir(b, b.TempDir(), spool.Options{Events: spool.Events{Synced: func(n int, bytes int64, took time.Duration, err error) {
		syncing.Add(int64(took))
		batches.Add(1)
		written.Add(bytes)
		records.Add(int64(n))
	}}})
	body := randomBody(1, size)
	var n atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var releasing sync.WaitGroup
	releasing.Go(func() {
		for at := record.Seq(0); ctx.Err() == nil; {
			newest, err := s.Wait(ctx, at+record.Seq(64<<20/size))
			if err == nil {
				at, err = newest, s.Release(ctx, newest)
			}
			if err != nil && ctx.Err() == nil {
				b.Error(err)
				return
			}
		}
	})
	cpu := cpuTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			mine := make([]byte, size)
			copy(mine, body)
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				copy(mine, strconv.AppendInt(nil, i, 10))
				if _, err := s.Append(context.Background(), rec("bucket", fmt.Sprintf("2026-11-24/time-16-00-00-%09d.json", i), mine)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	stop()
	releasing.Wait()
	took := b.Elapsed().Seconds()
	cpu = cpuTime(b) - cpu
	payload := float64(b.N) * float64(size)
	b.ReportMetric(float64(b.N)/took, "acks/s")
	b.ReportMetric(payload/took/1e6, "MB/s")
	b.ReportMetric(float64(written.Load())/payload, "amplification")
	b.ReportMetric(cpu.Seconds()*1e6/float64(b.N), "cpu-µs/record")
	b.ReportMetric(float64(records.Load())/float64(batches.Load()), "records/fsync")
	b.ReportMetric(float64(syncing.Load())/1e9/took, "in-fsync")
	if written.Load() == 0 {
		return // bodies in files of their own
	}
	raw := sequential(b, min(written.Load(), 1<<30), int(written.Load()/batches.Load()))
	b.ReportMetric(raw/1e6, "disk-MB/s")
	b.ReportMetric(float64(written.Load())/took/raw, "of-disk")
}

// sequential is the bytes per second of the same disk, written over a file that was
// written before, each batch with its fdatasync, the next one while that runs.
func sequential(b *testing.B, total int64, batch int) float64 {
	b.Helper()
	const size = 64 << 20
	fs, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer fs.Close() // only measured
	f, err := fs.Create("file")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() // only measured
	data := randomBody(2, max(batch, 1<<20))
	for off := 0; off < size; off += 1 << 20 {
		if _, err := f.WriteAt(data[:1<<20], int64(off)); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	synced := make(chan error, 1)
	synced <- nil
	off := 0
	begun := time.Now()
	for done := int64(0); done < total; done += int64(batch) {
		if off+batch > size {
			off = 0
		}
		if _, err := f.WriteAt(data[:batch], int64(off)); err != nil {
			b.Fatal(err)
		}
		off += batch
		if err := <-synced; err != nil {
			b.Fatal(err)
		}
		go func() { synced <- f.Sync() }()
	}
	if err := <-synced; err != nil {
		b.Fatal(err)
	}
	return float64(total) / time.Since(begun).Seconds()
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBacklog builds a backlog of INDELIBLE_BACKLOG_MIB MiB and opens it: open
// within a second, memory within 100 MiB. Skipped unless that is set; 10240 is the promise's size.
func TestBacklog(t *testing.T) {
	mib, _ := strconv.Atoi(os.Getenv("INDELIBLE_BACKLOG_MIB"))
	if mib == 0 {
		t.Skip("INDELIBLE_BACKLOG_MIB is not set")
	}
	dir := t.TempDir()
	s := openDir(t, dir, spool.Options{})
	var n atomic.Int64
	var wg sync.WaitGroup
	total := int64(mib) << 20 / 4400
	for range 64 {
		wg.Go(func() {
			for i := n.Add(1); i <= total; i = n.Add(1) {
				if _, err := s.Append(t.Context(), rec("b", fmt.Sprintf("2026-11-24/time-16-00-00-%09d.json", i), randomBody(uint64(i), 4096))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("built: peak memory %d MiB", peakMemory(t))
	begun := time.Now()
	s = openDir(t, dir, spool.Options{})
	took := time.Since(begun)
	begun = time.Now()
	for i := range int64(1000) {
		key := fmt.Sprintf("2026-11-24/time-16-00-00-%09d.json", i*total/1000+1)
		if _, ok, err := s.Lookup(t.Context(), "b", key); !ok || err != nil {
			t.Fatalf("lookup %s: %v, %v", key, ok, err)
		}
	}
	lookup := time.Since(begun) / 1000
	begun = time.Now()
	keys := 0
	for _, err := range s.Keys(t.Context(), "b", "2026-11-24/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if keys++; keys == 1000 {
			break
		}
	}
	list := time.Since(begun)
	read := 0
	for _, err := range s.Entries(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; read == 200_000 {
			break
		}
	}
	st := s.Stats()
	t.Logf("%d records, %d segments: open %v, lookup %v, page of 1000 keys %v, peak memory %d MiB", st.Pending, st.Segments, took, lookup, list, peakMemory(t))
	if took > time.Second || peakMemory(t) > 100 || st.Pending != uint64(total) {
		t.Errorf("open %v, peak memory %d MiB, %d of %d records", took, peakMemory(t), st.Pending, total)
	}
	if err := s.Release(t.Context(), record.Seq(total)); err != nil {
		t.Error(err)
	}
}

// peakMemory is VmHWM in MiB, 0 where the system does not tell.
func peakMemory(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	line, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Error(err)
	}
	return kib >> 10
}
