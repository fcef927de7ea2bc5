package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/upload"
)

// ledger is the transparency log as the uploader uses it. The log is opened
// when the destination first answers: one that is down at the start keeps
// nobody from acknowledging. It is safe for concurrent use.
type ledger struct {
	parts *Components
	opts  *Options
	slog  *slog.Logger
	pacer proof.Pacer // the uploader, set before anything is delivered

	log atomic.Pointer[proof.Log] // nil until it is open

	mu   sync.Mutex // held while the log is opened and while its key changes
	keys proof.Keys // guarded by mu

	fail sync.Once
	dead chan struct{} // closed when the log can go no further
	why  error         // set before dead is closed
}

var _ upload.Ledger = (*ledger)(nil)

func (e *Engine) newLedger(ctx context.Context) (*ledger, error) {
	p := e.opts.Proof
	keys, err := proof.OpenKeys(ctx, e.data, proof.KeySource{Name: e.name, Secret: p.Secret, Signer: p.Signer, QuantumSafe: p.QuantumSafe})
	if err == nil {
		err = proof.CheckState(e.data, keys)
	}
	if err != nil {
		return nil, e.keyError(err)
	}
	l := &ledger{parts: &e.Components, opts: &e.opts, slog: e.component("proof"), keys: keys, dead: make(chan struct{})}
	if p.QuantumSafe && !keys.Key.QuantumSafe() {
		l.slog.Warn("proof.ml_dsa is set, but the log's key has no ML-DSA-44 half: \"indelible keys rotate\" changes to one that has; a key from outside must bring it")
	}
	if keys.Made {
		l.slog.Info("made the key that signs the log; keep a copy of it", "key", proof.KeyFile, "vkey", keys.Key.Public())
	}
	return l, nil
}

// keyError tells a key that does not belong to this log, or is gone, from one that cannot be read.
func (e *Engine) keyError(err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	_, call := errors.AsType[*os.SyscallError](err)
	if path || link || call {
		return err // the disk's
	}
	return &StuckError{Err: err, Rescue: e.opts.rescueCommand()}
}

// open is the log, opened if it is not yet, with the leaf of this start in it.
func (l *ledger) open(ctx context.Context) (*proof.Log, error) {
	if log := l.log.Load(); log != nil {
		return log, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if log := l.log.Load(); log != nil {
		return log, nil
	}
	log, err := openLog(ctx, l.parts, &l.keys, l.opts.origin, l.opts.Proof.Witnesses, l.pacer, proof.Events{
		Failed:   func(err error) { l.slog.Warn(err.Error()) },
		Repaired: func(what string) { l.slog.Warn("the log was repaired", "what", what) },
	})
	if err != nil {
		return nil, err
	}
	if err := l.match(ctx, log); err != nil {
		return nil, fmt.Errorf("open log %s: %w", log.Name(), err)
	}
	if err := log.Start(l.opts.Proof.Program, l.opts.Proof.Config, l.recovered(log)); err != nil {
		return nil, err
	}
	l.log.Store(log)
	return log, nil
}

// recovered says what is known of a process before that left no leaf; "" if there was none.
func (l *ledger) recovered(log *proof.Log) string {
	acked := l.parts.spool.Stats().Acked
	switch {
	case log.Stats().Size+uint64(log.Stats().Pending) > 0:
		return "" // the log itself tells how it ended
	case l.opts.origin.Log != "":
		return "" // its first leaf says so
	case acked > 0:
		return fmt.Sprintf("a process before acknowledged records up to %d and ended without a checkpoint, in no good order", acked)
	}
	return ""
}

// openLog opens the log, and finishes a change of key that was cut short.
func openLog(ctx context.Context, c *Components, keys *proof.Keys, origin proof.Origin, witnesses []proof.Witness, pacer proof.Pacer, events proof.Events) (*proof.Log, error) {
	log, err := proof.Open(ctx, c.dest.Store, keys.Key, proof.Options{Disk: c.data, Base: c.dest.Layout.Base(), Next: keys.Next, Origin: origin, Witnesses: witnesses, Packs: PackReader{}, Pacer: pacer, Events: events})
	if err != nil {
		return nil, err
	}
	if log.Public() != keys.Key.Public() {
		if err := proof.FinishRotation(c.data, keys); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// with does something with the log, and notices when nothing will help it any more.
func (l *ledger) with(ctx context.Context, do func(*proof.Log) error) error {
	select {
	case <-l.dead:
		return l.why
	default:
	}
	log, err := l.open(ctx)
	if err == nil {
		err = do(log)
	}
	if errors.Is(err, proof.ErrForked) || errors.Is(err, proof.ErrOrder) {
		l.fail.Do(func() { l.die(err) })
		return l.why
	}
	return err
}

// die makes an error final: it is remembered on the disk before anybody is told.
func (l *ledger) die(err error) {
	f := fork{Log: l.parts.name, Destination: l.opts.Identity, Since: time.Now().UTC(), Reason: err.Error()}
	l.why = l.opts.forked(l.parts.name, f)
	if err := remember(l.parts.data, f); err != nil {
		// Nothing is acknowledged in this process all the same, and the next start finds the fork again.
		l.why = errors.Join(l.why, fmt.Errorf("%w: nothing is acknowledged any more, but the next start knows of the fork only if the destination answers: make room in %s before it", err, l.opts.Dir))
	}
	close(l.dead)
}

// Ready returns nil once the log in the destination is open and matches this
// data directory. Nothing is to be delivered before.
func (l *ledger) Ready(ctx context.Context) error {
	return l.with(ctx, func(*proof.Log) error { return nil })
}

// openedEvery is how often opened looks.
const openedEvery = 20 * time.Millisecond

// opened is the log once Run has opened it.
func (l *ledger) opened(ctx context.Context) (*proof.Log, error) {
	for {
		if log := l.log.Load(); log != nil {
			return log, nil
		}
		select {
		case <-l.dead:
			return nil, l.why
		case <-ctx.Done():
			return nil, fmt.Errorf("it is not open yet: %w", ctx.Err())
		case <-time.After(openedEvery):
		}
	}
}

// Add is upload.Ledger's.
func (l *ledger) Add(ctx context.Context, outcomes ...record.Outcome) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Add(ctx, outcomes...) })
}

// Gap is upload.Ledger's.
func (l *ledger) Gap(ctx context.Context, gap record.GapError) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Gap(ctx, gap) })
}

// Pack is upload.PackLedger's.
func (l *ledger) Pack(ctx context.Context, p record.Pack) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Pack(ctx, p) })
}

// Next is upload.PackLedger's.
func (l *ledger) Next(ctx context.Context) (next record.Seq, err error) {
	err = l.with(ctx, func(log *proof.Log) error {
		next = log.Next()
		return nil
	})
	return next, err
}

// PackOf is upload.PackLedger's.
func (l *ledger) PackOf(ctx context.Context, seq record.Seq) (p record.Pack, ok bool, err error) {
	err = l.with(ctx, func(log *proof.Log) (err error) {
		p, ok, err = log.PackOf(ctx, seq)
		return err
	})
	return p, ok, err
}

// Checkpoint is upload.Ledger's.
func (l *ledger) Checkpoint(ctx context.Context) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Checkpoint(ctx) })
}

// run opens the log and keeps its heartbeat until ctx ends. Its error says that the log can go no further.
func (l *ledger) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-l.dead:
			return l.why
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error {
		log := l.await(ctx)
		if log == nil {
			return nil
		}
		return log.Run(ctx, l.opts.Proof.CheckpointEvery)
	})
	return g.Wait()
}

// Pauses between two attempts to open the log.
const (
	openWait    = time.Second
	maxOpenWait = 30 * time.Second
)

// await is the log once it is open; nil if ctx ends before.
func (l *ledger) await(ctx context.Context) *proof.Log {
	for wait := openWait; ; wait = min(2*wait, maxOpenWait) {
		err := l.Ready(ctx)
		if err == nil {
			return l.log.Load()
		}
		if ctx.Err() == nil && wait == openWait {
			l.slog.Warn("the log cannot be opened yet; records are acknowledged, and delivered once it is", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// stop writes the leaf of a clean stop and the last checkpoint.
func (l *ledger) stop(ctx context.Context) {
	log := l.log.Load()
	if log == nil {
		return
	}
	if err := log.Stop(ctx); err != nil {
		l.slog.Warn("the last checkpoint could not be published; the next start does it", "error", err)
	}
}

// stats is what the log says of itself; zero before it is open.
func (l *ledger) stats() proof.Stats {
	if log := l.log.Load(); log != nil {
		return log.Stats()
	}
	return proof.Stats{}
}
