package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// oracle remembers what was acked.
type oracle struct {
	mu      sync.Mutex
	acked   map[record.Seq]string // key, from which the body follows
	started map[string]bool
	stored  map[record.Seq]bool
	upto    record.Seq // released: before the call
	twice   []string   // numbers that two acked records have
}

func newOracle() *oracle {
	return &oracle{acked: map[record.Seq]string{}, started: map[string]bool{}, stored: map[record.Seq]bool{}}
}

func keyBody(key string) []byte {
	seed, size := uint64(0), 0
	if _, err := fmt.Sscanf(key, "k%d-%d", &seed, &size); err != nil {
		panic(err)
	}
	return randomBody(seed, size)
}

// append appends one record and notes its ack.
func (o *oracle) append(s *spool.Spool, key string) error {
	_, err := o.appendIn(context.Background(), s, key)
	return err
}

func (o *oracle) appendIn(ctx context.Context, s *spool.Spool, key string) (record.Receipt, error) {
	o.mu.Lock()
	o.started[key] = true
	o.mu.Unlock()
	r, err := s.Append(ctx, rec("b", key, keyBody(key)))
	if err == nil {
		o.mu.Lock()
		if other, ok := o.acked[r.Seq]; ok && other != key {
			o.twice = append(o.twice, fmt.Sprintf("%d is %q and %q", r.Seq, other, key))
		}
		o.acked[r.Seq] = key
		o.mu.Unlock()
	}
	return r, err
}

// snapshot is what was acked, and what may have been released, at this moment.
func (o *oracle) snapshot() (map[record.Seq]string, record.Seq) {
	o.mu.Lock()
	defer o.mu.Unlock()
	acked := make(map[record.Seq]string, len(o.acked))
	maps.Copy(acked, o.acked)
	return acked, o.upto
}

// check compares a recovered spool with what had been acked.
func (o *oracle) check(t *testing.T, s *spool.Spool, acked map[record.Seq]string, upto record.Seq) {
	t.Helper()
	if s.Released() > upto {
		t.Errorf("released up to %d, only %d was asked for", s.Released(), upto)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.twice) > 0 {
		t.Errorf("numbers given twice: %v", o.twice)
	}
	seen := map[record.Seq]bool{}
	keys := map[string]record.Seq{}
	last := record.Seq(0)
	for e, err := range s.Entries(context.Background(), 1) {
		if err != nil {
			t.Errorf("entries: %v", err)
			continue
		}
		if last != 0 && e.Seq <= last || e.Seq <= s.Released() {
			t.Errorf("seq %d after %d, released %d", e.Seq, last, s.Released())
		}
		last = e.Seq
		seen[e.Seq] = true
		if other, ok := keys[e.Key]; ok {
			t.Errorf("%q is there twice: %d and %d", e.Key, other, e.Seq)
		}
		keys[e.Key] = e.Seq
		if !o.started[e.Key] {
			t.Errorf("%q was never sent", e.Key)
		}
		if key, ok := acked[e.Seq]; ok && key != e.Key {
			t.Errorf("record %d is %q, acked was %q", e.Seq, e.Key, key)
		}
		if !bytes.Equal(bodyOf(t, e), keyBody(e.Key)) {
			t.Errorf("record %d has another body", e.Seq)
		}
	}
	for seq, key := range acked {
		if seq > upto && !seen[seq] && !o.stored[seq] {
			t.Errorf("record %d %q was acked and is lost", seq, key)
		}
		e, ok, err := s.Lookup(context.Background(), "b", key)
		if seq > upto && (err != nil || !ok || e.Seq != seq) {
			t.Errorf("lookup of %d %q: %d, %v, %v", seq, key, e.Seq, ok, err)
		}
	}
	if gaps := s.Stats().Gaps; gaps != 0 {
		t.Errorf("%d gaps", gaps)
	}
}

// TestCrash kills the power at every mutating call of a run, and in the runs that follow
// the recovery, and compares what comes back with what was acked. INDELIBLE_CRASH_SEEDS sets how many runs.
func TestCrash(t *testing.T) {
	seeds := 3
	if torture.Race {
		seeds = 1
	}
	if n, err := strconv.Atoi(os.Getenv("INDELIBLE_CRASH_SEEDS")); err == nil {
		seeds = n
	}
	points := 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		points += crashRun(t, rng, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d crash points", points)
}

// crash is the disk that a crash left, and what had been acked then.
type crash struct {
	disk  *crashdisk.Disk
	acked map[record.Seq]string
	upto  record.Seq
	call  faultdisk.Call
}

// newRand is a source of randomness that depends on seed alone.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 4)) }

func crashRun(t *testing.T, rng *rand.Rand, seed int) int {
	base := crashdisk.New()
	o := newOracle()
	points := 0
	for round := range 3 {
		var crashes []crash
		var mu sync.Mutex
		fd := faultdisk.New(base, func(c faultdisk.Call) *faultdisk.Fault {
			if !c.Op.Mutates() {
				return nil
			}
			acked, upto := o.snapshot()
			mu.Lock()
			defer mu.Unlock()
			crashes = append(crashes, crash{base.Crash(rand.New(rand.NewPCG(rng.Uint64(), 2)), []int{0, 50, 100}[rng.IntN(3)]), acked, upto, c})
			return nil
		})
		s := openOn(t, fd, spool.Options{SegmentBytes: 16 << 10, InlineBytes: 9 << 10})
		work(t, s, o, seed*10+round)
		if round%2 == 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		for i := 0; i < len(crashes); i += torture.RaceStep(3) {
			c := crashes[i]
			r := openOn(t, c.disk, spool.Options{SegmentBytes: 16 << 10})
			o.check(t, r, c.acked, c.upto)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Fatalf("round %d, crash %d, before %v", round, i, c.call)
			}
		}
		points += len(crashes)
		mu.Unlock()
		acked, upto := o.snapshot()
		o.mu.Lock()
		o.acked, o.upto = acked, upto
		o.mu.Unlock()
		base = base.Crash(rng, 50)
	}
	return points
}

// work appends from several goroutines, then settles and releases some.
func work(t *testing.T, s *spool.Spool, o *oracle, seed int) {
	t.Helper()
	var wg sync.WaitGroup
	for p := range 3 {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(p)))
		wg.Go(func() {
			for i := range 8 {
				size := rng.IntN(6000)
				if rng.IntN(8) == 0 {
					size = 9<<10 + rng.IntN(80<<10)
				}
				if err := o.append(s, fmt.Sprintf("k%d-%d", (seed*10+p)*100+i, size)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	entries, _ := all(t, s, 1)
	for _, e := range entries[:len(entries)/2] {
		o.mu.Lock()
		o.stored[e.Seq] = true
		o.upto = e.Seq
		o.mu.Unlock()
		if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}); err != nil {
			t.Error(err)
		}
		if e.Seq%4 == 0 {
			if err := s.Release(t.Context(), e.Seq); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestFaults fails each mutating call of a run in turn, with the effect and
// without, and then cuts the power: what was acked comes back.
func TestFaults(t *testing.T) {
	boom := errors.New("input/output error")
	for _, fault := range []faultdisk.Fault{{Err: boom}, {Err: boom, Apply: true}, {Err: boom, Keep: 100}} {
		step := 1
		if torture.Race {
			step = 5
		}
		for n := 1; ; n += step {
			base := crashdisk.New()
			fd := faultdisk.New(base, faultdisk.Nth(n, fault))
			o := newOracle()
			s, err := spool.Open(fd, spool.Options{Log: "test", SegmentBytes: 16 << 10, InlineBytes: 4 << 10})
			if err != nil {
				s = openOn(t, fd, spool.Options{SegmentBytes: 16 << 10, InlineBytes: 4 << 10})
			}
			failed := 0
			for i := range 12 {
				key := fmt.Sprintf("k%d-%d", i, i*700)
				if err := o.append(s, key); err != nil {
					failed++
					if err := o.append(s, key); err != nil {
						t.Fatalf("call %d: a second try of %s fails: %v", n, key, err)
					}
				}
			}
			if failed > 1 {
				t.Errorf("call %d: %d appends failed", n, failed)
			}
			for rest := range 2 { // of a living spool, and of what a crash leaves of it
				if rest == 1 {
					s = openOn(t, base.Crash(rand.New(rand.NewPCG(uint64(n), 3)), 50), spool.Options{})
				}
				acked, upto := o.snapshot()
				o.check(t, s, acked, upto)
			}
			if t.Failed() {
				t.Fatalf("call %d, %+v", n, fault)
			}
			_ = s.Close()
			if n > 20 && len(fd.Trace()) < n {
				break
			}
		}
	}
}
