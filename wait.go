package indelible

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"indelible/internal/record"
	"indelible/internal/upload"
)

// Wait returns once the record of a receipt is stored: the store has confirmed
// its checksum. It fails with ErrQuarantined or ErrLost when that cannot be, and with ctx's error. Something must be in Run.
func (l *Log) Wait(ctx context.Context, r Receipt) error {
	return l.wait(ctx, r, record.Stored)
}

// WaitProven returns once the record of a receipt is stored, and a signed
// checkpoint in the store covers it: from then on nobody can take it out unnoticed. That is within
// Proof.Every of its storage. It fails as Wait does.
func (l *Log) WaitProven(ctx context.Context, r Receipt) error {
	if !l.engine.Signed() {
		return errors.New("wait: this log is not signed (Options.Proof.Off)")
	}
	return l.wait(ctx, r, record.Proven)
}

func (l *Log) wait(ctx context.Context, r Receipt, until record.State) error {
	if r.Log != l.engine.Name() {
		return fmt.Errorf("wait: the receipt is of log %q, this is log %q", r.Log, l.engine.Name())
	}
	for {
		// From here on an event closes news; what came before shows in the state.
		news, forget, err := l.waits.watch(r.Seq, until == record.Proven)
		if err != nil {
			return fmt.Errorf("wait for record %d: %w", r.Seq, err)
		}
		done, err := l.reached(ctx, r.Seq, until)
		if done || err != nil {
			forget()
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			err = ctx.Err()
		}
		forget()
		if err != nil {
			return err
		}
	}
}

// reached says whether a record has come as far as until.
func (l *Log) reached(ctx context.Context, seq record.Seq, until record.State) (bool, error) {
	if until == record.Stored && l.waits.isStored(seq) {
		return true, nil
	}
	state, reason, err := l.engine.State(ctx, seq)
	if gap, ok := errors.AsType[*record.GapError](err); ok {
		return false, fmt.Errorf("wait for record %d: %w: %s", seq, ErrLost, gap.Cause)
	}
	if err != nil {
		return false, fmt.Errorf("wait: %w", err)
	}
	if state == record.Quarantined {
		return false, fmt.Errorf("wait for record %d: %w: %s", seq, ErrQuarantined, reason)
	}
	return state == record.Stored || state == record.Proven, nil
}

// waits knows who waits for which record, and what is not on the disk yet: which
// records the store has confirmed and no checkpoint covers.
type waits struct {
	mu      sync.Mutex
	why     error                // nothing happens any more; guarded by mu
	stored  map[record.Seq]bool  // confirmed since Open; guarded by mu
	waiting map[record.Seq]*wait // guarded by mu

	released func() record.Seq // what the spool knows by itself: set before anything runs
}

// maxStored is when confirmed records that the spool has released are forgotten here.
const maxStored = 64 << 10

// wait is a record that somebody waits for.
type wait struct {
	news   chan struct{} // closed when something became of it
	n      int           // how many wait
	proven bool          // some wait for a checkpoint
}

func newWaits() *waits {
	return &waits{stored: map[record.Seq]bool{}, waiting: map[record.Seq]*wait{}}
}

// watch registers a caller: news is closed by the next event about seq, with
// checkpoint also by the next checkpoint. The caller calls forget when it waits no more.
func (w *waits) watch(seq record.Seq, checkpoint bool) (news <-chan struct{}, forget func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why != nil {
		return nil, nil, w.why
	}
	a := w.waiting[seq]
	if a == nil {
		a = &wait{news: make(chan struct{})}
		w.waiting[seq] = a
	}
	a.n++
	a.proven = a.proven || checkpoint
	return a.news, func() { w.forget(seq, a) }, nil
}

func (w *waits) forget(seq record.Seq, a *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.n--; a.n == 0 && w.waiting[seq] == a {
		delete(w.waiting, seq)
	}
}

// isStored says whether the store has confirmed a record since Open.
func (w *waits) isStored(seq record.Seq) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored[seq]
}

// events are the uploader's, for Options of an engine.
func (w *waits) events() upload.Events {
	return upload.Events{
		Stored: func(o record.Outcome) {
			released := w.released()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stored[o.Seq] = true
			if len(w.stored) > maxStored {
				maps.DeleteFunc(w.stored, func(seq record.Seq, _ bool) bool { return seq <= released })
			}
			w.wake(o.Seq)
		},
		Parked: func(o record.Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wake(o.Seq)
		},
		Gap: func(g record.GapError) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for seq := range w.waiting {
				if g.First <= seq && seq <= g.Last {
					w.wake(seq)
				}
			}
		},
		Proven: func(int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for seq, a := range w.waiting {
				if a.proven {
					w.wake(seq)
				}
			}
		},
	}
}

// wake tells those who wait for seq. The caller holds w.mu.
func (w *waits) wake(seq record.Seq) {
	if a := w.waiting[seq]; a != nil {
		delete(w.waiting, seq)
		close(a.news)
	}
}

// end has everybody who waits, now or later, fail with why.
func (w *waits) end(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == nil {
		w.why = why
	}
	for seq := range w.waiting {
		w.wake(seq)
	}
}
