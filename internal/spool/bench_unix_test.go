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

// BenchmarkAppend has 64 producers append 4 KiB records, each waiting for its
// ack, and then writes the same bytes in batches of the same mean size one after the other, each
// with an fdatasync: what the disk gives at most.
func BenchmarkAppend(b *testing.B) {
	const size, producers = 4096, 64
	var batches, written, records, syncing atomic.Int64
	dir := b.TempDir()
	s := openDir(b, dir, spool.Options{Events: spool.Events{Synced: func(n int, bytes int64, took time.Duration, err error) {
		syncing.Add(int64(took))
		batches.Add(1)
		written.Add(bytes)
		records.Add(int64(n))
	}}})
	body := randomBody(1, size)
	var n atomic.Int64
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
	took := b.Elapsed().Seconds()
	cpu = cpuTime(b) - cpu
	payload := float64(b.N) * size
	b.ReportMetric(float64(b.N)/took, "acks/s")
	b.ReportMetric(payload/took/1e6, "MB/s")
	b.ReportMetric(float64(written.Load())/payload, "amplification")
	b.ReportMetric(cpu.Seconds()*1e6/float64(b.N), "cpu-µs/record")
	b.ReportMetric(float64(records.Load())/float64(batches.Load()), "records/fsync")
	b.ReportMetric(float64(syncing.Load())/1e9/took, "in-fsync")
	raw := sequential(b, written.Load(), int(written.Load()/batches.Load()))
	b.ReportMetric(raw/1e6, "disk-MB/s")
	b.ReportMetric(float64(written.Load())/took/raw, "of-disk")
}

// sequential is the bytes per second of the same disk, written in batches, each fdatasynced.
func sequential(b *testing.B, total int64, batch int) float64 {
	b.Helper()
	fs, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer fs.Close() // only measured
	data := randomBody(2, batch)
	begun := time.Now()
	file, off := 0, int64(1<<62)
	var f interface {
		WriteAt([]byte, int64) (int, error)
		Sync() error
		Allocate(int64) error
		Close() error
	}
	for done := int64(0); done < total; done += int64(batch) {
		if off+int64(batch) > 64<<20 {
			if f != nil {
				_ = f.Close() // only measured
			}
			file++
			if f, err = fs.Create(fmt.Sprint(file)); err != nil {
				b.Fatal(err)
			}
			if err := f.Allocate(64 << 20); err != nil {
				b.Fatal(err)
			}
			off = 0
		}
		if _, err := f.WriteAt(data, off); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		off += int64(batch)
	}
	_ = f.Close() // only measured
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
