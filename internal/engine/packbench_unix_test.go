//go:build unix

package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// backlog are this many records of 4 KiB in benchmarks: 307 MB.
const backlog = 75_000

// benchEngine is an engine with packs and default settings that stores into a directory.
func benchEngine(b *testing.B, fastAfter time.Duration) (*Engine, *bucket) {
	fsys, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = fsys.Close() })
	st := &bucket{Store: dir.Open(fsys)}
	o := options(st, b.TempDir())
	o.Packs.On, o.Packs.FastAfter, o.Proof.CheckpointEvery = true, fastAfter, 0
	e, err := Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	return e, st
}

// fill appends the backlog, and says how many bytes its bodies have.
func fill(b *testing.B, e *Engine) (raw int64) {
	var senders sync.WaitGroup
	for lane := range 32 {
		senders.Go(func() {
			random := rand.New(rand.NewPCG(uint64(lane), 1))
			for i := lane; i < backlog; i += 32 {
				body := payload(random, i)
				if _, err := e.Append(b.Context(), record.Record{Door: "s3", Bucket: "b", Key: keyOf(i), Size: int64(len(body)), Body: strings.NewReader(body)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	senders.Wait()
	return backlog * 4096
}

// deliver delivers all that an engine has, and closes it.
func deliver(b *testing.B, e *Engine) {
	ran := make(chan error, 1)
	go func() { ran <- e.Run(context.Background()) }()
	if err := e.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
	e.Stop(b.Context())
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCatchUp delivers a backlog that an outage left in the spool, in packs into a directory: bodies for each second of CPU, and by the clock; and, on Linux, the
// most memory that the process had meanwhile.
func BenchmarkCatchUp(b *testing.B) {
	b.Run("usual", func(b *testing.B) { catchUp(b, 0) })
	b.Run("fast", func(b *testing.B) { catchUp(b, 1) }) // as after an outage longer than pack.fast_after
}

func catchUp(b *testing.B, fastAfter time.Duration) {
	var used, took time.Duration
	var raw int64
	peak := 0.0
	for range b.N {
		e, _ := benchEngine(b, fastAfter)
		raw += fill(b, e)
		debug.FreeOSMemory()
		_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // where there is one: VmHWM begins anew
		before, begun := cpu(), time.Now()
		deliver(b, e)
		used, took = used+cpu()-before, took+time.Since(begun)
		peak = max(peak, highWater())
	}
	b.ReportMetric(float64(raw)/1e6/used.Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(raw)/1e6/took.Seconds(), "MB/s-clock")
	if peak > 0 {
		b.ReportMetric(peak, "VmHWM-MiB")
	}
}

// highWater is the most memory of this process so far, in MiB; 0 where nothing tells it.
func highWater() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if kib := 0.0; bytes.HasPrefix(line, []byte("VmHWM:")) {
			_, _ = fmt.Sscan(string(line[len("VmHWM:"):]), &kib)
			return kib / 1024
		}
	}
	return 0
}

// BenchmarkPacks reads packs of the full size in a directory. verify: rows and all, bodies for each second of CPU. By place, seq and
// key: one record by a reader that knows nothing of the packs yet, its requests and bytes, and the CPU it takes.
func BenchmarkPacks(b *testing.B) {
	e, st := benchEngine(b, 0)
	raw := fill(b, e)
	deliver(b, e)
	vkey, err := os.ReadFile(filepath.Join(e.opts.Dir, "log.vkey"))
	if err != nil {
		b.Fatal(err)
	}
	verify := func(o proof.VerifyOptions, rows int64) func(*testing.B) {
		return func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				r, err := proof.Verify(b.Context(), st, "", strings.TrimSpace(string(vkey)), o)
				if err != nil || !r.OK() || r.CheckedRows != rows {
					b.Fatal(err, r.Faults, r.CheckedRows)
				}
			}
			used := cpu() - before
			b.ReportMetric(float64(raw)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
			b.ReportMetric(float64(raw)*float64(b.N)/1e6/b.Elapsed().Seconds(), "MB/s-clock")
		}
	}
	b.Run("verify", verify(proof.VerifyOptions{Packs: PackReader{}}, backlog))

	var largest store.Info
	for info, err := range st.List(b.Context(), store.ListOptions{Prefix: "packs/"}) {
		if err != nil {
			b.Fatal(err)
		}
		if info.Size > largest.Size {
			largest = info
		}
	}
	_, first, last, _ := layout.ParsePackFile(path.Base(largest.Key))
	r := &requests{bucket: st}
	want, ok, err := query.New(nil, st, mustLayout()).WithPacks().InPack(b.Context(), largest.Key, first+(last-first)*5/9)
	if err != nil || !ok {
		b.Fatal(ok, err)
	}
	for _, how := range []string{"place", "seq", "key"} {
		b.Run(how, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				r.gets, r.heads, r.read = 0, 0, 0
				readOne(b, r, how, largest.Key, want)
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(r.gets), "gets")
			b.ReportMetric(float64(r.heads), "heads")
			b.ReportMetric(float64(r.read)/1024, "KiB")
			b.ReportMetric(float64(largest.Size)/1e6, "MB-pack")
		})
	}
}
