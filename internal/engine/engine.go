package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/upload"
)

// Options are how an Engine is opened. Dir and Destination are required.
type Options struct {
	Dir  string // the data directory, made where it is missing
	Name string // the log's name; "" is the one kept in Dir, or a new one

	// Destination opens the store for the log of this name. It is called once, while Dir is locked.
	Destination func(ctx context.Context, log string) (*Destination, error)

	Spool  spool.Options  // without Log and Logger
	Upload upload.Options // without Source, Store, Layout, Ledger, Packing, Log, Logger and CheckpointEvery
	Proof  Proof
	Packs  Packs
	Scrub  Scrub        // of a signed log
	Logger *slog.Logger // nil discards

	// Identity names the destination: a fork that was found in one says nothing of another.
	Identity string
	// Rescue is the command line that rescues this directory, as a person types it; errors name it. "" names Dir alone.
	Rescue string

	origin   proof.Origin               // of a rescue: the spool belongs to another log, from where the records come
	rescuing func(brought, left uint64) // told how far a rescue is; nil: nobody
}

// Proof says how the log is signed.
type Proof struct {
	Off    bool   // keep no transparency log: stored records are released at once
	Secret string // the signing key from outside the data directory; "" is the one kept there
	// Signer holds the signing key outside this machine; nil: it is here.
	Signer proof.Signer
	// QuantumSafe has keys that are made from now on sign with ML-DSA-44 as well.
	QuantumSafe bool
	Program     string // name and version, for the leaf of this start
	Config      string // digest of the configuration, for the same
	// CheckpointEvery bounds how long a stored record stays unproven; 0 is a minute.
	CheckpointEvery time.Duration
	Witnesses       []proof.Witness // asked to cosign each checkpoint
}

// Engine is one log of this process. Its methods are safe for concurrent use.
type Engine struct {
	Components
	opts     Options
	log      *slog.Logger
	uploader *upload.Uploader
	ledger   *ledger   // nil: no transparency log
	scrubber *scrubber // nil: the destination is not scrubbed
	gaps     gaps
	gate     *gate      // the destination as the uploader has it; nil: nothing is ever removed there
	expiring sync.Mutex // held while records are removed by policy
	opened   time.Time  // when this process opened the log
	openedAt time.Time  // the same by the clock alone
	suspect  bool       // a fork was found in another destination

	mu   sync.Mutex
	stop context.CancelFunc // ends Run; nil: nothing runs; guarded by mu
	done chan struct{}      // closed when Run has returned; guarded by mu
}

// Stats is a snapshot of all parts.
type Stats struct {
	Spool  spool.Stats
	Upload upload.Stats
	Log    proof.Stats // zero before Match has succeeded
	Scrub  *ScrubStats // nil: the destination is not scrubbed
}

// Open takes the data directory, recovers what a crash left of it and opens
// the destination. It starts nothing. It fails with a *proof.NameError where
// the directory holds a log of another name than Options.Name.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{opts: o, log: o.Logger, opened: time.Now()}
	e.openedAt = e.opened.Round(0)
	err := e.open(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, e.Components.Close())
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) (err error) {
	o := e.opts
	if err := MakeDir(o.Dir); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if e.data, err = osdisk.Open(o.Dir); err != nil {
		return err
	}
	e.later(e.data.Close)
	release, err := Lock(e.data, o.Dir)
	if err != nil {
		return err
	}
	e.later(release)
	if err := e.usable(); err != nil {
		return err
	}
	if e.name, err = keepName(e.data, o.Dir, o.Name); err != nil {
		return err
	}
	f, err := remembered(e.data)
	if err != nil {
		return err
	}
	if f != nil && f.concerns(o.Identity) {
		return o.forked(e.name, *f)
	}
	e.suspect = f != nil
	if err := MakeDir(filepath.Join(o.Dir, SpoolDir)); err != nil {
		return fmt.Errorf("make the spool's directory: %w", err)
	}
	so := o.Spool
	so.Log, so.Logger = e.name, e.component("spool")
	if o.origin.Log != "" {
		so.Log = ""
	}
	if !o.Proof.Off {
		checkpoint, proven, err := proof.LastPublished(e.data)
		if _, damaged := errors.AsType[*proof.StateError](err); err != nil && !damaged { // of a disk that fails nothing is concluded
			return err
		}
		if checkpoint != nil {
			so.ReleasedAtMost = &proven
		}
	}
	if err := e.openSpool(o.Dir, so); err != nil {
		return e.spoolError(err)
	}
	open := func(ctx context.Context) (*Destination, error) { return o.Destination(ctx, e.name) }
	if err := e.openDestination(ctx, open); err != nil {
		return err
	}
	e.records = query.New(e.spool, e.dest.Store, e.dest.Layout)
	return e.wire(ctx)
}

// wire makes the uploader and the ledger over the open parts.
func (e *Engine) wire(ctx context.Context) error {
	u := e.opts.Upload
	u.Source, u.Store, u.Layout, u.Log = e.spool, e.dest.Store, e.dest.Layout, e.name
	if e.dest.Remove != nil {
		e.gate = newGate(e.dest.Store)
		u.Store = e.gate
	}
	u.Logger, u.CheckpointEvery = e.component("upload"), e.opts.Proof.CheckpointEvery
	collision := u.Events.Collision
	u.Events.Collision = func(o record.Outcome) {
		e.spool.Collided(1)
		if collision != nil {
			collision(o)
		}
	}
	gap := u.Events.Gap
	u.Events.Gap = func(g record.GapError) {
		e.gaps.add(g)
		if gap != nil {
			gap(g)
		}
	}
	if !e.opts.Proof.Off {
		ledger, err := e.newLedger(ctx)
		if err != nil {
			return err
		}
		e.ledger, u.Ledger = ledger, ledger
		if e.opts.Scrub.Every > 0 {
			e.scrubber = &scrubber{engine: e, opts: e.opts.Scrub}
		}
	}
	var err error
	if u.Packing, err = e.openPacks(); err != nil {
		return err
	}
	if u.Packing != nil {
		e.records = e.records.WithPacks()
	}
	e.uploader = upload.New(u)
	if e.ledger != nil {
		e.ledger.pacer = e.uploader
	}
	return nil
}

func (e *Engine) component(name string) *slog.Logger { return e.log.With("component", name) }

// Stats is a snapshot.
func (e *Engine) Stats() Stats {
	s := Stats{Spool: e.spool.Stats(), Upload: e.uploader.Stats()}
	if e.ledger != nil {
		s.Log = e.ledger.stats()
	}
	if e.scrubber != nil {
		s.Scrub = e.scrubber.snapshot()
	}
	return s
}

// Logged is the newest record of which, and of all before, the log says what became of them: they
// are stored, or parked. 0 means that none is.
func (e *Engine) Logged() record.Seq {
	if e.ledger == nil {
		return 0
	}
	log := e.ledger.log.Load()
	if log == nil {
		return 0
	}
	return max(log.Next(), 1) - 1
}

// Redrive brings everything that was parked back into delivery: quarantined
// records are deferred ones from now on, and those are tried at once.
func (e *Engine) Redrive(ctx context.Context) (int, error) {
	if _, err := e.spool.Redrive(ctx, 0); err != nil {
		return 0, err
	}
	e.uploader.Redrive()
	return int(e.spool.Stats().Deferred), nil
}

// spoolError tells a spool that belongs to another log from one that cannot be opened.
func (e *Engine) spoolError(err error) error {
	if owner, oerr := spoolOwner(e.opts.Dir); oerr == nil && owner != "" && owner != e.name {
		return &StuckError{Err: err, Rescue: e.opts.rescueCommand()}
	}
	return inUse(e.opts.Dir, err)
}

// spoolOwner is the log to which the spool in a data directory belongs; "" if there is none.
func spoolOwner(dir string) (name string, err error) {
	if _, err := os.Stat(filepath.Join(dir, SpoolDir)); err != nil {
		return "", nil
	}
	c := &Components{}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.openSpool(dir, spool.Options{ReadOnly: true}); err != nil {
		return "", err
	}
	return c.spool.Log(), nil
}

// keepName is proof.KeepName's, for a directory that may have lost the file
// with the name: then the log's own files tell it, or the spool.
func keepName(data disk.FS, dir, wanted string) (string, error) {
	name, err := proof.RecoverName(data)
	if err != nil {
		return "", err
	}
	if name == "" {
		if name, err = spoolOwner(dir); err != nil {
			return "", err
		}
	}
	if name != "" && wanted != "" && name != wanted {
		return "", &proof.NameError{Kept: name, Wanted: wanted}
	}
	if name == "" {
		name = wanted
	}
	return proof.KeepName(data, name)
}
