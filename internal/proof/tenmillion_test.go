//go:build unix

package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// patternStore is a log of very many records that were never written down: a bundle is made when it is asked for, a round trip away.
// Its leaves differ in seq and id, eight digits each.
type patternStore struct {
	store.Store
	away    time.Duration
	bundle  []byte
	leaf    int   // bytes of a leaf, its length included
	at      []int // of the eight digits within a leaf
	objects map[string][]byte
	size    uint64
}

const firstPattern = 10_000_000 // the first seq: all have eight digits

func newPatternStore(b *testing.B, size uint64, away time.Duration) (*patternStore, Key) {
	b.Helper()
	key, err := GenerateKey("bench-log")
	if err != nil {
		b.Fatal(err)
	}
	name := strconv.Itoa(firstPattern)
	l := Leaf{Kind: Record, Seq: firstPattern, Time: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC), Door: "s3", Source: "AKIAEXAMPLE", Bucket: "litellm-logs", Size: 4096}
	l.Key = "2026-11-24/time-08-00-00-000000_chatcmpl-" + name + ".json"
	raw := l.Encode()
	p := &patternStore{size: size, leaf: len(raw) + 2, objects: map[string][]byte{}}
	for from := 0; ; {
		i := bytes.Index(raw[from:], []byte(name))
		if i < 0 {
			break
		}
		p.at = append(p.at, 2+from+i)
		from += i + len(name)
	}
	leaves := make([][]byte, width)
	for i := range leaves {
		leaves[i] = raw
	}
	p.bundle = encodeBundle(leaves)
	e := &edge{}
	for n := uint64(0); n*width < size; n++ {
		data := p.make(n)
		for i := 0; i < len(data); i += p.leaf {
			e.add(leafHash(data[i+2:i+p.leaf]), func(level int, n uint64, hashes []tlog.Hash) {
				if level > 0 {
					p.objects[tilePath(level, n, width)] = encodeTile(hashes)
				}
			})
		}
	}
	for level, part := range e.levels {
		if len(part) > 0 {
			p.objects[tilePath(level, atLevel(size, level)/width, len(part))] = encodeTile(part)
		}
	}
	p.objects["checkpoint"], err = Checkpoint{Log: "bench-log", Size: size, Root: e.root()}.sign(context.Background(), key)
	if err != nil {
		b.Fatal(err)
	}
	p.away = away
	return p, key
}

// make is a bundle.
func (p *patternStore) make(n uint64) []byte {
	w := int(min(width, p.size-n*width))
	data := bytes.Clone(p.bundle[:w*p.leaf])
	for i := range w {
		digits := strconv.AppendUint(nil, firstPattern+n*width+uint64(i), 10)
		for _, at := range p.at {
			copy(data[i*p.leaf+at:], digits)
		}
	}
	return data
}

// tile is the one over a bundle.
func (p *patternStore) tile(n uint64) []byte {
	data := p.make(n)
	var tile []byte
	for i := 0; i < len(data); i += p.leaf {
		h := leafHash(data[i+2 : i+p.leaf])
		tile = append(tile, h[:]...)
	}
	return tile
}

// number is that in a tile's path.
func number(path string) (uint64, bool) {
	path, _, _ = strings.Cut(path, ".p/")
	n, err := strconv.ParseUint(strings.NewReplacer("x", "", "/", "").Replace(path), 10, 64)
	return n, err == nil
}

// List yields nothing: no object of a record is there.
func (*patternStore) List(context.Context, store.ListOptions) iter.Seq2[store.Info, error] {
	return func(func(store.Info, error) bool) {}
}

func (p *patternStore) Get(ctx context.Context, key string, _ store.GetOptions) (io.ReadCloser, store.Info, error) {
	if err := sleep(ctx, p.away); err != nil {
		return nil, store.Info{}, err
	}
	name := strings.TrimPrefix(key, Dir("", "bench-log"))
	data, ok := p.objects[name]
	if path, bundle := strings.CutPrefix(name, "tile/entries/"); bundle {
		if n, valid := number(path); valid {
			data, ok = p.make(n), true
		}
	} else if path, tile := strings.CutPrefix(name, "tile/0/"); tile && !ok {
		if n, valid := number(path); valid {
			data, ok = p.tile(n), true
		}
	}
	if !ok {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.NotFound, Err: errors.New("none")}
	}
	return io.NopCloser(bytes.NewReader(data)), store.Info{Key: key, Size: int64(len(data))}, nil
}

// BenchmarkVerifyTenMillionMissing is the memory that verify has of the system when each of ten million objects is gone.
func BenchmarkVerifyTenMillionMissing(b *testing.B) {
	const records = 10_000_123
	st, key := newPatternStore(b, records, 0)
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	heap := uint64(0)
	for b.Loop() {
		r, err := Verify(b.Context(), st, "", key.Public(), VerifyOptions{Progress: func(Progress) {
			runtime.ReadMemStats(&m)
			heap = max(heap, m.HeapInuse)
		}})
		if err != nil || r.Missing != records || len(r.MissingRanges) != 1 || r.FaultCount != records {
			b.Fatal(err, r.Missing, r.FaultCount, r.Faults[:3])
		}
	}
	b.ReportMetric(float64(heap-before.HeapInuse)/(1<<20), "MiB-heap")
}

// BenchmarkReconcileTenMillion looks for a million ids in ten million leaves 30 ms away, and compares with one bundle after the other.
func BenchmarkReconcileTenMillion(b *testing.B) {
	const records, away = 10_000_123, 30 * time.Millisecond
	st, key := newPatternStore(b, records, away)
	ids := func(yield func(KnownID, error) bool) {
		for i := range 1_000_000 {
			if !yield(KnownID{ID: fmt.Sprintf("chatcmpl-%d", firstPattern+10*i)}, nil) {
				return
			}
		}
	}
	highest := uint64(0)
	for b.Loop() {
		r, err := Reconcile(b.Context(), st, "", key.Public(), ids, ReconcileOptions{KeysOnly: true, Progress: func(leaves, _ uint64, _ int64) {
			if leaves%(1<<20) == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				highest = max(highest, m.HeapAlloc)
			}
		}})
		if err != nil || r.Records != records || r.Matched != 1_000_000 || record.Seq(r.Size) != records {
			b.Fatal(err, r.Records, r.Matched)
		}
	}
	serial := away * (records + width - 1) / width
	b.ReportMetric(serial.Seconds()*float64(b.N)/b.Elapsed().Seconds(), "x-serial")
	b.ReportMetric(float64(highest)/(1<<20), "MiB-heap")
}
