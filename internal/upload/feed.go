package upload

import (
	"context"
	"errors"
	"time"

	"indelible/internal/record"
)

// feedItem is what the feed found next in the source: exactly one of these.
type feedItem struct {
	entry  record.Entry
	unread *record.ReadError // a record that cannot be read now
	rest   *resolved         // a gap, or a range that was settled before
	pack   *packFile         // closed, or in the store already
	beside *besideItem       // the body of a row to come
}

// feed reads the source from what was released last, in order, for ever.
func (d *delivery) feed(ctx context.Context) {
	f := feeder{d: d, parked: d.parkedBefore(ctx), last: d.u.opts.Source.Released(), sink: d.sink}
	for failures := 0; ; {
		newest, err := d.u.opts.Source.Wait(ctx, f.last)
		if err == nil {
			err = f.upTo(ctx, newest)
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

// feeder is the state of the feed.
type feeder struct {
	d       *delivery
	parked  map[record.Seq]record.Outcome // see parkedBefore
	last    record.Seq                    // everything up to here was fed
	known   record.Seq                    // everything up to here was durable when the feed began: perhaps settled
	failing bool                          // the record before could not be read

	sink func(context.Context, feedItem) error // takes what is fed
}

// upTo feeds what is behind last, at least up to newest.
func (f *feeder) upTo(ctx context.Context, newest record.Seq) error {
	source := f.d.u.opts.Source
	if f.known == 0 {
		f.known = newest
	}
	if newest == f.last+1 && newest > f.known {
		// One new record, which nobody can have settled yet: an iteration would cost more than it.
		e, found, err := source.Entry(ctx, newest)
		if found || err != nil {
			e.Seq = newest
			return f.next(ctx, e, err)
		}
	}
	for e, err := range source.Entries(ctx, f.last+1) {
		if err := f.next(ctx, e, err); err != nil {
			return err
		}
	}
	if f.last < newest {
		return f.settled(ctx, newest)
	}
	return nil
}

// next feeds one item of the source, and what was settled before it.
func (f *feeder) next(ctx context.Context, e record.Entry, err error) error {
	read, unread := errors.AsType[*record.ReadError](err)
	if unread && read.Seq > f.last {
		e.Seq = read.Seq
		if !f.failing { // others would only wait for as long again
			e, err = f.d.rereadNow(ctx, read)
			read, unread = errors.AsType[*record.ReadError](err)
		}
	}
	gap, isGap := errors.AsType[*record.GapError](err)
	first, last := e.Seq, e.Seq
	item := feedItem{entry: e}
	switch {
	case isGap:
		first, last = max(gap.First, f.last+1), gap.Last
		item = feedItem{rest: &resolved{first: first, last: last, gap: &record.GapError{First: first, Last: last, Cause: gap.Cause}}}
	case unread && read.Seq > f.last:
		first, last = read.Seq, read.Seq
		item = feedItem{unread: read}
	case err != nil:
		return err
	}
	f.failing = item.unread != nil
	if last <= f.last {
		return nil
	}
	if first > f.last+1 {
		if err := f.settled(ctx, first-1); err != nil {
			return err
		}
	}
	if err := f.sink(ctx, item); err != nil {
		return err
	}
	f.last = last
	return nil
}

// settled feeds what Entries skipped behind last: earlier runs settled it.
// A ledger may not know of it, because those ran without one: there each record has its turn.
func (f *feeder) settled(ctx context.Context, upto record.Seq) error {
	for f.last < upto {
		item := feedItem{rest: &resolved{first: f.last + 1, last: upto}}
		if f.d.u.opts.Ledger != nil {
			var err error
			if item, err = f.settledItem(ctx, f.last+1); err != nil {
				return err
			}
		}
		if err := f.sink(ctx, item); err != nil {
			return err
		}
		f.last++
		if item.rest != nil {
			f.last = item.rest.last
		}
	}
	return nil
}

// settledItem is what the ledger is to hear of a record that an earlier run settled. One that
// was stored is delivered again: it is found in the store, and the
// ledger passes it over if it has it.
func (f *feeder) settledItem(ctx context.Context, seq record.Seq) (feedItem, error) {
	if o, ok := f.parked[seq]; ok {
		return feedItem{rest: &resolved{first: seq, last: seq, outcome: &o}}, nil
	}
	e, found, err := f.d.u.opts.Source.Entry(ctx, seq)
	if read, ok := errors.AsType[*record.ReadError](err); ok {
		return feedItem{unread: &record.ReadError{Seq: seq, Err: read.Err}}, nil
	}
	if gap, ok := errors.AsType[*record.GapError](err); ok {
		gap = &record.GapError{First: seq, Last: seq, Cause: "it was stored, but its leaf cannot be made: " + gap.Cause}
		return feedItem{rest: &resolved{first: seq, last: seq, gap: gap}}, nil
	}
	if err != nil || found {
		return feedItem{entry: e}, err
	}
	return feedItem{rest: &resolved{first: seq, last: seq}}, nil
}

// sink is send with an error.
func (d *delivery) sink(ctx context.Context, f feedItem) error {
	if !d.send(ctx, f) {
		return ctx.Err()
	}
	return nil
}

func (d *delivery) send(ctx context.Context, f feedItem) bool {
	select {
	case d.feeds <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

// parkedBefore is what an earlier run parked and did not release: the ledger has yet to hear of it.
func (d *delivery) parkedBefore(ctx context.Context) map[record.Seq]record.Outcome {
	if d.u.opts.Ledger == nil {
		return nil
	}
	for failures := 1; ; failures++ {
		found, err := map[record.Seq]record.Outcome{}, error(nil)
		for a, e := range d.u.opts.Source.Parked(ctx) {
			if err = e; err != nil {
				break
			}
			if a.Seq > d.u.opts.Source.Released() {
				found[a.Seq] = withoutAttrs(record.Outcome{Info: a.Info, State: a.State, Reason: a.Reason})
			}
		}
		if err == nil || !d.pause(ctx, "read what was parked", failures, err) {
			return found
		}
	}
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
