package upload

import (
	"context"
	"errors"
	"time"

	"indelible/internal/record"
)

// fed is what the feed found next in the source.
type fed struct {
	entry record.Entry
	rest  *settled // instead of an entry: a gap, or a range that was settled before
}

// feed reads the source from what was released last, in order, for ever.
func (d *delivery) feed(ctx context.Context) {
	u := d.u
	aside := d.asideBefore(ctx)
	last := u.opts.Source.Released() // everything up to here was fed
	for failures := 0; ; {
		newest, err := u.opts.Source.Wait(ctx, last)
		if err == nil {
			last, err = d.feedFrom(ctx, last, newest, aside)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if !d.pause(ctx, "read the spool", failures, err) {
			return
		}
	}
}

// feedFrom feeds what is behind last, at least up to newest, and tells how far it came.
func (d *delivery) feedFrom(ctx context.Context, last, newest record.Seq, aside map[record.Seq]record.Outcome) (record.Seq, error) {
	for e, err := range d.u.opts.Source.Entries(ctx, last+1) {
		gap, isGap := errors.AsType[*record.GapError](err)
		first, end := e.Seq, e.Seq
		switch {
		case isGap:
			first, end = max(gap.First, last+1), gap.Last
			if end <= last {
				continue
			}
		case err != nil:
			return last, err
		}
		if !d.feedSettled(ctx, last+1, first-1, aside) {
			return last, ctx.Err()
		}
		f := fed{entry: e}
		if isGap {
			f.rest = &settled{first: first, last: end, gap: &record.GapError{First: first, Last: end, Cause: gap.Cause}}
		}
		if !d.send(ctx, f) {
			return last, ctx.Err()
		}
		last = end
	}
	if last < newest {
		if !d.feedSettled(ctx, last+1, newest, aside) {
			return last, ctx.Err()
		}
		last = newest
	}
	return last, nil
}

// feedSettled feeds a range that Entries skipped: earlier runs settled it.
func (d *delivery) feedSettled(ctx context.Context, first, last record.Seq, aside map[record.Seq]record.Outcome) bool {
	for seq := first; seq <= last; seq++ {
		o, ok := aside[seq]
		if !ok {
			continue
		}
		if seq > first && !d.send(ctx, fed{rest: &settled{first: first, last: seq - 1}}) {
			return false
		}
		if !d.send(ctx, fed{rest: &settled{first: seq, last: seq, outcome: &o}}) {
			return false
		}
		first = seq + 1
	}
	return first > last || d.send(ctx, fed{rest: &settled{first: first, last: last}})
}

func (d *delivery) send(ctx context.Context, f fed) bool {
	select {
	case d.feeds <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

// asideBefore is what an earlier run set aside and did not release: the ledger has yet to hear of it.
func (d *delivery) asideBefore(ctx context.Context) map[record.Seq]record.Outcome {
	if d.u.opts.Ledger == nil {
		return nil
	}
	for failures := 1; ; failures++ {
		found, err := map[record.Seq]record.Outcome{}, error(nil)
		for a, e := range d.u.opts.Source.Aside(ctx) {
			if err = e; err != nil {
				break
			}
			if a.Seq > d.u.opts.Source.Released() {
				found[a.Seq] = bare(record.Outcome{Info: a.Info, State: a.State, Reason: a.Reason})
			}
		}
		if err == nil || !d.pause(ctx, "read what was set aside", failures, err) {
			return found
		}
	}
}

// sweepAside offers the deferred records to the delivery again and again, in seq order, a few at a time.
func (d *delivery) sweepAside(ctx context.Context) {
	o := d.u.opts
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait, failures, moved := o.AsideEvery/2, 0, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.newAside: // do not let it wait as long as those that failed for hours
			if wait > o.AsideEvery {
				wait = o.AsideEvery
				timer.Reset(wait)
			}
			continue
		case <-timer.C:
		case <-d.u.redrive:
		}
		if err := d.offerAside(ctx); err == nil {
			failures = 0
		} else if failures++; !d.pause(ctx, "read what was set aside", failures, err) {
			return
		}
		wait = min(wait*2, max(o.AsideEvery, maxAsideEvery))
		if now := d.asideMoved.Load(); now != moved {
			wait, moved = o.AsideEvery, now
		}
		timer.Reset(wait)
	}
}

// maxAsideEvery is the longest pause between two tries of the deferred records.
const maxAsideEvery = 10 * time.Minute

func (d *delivery) offerAside(ctx context.Context) error {
	for a, err := range d.u.opts.Source.Aside(ctx) {
		if err != nil {
			return err
		}
		if a.State != record.Deferred {
			continue
		}
		select {
		case d.asides <- a.Entry:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// pause logs a local error and waits before the next try.
func (d *delivery) pause(ctx context.Context, what string, n int, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	o := d.u.opts
	wait := max(o.BackoffMin, backoff(n, o.BackoffMin, o.BackoffMax, 0, o.Jitter()))
	o.Logger.Error(what+": "+err.Error(), "attempt", n, "wait", wait)
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}
