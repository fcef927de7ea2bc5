package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
)

// world is a writer that dies again and again, its disk, its bucket, and what the world saw of it.
type world struct {
	*bench
	rng   *rand.Rand
	disk  *crashdisk.Disk
	acked record.Seq        // records that the spool has and will hand out again
	seen  map[uint64]string // every checkpoint that ever reached the bucket: size to root
	fate  func(n int) fate  // of the n-th put
	puts  int
	dead  bool
}

// fate is what becomes of one put, and of the process.
type fate struct {
	apply, dies bool
}

var errDead = errors.New("the process is dead")

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{bench: newBench(t), rng: rand.New(rand.NewPCG(seed, 1)), disk: crashdisk.New(), seen: map[uint64]string{}}
	w.d = w.disk
	w.opt.Parallel = 1 // the order of puts is that of the list, so that each can be aimed at
	w.st.hook = func(o store.Object) (bool, error) {
		if w.dead {
			return false, errDead
		}
		w.puts++
		f := fate{apply: true}
		if w.fate != nil {
			f = w.fate(w.puts)
		}
		if f.dies {
			w.dead = true
		}
		switch {
		case f.dies && f.apply:
			return true, errDead
		case !f.apply:
			return false, &store.Error{Op: "put", Key: o.Key, Class: store.Ambiguous, Err: errors.New("injected")}
		}
		return true, nil
	}
	return w
}

// look remembers the checkpoint that the bucket shows: two trees of one size must never be seen.
func (w *world) look() {
	w.t.Helper()
	if w.st.newest(w.path("checkpoint")) == nil {
		return
	}
	raw := w.st.data(w.path("checkpoint"))
	cp, err := openCheckpoint(raw, "test-log", w.key.public)
	w.do(err)
	if old, ok := w.seen[cp.Size]; ok && old != cp.Root.String() {
		w.t.Fatalf("two trees of size %d were signed", cp.Size)
	}
	w.seen[cp.Size] = cp.Root.String()
}

// live is one life of the process: it opens the log, adds what the spool hands
// out again from released on and some new records, with a checkpoint now and then.
func (w *world) live(released record.Seq, more int) (record.Seq, error) {
	ctx := context.Background()
	l, err := w.tryOpen()
	if err != nil {
		return released, err
	}
	if err := l.Start("p", fmt.Sprint(w.rng.Uint64()), ""); err != nil { // differs each time, as clocks do
		return released, err
	}
	newest := w.acked + record.Seq(more)
	for seq := released + 1; seq <= newest; seq++ {
		w.acked = max(w.acked, seq)
		hook := w.st.hook
		w.st.hook = nil
		o := w.outcome(seq, record.Stored)
		w.st.hook = hook
		if err := l.Add(ctx, o); err != nil {
			return released, err
		}
		if seq%97 == 0 || seq == newest {
			err := l.Checkpoint(ctx)
			w.look()
			if err != nil && w.dead {
				return released, err
			}
			if err == nil {
				released = l.Stats().Proven
			}
		}
	}
	err = l.Stop(ctx)
	w.look()
	return max(released, l.Stats().Proven), err
}

// reborn lets the machine come back after a crash: what was not synced may be gone.
func (w *world) reborn() {
	w.disk = w.disk.Crash(w.rng, 50)
	w.d, w.dead, w.fate, w.puts = w.disk, false, nil, 0
}

// The process dies at each put of its second life in turn, the put done or
// not; or the put fails, done or not, and the process goes on. Whatever
// happens, the log verifies afterwards, and no two trees of one size were ever signed.
func TestDeathAtEveryPut(t *testing.T) { synctest.Test(t, deathAtEveryPut) } // so that no retry takes time

func deathAtEveryPut(t *testing.T) {
	step := torture.RaceStep(5)
	for _, f := range []fate{{false, true}, {true, true}, {false, false}} {
		for at := 1; ; at += step {
			w := newWorld(t, uint64(at))
			released, err := w.live(0, 250)
			w.do(err)
			w.reborn()
			w.fate = func(n int) fate {
				if n == at {
					return f
				}
				return fate{apply: true}
			}
			released, err = w.live(released, 300)
			hit := w.puts >= at
			if hit && f.dies && err == nil {
				t.Fatalf("put %d: the process did not die", at)
			}
			w.reborn()
			released, err = w.live(released, 20)
			w.do(err)
			if r := w.clean(); r.Records != int64(w.acked) || released != w.acked {
				t.Fatalf("%+v at put %d: %d records of %d are in the log, %d released", f, at, r.Records, w.acked, released)
			}
			w.leaves()
			if !hit {
				break
			}
		}
	}
}

// A put that failed and was done all the same: the next attempt finds its own work.
func TestFailedButStoredAtEveryPut(t *testing.T) { synctest.Test(t, failedButStoredAtEveryPut) } // so that no retry takes time

func failedButStoredAtEveryPut(t *testing.T) {
	for at := 1; ; at += torture.RaceStep(5) {
		w := newWorld(t, uint64(at))
		released, err := w.live(0, 250)
		w.do(err)
		w.reborn()
		hook := w.st.hook
		w.st.hook = func(o store.Object) (bool, error) {
			if apply, err := hook(o); w.puts != at {
				return apply, err
			}
			return true, &store.Error{Op: "put", Key: o.Key, Class: store.Ambiguous, Err: errors.New("the answer was lost")}
		}
		if _, err = w.live(released, 300); err != nil && w.puts < at {
			t.Fatal(err)
		}
		hit := w.puts >= at
		w.st.hook = hook
		w.reborn()
		_, err = w.live(released, 20)
		w.do(err)
		if r := w.clean(); r.Records != int64(w.acked) {
			t.Fatalf("put %d: %d records of %d", at, r.Records, w.acked)
		}
		if !hit {
			break
		}
	}
}

// A hundred lives that end at random, on a disk that forgets.
func TestHundredDeaths(t *testing.T) { synctest.Test(t, hundredDeaths) } // so that no retry takes time

func hundredDeaths(t *testing.T) {
	w := newWorld(t, 7)
	released := record.Seq(0)
	for range torture.RaceShare(100) {
		die := 1 + w.rng.IntN(40)
		applied := w.rng.IntN(2) == 0
		w.fate = func(n int) fate { return fate{apply: n != die || applied, dies: n == die} }
		var err error
		if released, err = w.live(released, w.rng.IntN(400)); err != nil && !w.dead {
			t.Fatal(err)
		}
		w.reborn()
	}
	_, err := w.live(released, 5)
	w.do(err)
	if r := w.clean(); r.Records != int64(w.acked) {
		t.Errorf("%d records of %d", r.Records, w.acked)
	}
	w.leaves()
	t.Logf("%d checkpoints, %d records", len(w.seen), w.acked)
}
