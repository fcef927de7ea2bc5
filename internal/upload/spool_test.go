package upload_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/torture"
	"indelible/internal/upload"
)

var _ upload.Source = (*spool.Spool)(nil)

// The real spool on a disk that forgets what was not synced, and a store that
// fails: after crashes at random moments every acked record has exactly one object.
func TestSpoolCrashes(t *testing.T) {
	for seed := range uint64(torture.RaceShare(16)) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { spoolCrashes(t, seed) })
		})
	}
}

func spoolCrashes(t *testing.T, seed uint64) {
	r := &chance{r: rand.New(rand.NewPCG(seed, 2))}
	var calm atomic.Bool
	w := newWorld(t, "")
	w.bucket.latency = 5 * time.Millisecond
	w.bucket.script = func(op, key string) fault {
		if calm.Load() || r.Float64() < 0.7 {
			return fault{}
		}
		return fault{class: store.Class(1 + r.IntN(5)), apply: r.IntN(2) == 0}
	}
	disk := crashdisk.New()
	acked := map[record.Seq]string{}
	open := func() *spool.Spool {
		s, err := spool.Open(disk, spool.Options{Log: "test", SegmentBytes: 64 << 10, ReserveBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		w.opts.Source = s
		w.start()
		return s
	}
	s := open()
	for i := range 150 {
		key, body := fmt.Sprint("k", r.IntN(80)), fmt.Sprint("body ", i, strings.Repeat("x", r.IntN(3000)))
		receipt, err := s.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: key, Size: int64(len(body)), Body: strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		acked[receipt.Seq] = body
		if r.IntN(25) > 0 {
			continue
		}
		time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
		after := disk.Crash(rand.New(rand.NewPCG(seed, uint64(i))), r.IntN(101))
		w.stop()
		s.Close()
		disk = after
		s = open()
	}
	calm.Store(true)
	time.Sleep(15 * time.Minute)
	w.drain(time.Hour)
	w.stop()
	st := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st.Pending != 0 || st.Deferred != 0 || st.Quarantined != 0 || st.Gaps != 0 || st.Released != uint64(len(acked)) {
		t.Errorf("spool: %+v", st)
	}
	have := map[string]string{} // by seq
	for key, o := range w.bucket.objects {
		seq := o.info.Meta["indelible-seq"]
		if other, twice := have[seq]; twice {
			t.Errorf("record %s is in %q and in %q", seq, other, key)
		}
		have[seq] = key
	}
	for seq, body := range acked {
		if got, _ := w.bucket.body(have[fmt.Sprint(seq)]); got != body {
			t.Errorf("record %d: %q holds %.20q, want %.20q", seq, have[fmt.Sprint(seq)], got, body)
		}
	}
	if len(have) != len(acked) {
		t.Errorf("%d objects for %d records", len(have), len(acked))
	}
}

// A body that rots on the disk after it was acked becomes a gap, in the spool's
// count too, and holds up nothing.
func TestSpoolRot(t *testing.T) {
	for name, size := range map[string]int{"inline": 1000, "file": 400 << 10} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			disk, err := osdisk.Open(root)
			if err != nil {
				t.Fatal(err)
			}
			s, err := spool.Open(disk, spool.Options{Log: "test"})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				body := strings.Repeat(string(rune('a'+i)), size)
				if _, err := s.Append(t.Context(), record.Record{Door: "s3", Key: fmt.Sprint("k", i), Size: -1, Body: strings.NewReader(body)}); err != nil {
					t.Fatal(err)
				}
			}
			rot(t, root, strings.Repeat("h", 100))
			w := newWorld(t, "")
			w.opts.Source = s
			w.opts.BackoffMin, w.opts.BackoffMax, w.opts.DeferredEvery = time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
			w.start()
			w.drain(20 * time.Second)
			w.stop()
			st := s.Stats()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if len(w.bucket.objects) != 19 || st.Gaps != 1 || st.Pending != 0 || st.Released != 20 {
				t.Errorf("%d objects, spool %+v\n%s", len(w.bucket.objects), st, tail(w.log.String()))
			}
			if !strings.Contains(w.log.String(), "gap: record 8 is unreadable") {
				t.Errorf("the log does not name the gap:\n%s", tail(w.log.String()))
			}
		})
	}
}

// rot changes one byte of what holds the text, below root.
func rot(t *testing.T, root, text string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{'H'}, int64(i+50))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkSpoolToDirectory is the whole way on real disks: 4 KiB records out of
// the spool into a directory, each fsynced.
func BenchmarkSpoolToDirectory(b *testing.B) {
	from, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	to, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s, err := spool.Open(from, spool.Options{Log: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	body := strings.Repeat("x", 4096)
	next := make(chan int)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	done := make(chan error)
	for range 32 {
		go func() {
			var err error
			for i := range next {
				_, err = s.Append(ctx, record.Record{Door: "s3", Bucket: "b", Key: fmt.Sprint("k", i), Size: int64(len(body)), Body: strings.NewReader(body)})
			}
			done <- err
		}()
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	for range 32 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	w := newWorld(b, "")
	w.opts.Source, w.opts.Store = s, dir.Open(to)
	b.ReportAllocs()
	b.ResetTimer()
	w.start()
	w.drain(10 * time.Minute)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.StopTimer()
	w.stop()
	s.Close()
}
