//go:build unix

package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/torture"
)

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkVerify verifies records in a directory and reports record bytes a
// second of CPU, and the ratio to SHA-256 alone over the same bytes in the same run.
func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{4 << 10, 21 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			d, err := osdisk.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			st := dir.Open(d)
			key, n := fillStore(b, st, d, size, min(2000, 64<<20/size))
			body := make([]byte, size)
			start := cpu()
			for range n {
				sha256.Sum256(body)
			}
			pure := cpu() - start
			b.SetBytes(int64(n * size))
			b.ResetTimer()
			start = cpu()
			for b.Loop() {
				r, err := Verify(b.Context(), st, "", key.Public(), VerifyOptions{})
				if err != nil || !r.OK() || r.Checked != int64(n) {
					b.Fatal(err, r.Faults)
				}
			}
			used := (cpu() - start) / time.Duration(b.N)
			b.ReportMetric(float64(n*size)/1e6/used.Seconds(), "MB/cpu-s")
			b.ReportMetric(float64(pure)/float64(used), "of-sha256")
		})
	}
}

// fillStore writes n records of a size, and their log.
func fillStore(b *testing.B, st store.Store, d *osdisk.FS, size, n int) (Key, int) {
	b.Helper()
	key, err := GenerateKey("bench-log")
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), st, key, Options{Disk: d})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{1})
	data := make([]byte, size)
	for seq := 1; seq <= n; seq++ {
		_, _ = rng.Read(data)
		o := record.Outcome{State: record.Stored, Stored: fmt.Sprintf("2026-11-24/time-08-00-00-%06d_chatcmpl-%d.json", seq, seq)}
		o.Seq, o.Time, o.Door, o.Key, o.Size, o.Digest = record.Seq(seq), time.Now(), "s3", o.Stored, int64(size), sha256.Sum256(data)
		if _, err := st.Put(b.Context(), store.Object{Key: o.Stored, Body: bytes.NewReader(data), Size: o.Size, Digest: o.Digest}); err != nil {
			b.Fatal(err)
		}
		if err := l.Add(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	return key, n
}

// BenchmarkLeaf is the upkeep of the tree for one record, checkpoints of 16,384 leaves included, in a store that costs nothing.
func BenchmarkLeaf(b *testing.B) {
	key, _ := GenerateKey("bench-log")
	d, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	l, err := Open(b.Context(), &countingStore{}, key, Options{Disk: d, MaxPending: 16384})
	if err != nil {
		b.Fatal(err)
	}
	o := record.Outcome{State: record.Stored}
	o.Time, o.Door, o.Source, o.Bucket, o.Size = time.Now(), "s3", "AKIAEXAMPLE", "litellm-logs", 4096
	start := cpu()
	b.ReportAllocs()
	for b.Loop() {
		o.Seq++
		o.Key = "2026-11-24/time-08-00-00-000000_chatcmpl-0123456789abcdef.json"
		o.Stored = o.Key
		if err := l.Add(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu()-start)/1e3/float64(b.N), "cpu-us/leaf")
}

// countingStore counts puts and forgets them, but for the checkpoint.
type countingStore struct {
	store.Store
	puts, bytes int64
}

func (c *countingStore) Put(_ context.Context, o store.Object) (store.Info, error) {
	c.puts++
	c.bytes += o.Size
	return store.Info{ETag: "e"}, nil
}

func (c *countingStore) Get(_ context.Context, key string, _ store.GetOptions) (io.ReadCloser, store.Info, error) {
	return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.NotFound, Err: errors.New("none")}
}

func (c *countingStore) List(context.Context, store.ListOptions) iter.Seq2[store.Info, error] {
	return func(func(store.Info, error) bool) {}
}

// What the proof costs in puts: an hour at a steady rate, a checkpoint a minute.
func TestPutRatio(t *testing.T) {
	if torture.Race {
		t.Skip("one goroutine counts here: the step norace of test/steps runs it")
	}
	for rate, limit := range map[int]float64{16: 0.02, 1000: 0.009} {
		key, _ := GenerateKey("bench-log")
		st := &countingStore{}
		l, err := Open(t.Context(), st, key, Options{Disk: tempDisk(t), Parallel: 1})
		if err != nil {
			t.Fatal(err)
		}
		minutes := 60
		if rate > 100 {
			minutes = 5
		}
		o := record.Outcome{State: record.Stored, Stored: "k"}
		for range minutes {
			for range rate * 60 {
				o.Seq++
				if err := l.Add(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ratio := float64(st.puts) / float64(o.Seq)
		t.Logf("%d records/s: %d puts for %d records: %.2f %%", rate, st.puts, o.Seq, ratio*100)
		if ratio > limit {
			t.Errorf("%d records/s: %.2f %% puts, want at most %.1f %%", rate, ratio*100, limit*100)
		}
	}
}

// Opening a log of ten million leaves without its memory reads a few objects,
// whatever lies to the left of the edge.
func TestOpenTenMillion(t *testing.T) {
	if torture.Race {
		t.Skip("one goroutine counts here: the step norace of test/steps runs it")
	}
	const size = 10_000_123
	b := newBench(t)
	e := &edge{}
	var hashes []tlog.Hash // one bundle, over and over
	var leaves [][]byte
	for i := range width {
		raw := (&Leaf{Kind: Tick, Seq: 1, Time: time.Unix(int64(i), 0)}).Encode()
		leaves, hashes = append(leaves, raw), append(hashes, tlog.RecordHash(raw))
	}
	for n := uint64(0); n*width < size; n++ {
		for i := range min(width, size-n*width) {
			e.add(hashes[i], nil)
		}
	}
	w := size % width
	b.st.put(b.path(tilePath(entries, size/width, w)), encodeBundle(leaves[:w]))
	for level, part := range e.levels {
		if len(part) > 0 {
			b.st.put(b.path(tilePath(level, atLevel(size, level)/width, len(part))), encodeTile(part))
		}
	}
	checkpoint, err := Checkpoint{Log: "test-log", Size: size, Root: e.root()}.sign(context.Background(), b.key)
	b.do(err)
	b.st.put(b.path("checkpoint"), checkpoint)
	b.st.gets = 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	l := b.open()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	t.Logf("open of %d leaves: %s, %d gets, %d KiB allocated", size, took, b.st.gets, (after.TotalAlloc-before.TotalAlloc)>>10)
	if took > 2*time.Second || b.st.gets > 8 || after.TotalAlloc-before.TotalAlloc > 8<<20 {
		t.Errorf("open took %s, %d gets, %d bytes", took, b.st.gets, after.TotalAlloc-before.TotalAlloc)
	}
	if l.Next() != 2 || !strings.Contains(l.Public(), "test-log") {
		t.Errorf("next %d", l.Next())
	}
}
