package upload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
	"indelible/internal/upload"
)

// world is a source, a bucket and an uploader between them, in virtual time.
type world struct {
	t      testing.TB
	src    *source
	bucket *bucket
	names  layout.Objects
	opts   upload.Options
	up     *upload.Uploader
	log    *safeBuffer
	stop   func()
}

func newWorld(t testing.TB, prefix string) *world {
	t.Helper()
	names, err := layout.Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, src: newSource(), bucket: newBucket(), names: names, log: &safeBuffer{}}
	w.opts = upload.Options{
		Source: w.src, Store: w.bucket, Layout: names, Log: "test",
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	return w
}

// safeBuffer is a log that can be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *safeBuffer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *safeBuffer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// chance is a seeded source of random numbers for several goroutines.
type chance struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (c *chance) IntN(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

func (c *chance) Float64() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.Float64()
}

// start begins a run; the world's stop ends it as a kill would: at once.
func (w *world) start() {
	w.up = upload.New(w.opts)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.up.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.stop = func() { cancel(); <-done }
}

func (w *world) drain(within time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	if err := w.up.Drain(ctx); err != nil {
		w.t.Fatalf("drain: %v; stats %+v\n%s", err, w.up.Stats(), tail(w.log.String()))
	}
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// check is the oracle: every record exactly once in the bucket, byte for byte,
// or parked where that is expected; nothing else; nothing released too early.
func (w *world) check(parked ...record.Seq) {
	w.t.Helper()
	for _, lie := range w.src.lies {
		w.t.Error(lie)
	}
	away := map[record.Seq]bool{}
	for _, seq := range parked {
		away[seq] = true
	}
	owner := map[string]record.Seq{}
	for _, e := range w.src.entries {
		if away[e.Seq] || w.src.gapAt(e.Seq) != nil {
			continue
		}
		o, ok := w.src.settled[e.Seq]
		if !ok {
			w.t.Errorf("record %d (%s) is not settled", e.Seq, e.Key)
			continue
		}
		if was := owner[o.Stored]; was != 0 {
			w.t.Errorf("records %d and %d share the object %q", was, e.Seq, o.Stored)
		}
		owner[o.Stored] = e.Seq
		body, _ := e.Open()
		var want bytes.Buffer
		want.ReadFrom(body)
		if got, ok := w.bucket.body(o.Stored); !ok || got != want.String() {
			w.t.Errorf("record %d: the object %q holds %q (%v), want %q", e.Seq, o.Stored, got, ok, want.String())
		}
	}
	for key, o := range w.bucket.objects {
		if owner[key] == 0 {
			w.t.Errorf("the object %q belongs to no record: %q, meta %v", key, o.body, o.info.Meta)
		}
	}
}

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "logs/")
		w.bucket.latency = 100 * time.Millisecond
		for i := range 500 {
			w.src.add("b", fmt.Sprintf("k%d", i), fmt.Sprint("body", i))
		}
		w.start()
		w.drain(time.Minute)
		w.src.add("b", "last", "x")
		w.drain(2 * time.Second)
		w.stop()
		w.check()
		if got := w.src.Released(); got != 501 {
			t.Errorf("released %d, want 501", got)
		}
		if got, ok := w.bucket.body("logs/k7"); !ok || got != "body7" {
			t.Errorf("logs/k7 holds %q", got)
		}
	})
}

// Random faults of every kind, with restarts and power losses at random moments.
func TestFaultsAndRestarts(t *testing.T) {
	for seed := range uint64(torture.RaceShare(60)) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { faultsAndRestarts(t, seed) })
		})
	}
}

func faultsAndRestarts(t *testing.T, seed uint64) {
	r := &chance{r: rand.New(rand.NewPCG(seed, 1))}
	var calm atomic.Bool
	w := newWorld(t, [...]string{"", "logs/", "{bucket}/"}[seed%3])
	w.bucket.latency = time.Duration(r.IntN(50)) * time.Millisecond
	w.bucket.blind = seed%4 == 3
	var l *ledger
	if seed%2 == 1 {
		l = newLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.opts.CheckpointEvery = time.Duration(1+r.IntN(20)) * time.Second
		l.fault = func(string) error { return sometimes(r, 0.1, &calm) }
	}
	w.src.fault = func(string) error { return sometimes(r, 0.01, &calm) }
	if seed%5 > 2 {
		w.src.readable = func(record.Seq, bool) error { return sometimes(r, 0.2, &calm) }
	}
	w.opts.MaxRecords = 1 + r.IntN(64)
	w.opts.MaxConcurrency = 1 + r.IntN(32)
	w.bucket.script = func(op, key string) fault {
		if calm.Load() || r.Float64() < 0.6 {
			return fault{}
		}
		switch f := (fault{class: store.Class(1 + r.IntN(5)), delay: time.Duration(r.IntN(100)) * time.Millisecond}); {
		case op == "head" && r.IntN(3) > 0:
			return fault{}
		case f.class == store.Ambiguous:
			f.apply, f.late = r.IntN(2) == 0, r.IntN(4) == 0
			return f
		case r.IntN(20) == 0:
			return fault{hang: true, apply: r.IntN(2) == 0}
		case f.class == store.Throttled && r.IntN(4) == 0:
			f.asked = time.Duration(r.IntN(40)) * time.Second
			return f
		default:
			return f
		}
	}
	total := 100 + r.IntN(200)
	w.start()
	for i := range total {
		bucket, key := fmt.Sprint("b", r.IntN(2)), fmt.Sprint("k", r.IntN(total/2))
		w.src.add(bucket, key, fmt.Sprint("body ", i))
		if r.IntN(10) == 0 {
			w.src.add(bucket, fmt.Sprintf("%s~%d", key, i), fmt.Sprint("sly ", i))
		}
		if r.IntN(30) == 0 {
			time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
			w.stop()
			if r.IntN(2) == 0 {
				w.src.powerLoss(func() bool { return r.IntN(2) == 0 })
			}
			if l != nil {
				l.crash()
			}
			w.start()
		}
	}
	time.Sleep(time.Minute)
	calm.Store(true)
	time.Sleep(15 * time.Minute) // the deferred ones have their turn
	w.drain(time.Hour)
	w.stop()
	w.check()
	if l == nil {
		return
	}
	for _, lie := range l.lies {
		t.Error(lie)
	}
	for _, e := range w.src.entries {
		if l.proven[e.Seq] != record.Stored {
			t.Errorf("record %d is %q in the ledger, want stored", e.Seq, l.proven[e.Seq])
		}
	}
}

func sometimes(r *chance, p float64, never *atomic.Bool) error {
	if !never.Load() && r.Float64() < p {
		return errors.New("local fault")
	}
	return nil
}

func TestStoredThenFailed(t *testing.T) {
	for _, f := range []fault{
		{class: store.Ambiguous, apply: true},
		{class: store.Ambiguous, apply: true, late: true},
		{class: store.Throttled, apply: true},
		{hang: true, apply: true},
	} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				first := map[string]bool{}
				w.bucket.script = func(op, key string) fault {
					if op == "put" && !first[key] {
						first[key] = true
						return f
					}
					return fault{}
				}
				for i := range 20 {
					w.src.add("b", fmt.Sprint("k", i), fmt.Sprint("body", i))
				}
				w.start()
				w.drain(5 * time.Minute)
				w.stop()
				w.check()
				for key := range w.bucket.objects {
					if strings.Contains(key, "~") {
						t.Errorf("%s: a record that was stored already was stored again", key)
					}
				}
			})
		})
	}
}

// An answer to HEAD that is not the store's makes no second object.
func TestLyingHead(t *testing.T) {
	for name, lie := range map[string]func(*store.Info){
		"empty 200":            func(i *store.Info) { *i = store.Info{Key: i.Key} },
		"wrong checksum":       func(i *store.Info) { i.Digest[0]++ },
		"wrong size":           func(i *store.Info) { i.Size++ },
		"wrong checksum alone": func(i *store.Info) { i.Meta = nil; i.Digest[0]++ },
		"no metadata":          func(i *store.Info) { i.Meta, i.Digest = nil, record.Digest{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				calls := map[string]int{}
				w.bucket.script = func(op, key string) fault {
					calls[op+key]++
					switch {
					case op == "put" && calls[op+key] == 1:
						return fault{class: store.Ambiguous, apply: true}
					case op == "head" && calls[op+key] == 1:
						return fault{lie: lie}
					}
					return fault{}
				}
				for i := range 10 {
					w.src.add("b", fmt.Sprint("k", i), fmt.Sprint("body", i))
				}
				w.start()
				w.drain(5 * time.Minute)
				w.stop()
				w.check()
			})
		})
	}
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
