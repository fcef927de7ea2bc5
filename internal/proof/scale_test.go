//go:build unix

package proof

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// farStore answers each request after a round trip.
type farStore struct {
	*memStore
	away time.Duration
}

func (f farStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if err := sleep(ctx, f.away); err != nil {
		return nil, store.Info{}, err
	}
	return f.memStore.Get(ctx, key, o)
}

func (f farStore) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		n := 0
		for info, err := range f.memStore.List(ctx, o) {
			if n%1000 == 0 && sleep(ctx, f.away) != nil {
				return
			}
			if n++; !yield(info, err) {
				return
			}
		}
	}
}

// fillMem is a log of n records in memory. All share one object, so that the
// log is large and the memory is not.
func fillMem(b *testing.B, n int) (*memStore, Key) {
	b.Helper()
	key, err := GenerateKey("bench-log")
	if err != nil {
		b.Fatal(err)
	}
	d, err := osdisk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	st := newMemStore()
	l, err := Open(b.Context(), st, key, Options{Disk: d})
	if err != nil {
		b.Fatal(err)
	}
	data := body(1)
	st.put("k", data)
	o := record.Outcome{State: record.Stored, Stored: "k"}
	o.Time, o.Door, o.Source, o.Bucket, o.Size, o.Digest = time.Now(), "s3", "AKIAEXAMPLE", "litellm-logs", int64(len(data)), record.Digest(tlogSum(string(data)))
	for o.Seq = 1; o.Seq <= record.Seq(n); o.Seq++ {
		o.Key = fmt.Sprintf("2026-11-24/time-08-00-00-000000_chatcmpl-%d.json", o.Seq)
		if err := l.Add(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	return st, key
}

// BenchmarkVerifyLeaf is what the walk costs for a leaf, its object left out, with as
// many checkpoints as five years of history have.
func BenchmarkVerifyLeaf(b *testing.B) {
	const leaves = 1 << 18
	st, key := fillMem(b, leaves)
	for _, checkpoints := range []int{1, 43_200} {
		b.Run(fmt.Sprintf("%dcheckpoints", checkpoints), func(b *testing.B) {
			verifierKey, err := parsePublic(key.Public())
			if err != nil {
				b.Fatal(err)
			}
			r := newReader(st, "", "bench-log")
			raw, _, err := r.get(b.Context(), "checkpoint")
			if err != nil {
				b.Fatal(err)
			}
			cp, err := ParseCheckpoint(raw)
			if err != nil {
				b.Fatal(err)
			}
			start := cpu()
			for b.Loop() {
				v := &verifier{reader: r, direct: st, key: verifierKey, opt: VerifyOptions{Since: time.Now().Add(time.Hour)}}
				v.findings.report = &v.report
				v.leaves = leafChecker{findings: &v.findings, log: "bench-log"}
				for i := range checkpoints {
					v.checkpoints = append(v.checkpoints, &foundCheckpoint{Checkpoint: Checkpoint{Size: uint64(i+1) * leaves / uint64(checkpoints)}})
				}
				if err := v.walk(b.Context(), &foundCheckpoint{Checkpoint: cp}); err != nil || v.report.FaultCount > 0 || v.nextCheckpoint != checkpoints || v.report.Skipped != leaves {
					b.Fatal(err, v.report.Faults, v.nextCheckpoint, v.report.Skipped)
				}
			}
			b.ReportMetric(float64(cpu()-start)/1e3/float64(b.N)/leaves, "cpu-us/leaf")
		})
	}
}

// BenchmarkVerifyFar verifies records in a store 30 ms away.
func BenchmarkVerifyFar(b *testing.B) {
	const records = 20_000
	st, key := fillMem(b, records)
	for b.Loop() {
		r, err := Verify(b.Context(), farStore{st, 30 * time.Millisecond}, "", key.Public(), VerifyOptions{})
		if err != nil || !r.OK() || r.Checked != records {
			b.Fatal(err, r.Faults)
		}
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// BenchmarkReconcileFar looks for ids in a log 30 ms away, and compares with one bundle after the other.
func BenchmarkReconcileFar(b *testing.B) {
	const records = 1 << 17
	st, key := fillMem(b, records)
	ids := func(yield func(KnownID, error) bool) {
		for range records / 10 {
			if !yield(KnownID{ID: fmt.Sprintf("chatcmpl-%d", 1+rand.IntN(records))}, nil) {
				return
			}
		}
	}
	const away = 30 * time.Millisecond
	for b.Loop() {
		r, err := Reconcile(b.Context(), farStore{st, away}, "", key.Public(), ids, ReconcileOptions{KeysOnly: true})
		if err != nil || r.Records != records {
			b.Fatal(err, r.Records)
		}
	}
	serial := away * records / width
	b.ReportMetric(serial.Seconds()*float64(b.N)/b.Elapsed().Seconds(), "x-serial")
}

// BenchmarkVerifyMemory is the memory that a verify holds when every object is gone: the same for any number of them.
func BenchmarkVerifyMemory(b *testing.B) {
	for _, records := range []int{1 << 16, 1 << 18} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			st, key := fillMem(b, records)
			st.remove("k")
			var peak, before runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				highest := uint64(0)
				r, err := Verify(b.Context(), st, "", key.Public(), VerifyOptions{Progress: func(p Progress) {
					runtime.GC()
					runtime.ReadMemStats(&peak)
					highest = max(highest, peak.HeapAlloc-min(peak.HeapAlloc, before.HeapAlloc))
				}})
				if err != nil || r.Missing != int64(records) || len(r.MissingRanges) != 1 {
					b.Fatal(err, r.Missing, len(r.MissingRanges))
				}
				b.ReportMetric(float64(highest)/(1<<20), "MiB-held")
			}
		})
	}
}
