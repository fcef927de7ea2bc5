package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/record"
)

// Bounds of a rescue's delivery.
const (
	matchPatience    = 30 * time.Second // for the destination to answer
	deferredPatience = 2 * time.Minute  // for records that failed while others were stored
	deferredLook     = time.Second
	rescueLook       = 500 * time.Millisecond // between two words about progress
)

// rescued are the options of the log of an earlier rescue.
func (o *Options) rescued(r *Rescued) Options {
	n := *o
	n.Dir, n.Name, n.origin.Log, n.Proof.Secret, n.Proof.Off = r.Dir, r.Log, r.From, "", false
	return n
}

// deliver brings the records of a rescued spool into the bucket, and notes that it did.
func (o *Options) deliver(ctx context.Context, r *Rescued) (err error) {
	e, err := Open(ctx, o.rescued(r))
	if err != nil {
		r.Left = left(r.Dir)
		return fmt.Errorf("rescue log %s: %w", r.From, err)
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if r.First == 0 {
		if r.First, err = e.firstPending(ctx); err != nil {
			return err
		}
		if r.First > 0 {
			// Durable before the log begins: it has to begin there for ever.
			if err := r.write(e.data, keptFile); err != nil {
				return err
			}
		}
	}
	st := e.spool.Stats()
	r.Left = st.Pending + st.Quarantined
	if r.First > 0 {
		if e.ledger.opts.origin, err = r.origin(); err != nil {
			return err
		}
		if err := e.bring(ctx, r); err != nil {
			return fmt.Errorf("the records of log %s wait in %s: %w", r.From, r.Dir, err)
		}
	}
	if r.Done = r.Left == 0; r.Done {
		return r.write(e.data, keptFile)
	}
	return nil
}

// origin is what the first leaf of the new log says.
func (r *Rescued) origin() (o proof.Origin, err error) {
	old, err := osdisk.Open(filepath.Join(r.Dir, oldDir))
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	return proof.OriginIn(old, r.From, r.First, r.Reason), nil
}

// firstPending is the first record that was not released; 0 if nothing is left to be brought.
func (e *Engine) firstPending(ctx context.Context) (record.Seq, error) {
	st := e.spool.Stats()
	if st.Pending+st.Quarantined == 0 && st.Released == st.Acked {
		return 0, nil
	}
	for entry, err := range e.spool.Entries(ctx, record.Seq(st.Released)+1) {
		if gap, ok := errors.AsType[*record.GapError](err); ok {
			return gap.First, nil
		}
		if unread, ok := errors.AsType[*record.ReadError](err); ok {
			return unread.Seq, nil
		}
		return entry.Seq, err
	}
	return record.Seq(st.Acked) + 1, nil // only what was parked long ago
}

// bring delivers and proves until nothing is left, or nothing moves any more.
func (e *Engine) bring(ctx context.Context, r *Rescued) error {
	if err := e.AwaitMatch(ctx, matchPatience); err != nil {
		return err
	}
	before := e.spool.Stats()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.Run(ctx) })
	brought := func() (brought, left uint64) {
		st := e.spool.Stats()
		return st.Stored - min(st.Stored, before.Stored), st.Pending + st.Quarantined
	}
	end := make(chan struct{})
	if e.opts.rescuing != nil {
		g.Go(func() error {
			for {
				select {
				case <-time.After(rescueLook):
					e.opts.rescuing(brought())
				case <-end:
					return nil
				}
			}
		})
	}
	g.Go(func() error {
		defer close(end)
		if _, err := e.Redrive(ctx); err != nil {
			return err
		}
		if err := e.Drain(ctx); err != nil {
			return err
		}
		e.awaitDeferred(ctx)
		e.Stop(ctx)
		return nil
	})
	err := g.Wait()
	r.Brought, r.Left = brought()
	return err
}

// awaitDeferred waits while what was parked becomes less.
func (e *Engine) awaitDeferred(ctx context.Context) {
	left := e.spool.Stats().Deferred
	for end := time.Now().Add(deferredPatience); left > 0 && time.Now().Before(end); {
		select {
		case <-time.After(deferredLook):
		case <-ctx.Done():
			return
		}
		if now := e.spool.Stats().Deferred; now < left {
			left, end = now, time.Now().Add(deferredPatience)
		}
	}
}
