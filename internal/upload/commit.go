package upload

import (
	"context"
	"errors"
	"sync"
	"time"

	"indelible/internal/record"
)

// proveAfter is how long others are waited for, to be proven together.
const proveAfter = time.Second

// releaseRecords released together need not wait for ReleaseEvery.
const releaseRecords = 8192

// committer settles what became of records, has the ledger prove it and
// releases it, in this order and no other:
//
//	without a ledger: stored -> Settle -> Release
//	with one:         stored -> Add, in seq order -> Checkpoint -> Settle -> Release
//
// Each step is tried for ever: an error of the disk or the ledger delays, and
// never drops. Whatever stands between two steps when the process dies is
// delivered again, and found in the store.
type committer struct {
	u *Uploader

	mu      sync.Mutex
	queue   []resolved // guarded by mu: from the delivery
	reports []report   // guarded by mu: to the delivery

	news     chan struct{} // queue has something
	reported chan struct{} // reports has something
	closed   chan struct{} // closed by the delivery: nothing comes any more

	// Owned by run:
	order    order
	unproven []record.Outcome // stored and added, to be settled after the next checkpoint
	packs    []*packFile      // the same of packs
	through  []*packFile      // packs that are settled: their files go once they are released
	late     []record.Seq     // those of them that were parked before
	upto     record.Seq       // everything up to here is settled, or added to the ledger
	released record.Seq
	dirty    time.Time // since when something waits to be released or proven; zero: nothing does
	proved   time.Time // when the ledger last had a checkpoint
}

// report tells the delivery how far settling has come.
type report struct {
	upto    record.Seq   // the window need not hold these any more
	settled []record.Seq // these were parked before, and are settled as stored now
	slot    *slot        // was to be parked, and was unless err says why not
	err     error
}

func newCommitter(u *Uploader) *committer {
	at := u.opts.Source.Released()
	return &committer{
		u: u, news: make(chan struct{}, 1), reported: make(chan struct{}, 1), closed: make(chan struct{}),
		order: order{next: at + 1, held: map[record.Seq]resolved{}}, upto: at, released: at,
	}
}

// add hands over what is known now; it does not block.
func (c *committer) add(s resolved) {
	c.mu.Lock()
	c.queue = append(c.queue, s)
	c.mu.Unlock()
	wake(c.news)
}

func (c *committer) take() []resolved {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queue
	c.queue = nil
	return q
}

func (c *committer) send(r report) {
	c.mu.Lock()
	c.reports = append(c.reports, r)
	c.mu.Unlock()
	wake(c.reported)
}

func (c *committer) takeReports() []report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.reports
	c.reports = nil
	return r
}

// run works until ctx ends; then it settles what was confirmed until the
// delivery closed the queue, under last, which outlives ctx.
func (c *committer) run(ctx, last context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		c.settle(ctx, last, c.take())
		c.release(ctx, last)
		timer.Stop()
		if !c.dirty.IsZero() {
			timer.Reset(time.Until(c.dirty.Add(c.commitDelay())))
		}
		select {
		case <-ctx.Done():
		case <-c.news:
		case <-c.u.flush:
		case <-timer.C:
		}
	}
	<-c.closed
	if c.u.opts.Ledger == nil { // a ledger takes no more: the next run adds the rest
		c.settle(ctx, last, c.take())
		c.dirty = time.Time{}.Add(1)
		c.release(ctx, last)
	}
}

// settle takes outcomes as far as they go without a checkpoint.
func (c *committer) settle(ctx, last context.Context, batch []resolved) {
	if len(batch) == 0 {
		return
	}
	if c.u.opts.Ledger == nil {
		if !c.retryForever(ctx, "settle", func() error { return c.u.opts.Source.Settle(last, storedOf(batch)...) }) {
			return
		}
		for _, s := range batch {
			if s.pack != nil && !c.settlePack(ctx, last, s.pack) {
				return
			}
		}
	}
	if c.u.opts.Ledger == nil {
		if late := lateOf(batch); len(late) > 0 {
			c.send(report{upto: c.upto, settled: late})
		}
	}
	var run []resolved
	for _, s := range batch {
		if s.slot != nil && !c.park(last, &s) {
			continue
		}
		if s.wasParked && c.u.opts.Ledger == nil {
			continue // it has its place in the order already
		}
		run = append(run, c.order.put(s)...)
	}
	if len(run) == 0 {
		return
	}
	if c.u.opts.Ledger != nil && !c.prove(ctx, run) {
		return
	}
	c.upto = c.order.next - 1
	if c.dirty.IsZero() {
		c.dirty = time.Now()
	}
	c.send(report{upto: c.upto})
}

// lateOf are the records that were parked before and are stored now.
func lateOf(batch []resolved) []record.Seq {
	var out []record.Seq
	for _, s := range batch {
		if s.wasParked && s.outcome != nil && s.outcome.State == record.Stored {
			out = append(out, s.first)
		}
	}
	return out
}

func storedOf(batch []resolved) []record.Outcome {
	var out []record.Outcome
	for _, s := range batch {
		if s.outcome != nil && s.outcome.State == record.Stored {
			out = append(out, *s.outcome)
		}
	}
	return out
}

// park settles a record that is to be parked. One that cannot be goes back into delivery,
// so that a full disk holds up no other; one that the disk lost is a gap.
func (c *committer) park(last context.Context, s *resolved) bool {
	err := c.u.opts.Source.Settle(last, *s.outcome)
	gap, lost := errors.AsType[*record.GapError](err)
	if err != nil && !lost {
		c.send(report{slot: s.slot, err: err})
		return false
	}
	if lost {
		gap = &record.GapError{First: s.first, Last: s.last, Cause: gap.Cause}
		s.gap, s.outcome = gap, nil
		c.u.lost(gap)
	} else {
		c.u.noteParked(*s.outcome)
	}
	c.send(report{slot: s.slot})
	return true
}

// prove adds to the ledger what is in order now. Only what the ledger took waits
// to be settled: one that was settled and not added would be a hole in the log for ever.
func (c *committer) prove(ctx context.Context, run []resolved) bool {
	var batch []record.Outcome
	flush := func() bool {
		if len(batch) == 0 {
			return true
		}
		if !c.retryForever(ctx, "add to the ledger", func() error { return c.u.opts.Ledger.Add(ctx, batch...) }) {
			return false
		}
		for _, o := range batch {
			if o.State == record.Stored {
				c.unproven = append(c.unproven, o)
			}
		}
		batch = nil
		return true
	}
	for _, s := range run {
		switch {
		case s.pack != nil:
			if !flush() || !c.provePack(ctx, s.pack) {
				return false
			}
		case s.outcome != nil:
			batch = append(batch, *s.outcome)
		case s.gap != nil:
			if !flush() || !c.retryForever(ctx, "add to the ledger", func() error { return c.u.opts.Ledger.Gap(ctx, *s.gap) }) {
				return false
			}
		}
	}
	c.late = append(c.late, lateOf(run)...)
	return flush()
}

// commitDelay is how long what is dirty may wait.
func (c *committer) commitDelay() time.Duration {
	o := c.u.opts
	switch {
	case c.u.draining.Load() > 0:
		return 0
	case o.Ledger != nil && c.waiting() >= o.CheckpointRecords:
		return 0
	case o.Ledger != nil: // at most one checkpoint in every, but the first record after a silence does not wait for it
		return min(o.CheckpointEvery, max(proveAfter, c.proved.Add(o.CheckpointEvery).Sub(c.dirty)))
	case c.upto-c.released >= releaseRecords:
		return 0
	}
	return o.ReleaseEvery
}

// release proves and frees, when it is time to.
func (c *committer) release(ctx, last context.Context) {
	if c.dirty.IsZero() || time.Since(c.dirty) < c.commitDelay() {
		return
	}
	if l := c.u.opts.Ledger; l != nil {
		// The commit point of the proof: from here on a record may be forgotten here.
		if !c.retryForever(ctx, "checkpoint", func() error { return l.Checkpoint(ctx) }) ||
			!c.retryForever(ctx, "settle", func() error { return c.u.opts.Source.Settle(last, c.unproven...) }) ||
			!c.settlePacks(ctx, last) {
			return
		}
		c.proved = time.Now()
		c.u.proven(c.waiting())
		c.packs = nil
		c.send(report{upto: c.upto, settled: c.late})
		c.unproven, c.late = nil, nil
	}
	if c.upto > c.released && !c.retryForever(ctx, "release", func() error { return c.u.opts.Source.Release(last, c.upto) }) {
		return
	}
	c.released, c.dirty = c.upto, time.Time{}
	c.removeFiles()
	c.u.released.raise(c.released)
}

// retryForever tries op until it succeeds; false means that ctx ended first.
func (c *committer) retryForever(ctx context.Context, what string, op func() error) bool {
	o := c.u.opts
	for n := 1; ; n++ {
		err := op()
		if err == nil {
			if n > 1 {
				c.u.stuck(nil)
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		wait := max(o.BackoffMin, backoff(n, o.BackoffMin, o.BackoffMax, 0, o.Jitter()))
		c.u.stuck(err)
		o.Logger.Error(what+": "+err.Error()+"; records stay in the spool until it succeeds", "attempt", n, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}
