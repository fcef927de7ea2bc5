// Package upload brings the records of the spool into the store, at the pace
// the store allows, and never gives one up. One goroutine owns the window of
// records under way (delivery), attempts run beside it (attempt), and a second
// one settles, proves and releases what was confirmed (committer). What paces
// them (pacer, health) is pure: it reads no clock and draws no random number.
package upload

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Namer decides under which name, and with which headers and metadata, a
// record is stored. layout.Objects is one.
type Namer interface {
	// Key is the stored key of what was sent under bucket and key.
	Key(bucket, key string) string
	// Variant is the name for record seq where stored is taken by other bytes.
	Variant(stored string, seq record.Seq) string
	// VariantPrefix is what the names of all variants of stored begin with, and
	// IsVariant says which of the names that do are one.
	VariantPrefix(stored string) string
	IsVariant(stored, name string) (record.Seq, bool)
	// Object is everything but the Body of the object that holds the record.
	Object(info record.Info, stored, log string) store.Object
}

// Options are what an Uploader is made of. Source, Store and Layout are
// required; zero values of the rest mean the defaults named here.
type Options struct {
	Source Source
	Store  store.Store
	Layout Namer
	Ledger Ledger // nil: confirmed records are released at once
	// Packing has records delivered in packs; nil: each as an object of its own. A Ledger has to be a PackLedger then.
	Packing *Packing
	Log     string // the log's name
	Logger  *slog.Logger
	Events  Events

	// Jitter draws from [0, 1) what spreads waits; nil is math/rand's. Simulations give one that they can repeat.
	Jitter func() float64

	// MaxConcurrency bounds the attempts in flight (64).
	MaxConcurrency int
	// MaxRecords bounds the records between the oldest unconfirmed and the newest read (8192).
	MaxRecords int
	// MaxBytes bounds the memory for bodies in flight; a body counts with 1 MiB at most, because larger ones are streamed (32 MiB).
	MaxBytes int64
	// BackoffMin and BackoffMax bound every wait between attempts (100 ms, 30 s).
	BackoffMin, BackoffMax time.Duration
	// AttemptTimeout bounds one attempt; every 64 KiB of body add a second (30 s).
	AttemptTimeout time.Duration
	// DeferAfter is how many failures, with others stored in between, park a record (10).
	DeferAfter int
	// DeferredEvery is the pause between two tries of the deferred records; it doubles up to ten minutes while none is stored (30 s).
	DeferredEvery time.Duration
	// Confirm has every object looked at once more, ConfirmAfter after it was stored
	// (1 min), before its record counts as stored (ConfirmOff). Until then the record takes a place
	// among MaxRecords, which thus bounds how many are delivered in that time.
	Confirm      Confirm
	ConfirmAfter time.Duration
	// ReleaseEvery bounds how long a confirmed record stays in the spool without a Ledger (500 ms).
	ReleaseEvery time.Duration
	// CheckpointEvery bounds how long one stays unproven with a Ledger (1 min).
	CheckpointEvery time.Duration
	// CheckpointRecords bounds how many stay unproven (16384).
	CheckpointRecords int
}

// Confirm is how a stored object is looked at once more, for a store that may lose it minutes after its answer.
type Confirm string

// The ways to confirm.
const (
	ConfirmOff  Confirm = "off"  // not at all; so does ""
	ConfirmHead Confirm = "head" // that it is there, with its size and what the store tells of its bytes
	ConfirmRead Confirm = "read" // its bytes are read and hashed
)

func (o Options) withDefaults() Options {
	set(&o.MaxConcurrency, 64)
	set(&o.MaxRecords, 8192)
	set(&o.MaxBytes, 32<<20)
	set(&o.BackoffMin, 100*time.Millisecond)
	set(&o.BackoffMax, 30*time.Second)
	o.BackoffMax = max(o.BackoffMax, o.BackoffMin)
	set(&o.AttemptTimeout, 30*time.Second)
	set(&o.DeferAfter, 10)
	set(&o.DeferredEvery, 30*time.Second)
	set(&o.ConfirmAfter, time.Minute)
	set(&o.ReleaseEvery, 500*time.Millisecond)
	set(&o.CheckpointEvery, time.Minute)
	set(&o.CheckpointRecords, 16384)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	return o
}

func set[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Uploader delivers records. Its methods are safe for concurrent use.
type Uploader struct {
	opts      Options
	packing   Packing       // opts.Packing with its defaults, if that is not nil
	draining  atomic.Int32  // how many Drain calls are under way
	flush     chan struct{} // wakes the committer for a Drain
	closePack chan struct{} // wakes the packer for a Drain
	redrive   chan struct{} // wakes the sweep of what was parked
	fetches   atomic.Uint64 // names of temporary files
	rows      packRows      // of the pack that a parked record was compared with last
	released  *watermark    // highest seq released
	pace      *pace
	stats     stats
	variants  variantMemory
}

// New makes an Uploader; it starts nothing.
func New(o Options) *Uploader {
	o = o.withDefaults()
	u := &Uploader{
		opts:      o,
		flush:     make(chan struct{}, 1),
		closePack: make(chan struct{}, 1),
		redrive:   make(chan struct{}, 1),
		released:  newWatermark(o.Source.Released()),
		pace:      newPace(o.MaxConcurrency, o.BackoffMax),
	}
	if o.Packing != nil {
		u.packing = o.Packing.withDefaults()
	}
	u.stats.health = newHealth(o.BackoffMin, o.BackoffMax, time.Now())
	return u
}

// Run delivers until ctx ends, and returns nil once all its goroutines have
// ended. It ends at once: attempts in flight are cut, and what became of them is found
// out by the next Run. Only one Run at a time.
func (u *Uploader) Run(ctx context.Context) error {
	d := newDelivery(u)
	var wg sync.WaitGroup
	commitCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if u.opts.Ledger != nil {
		wg.Go(func() { d.awaitLedger(ctx) })
	}
	if u.opts.Packing != nil {
		wg.Go(func() { newPacker(d).run(ctx) })
	} else {
		wg.Go(func() { d.feed(ctx) })
	}
	wg.Go(func() { d.sweepParked(ctx) })
	wg.Go(func() { d.commit.run(ctx, commitCtx) })
	d.run(ctx)
	defer time.AfterFunc(finalGrace, stop).Stop()
	wg.Wait()
	return nil
}

// finalGrace bounds the last settling when Run ends.
const finalGrace = 5 * time.Second

// Drain returns once every record that was durable when it was called, and
// every one that became so meanwhile, is released or parked, or with ctx's
// error. While it waits, Run proves and releases without delay. The order of a graceful
// stop: stop the doors, Drain with a deadline, end Run's context, wait for Run.
func (u *Uploader) Drain(ctx context.Context) error {
	u.draining.Add(1)
	defer u.draining.Add(-1)
	upto := u.opts.Source.Released()
	for {
		// The newest seq, if there is one that was not released. A source that
		// has one answers at once.
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		newest, err := u.opts.Source.Wait(short, upto)
		idle := errors.Is(short.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && idle:
			return nil
		case err != nil:
			return err
		}
		wake(u.flush)
		wake(u.closePack)
		if err := u.released.reached(ctx, newest); err != nil {
			return err
		}
		upto = newest
	}
}

// Redrive has everything that was parked as Deferred tried again now, not
// at its next turn.
func (u *Uploader) Redrive() { wake(u.redrive) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watermark is a seq that only grows and can be waited for.
type watermark struct {
	mu     sync.Mutex
	at     record.Seq    // guarded by mu
	raised chan struct{} // guarded by mu; closed and replaced when at grows
}

func newWatermark(at record.Seq) *watermark { return &watermark{at: at, raised: make(chan struct{})} }

func (m *watermark) raise(to record.Seq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to > m.at {
		m.at = to
		close(m.raised)
		m.raised = make(chan struct{})
	}
}

func (m *watermark) reached(ctx context.Context, seq record.Seq) error {
	for {
		m.mu.Lock()
		at, raised := m.at, m.raised
		m.mu.Unlock()
		if at >= seq {
			return nil
		}
		select {
		case <-raised:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
