package upload

import (
	"context"
	"errors"
	"time"

	"indelible/internal/record"
)

// unread takes a record that the disk does not give back at the moment. It is
// waited for, because a pack has no hole; but where it goes on failing while others can be read, it goes its own
// way: read again by the delivery, and stored as an object or deferred.
func (p *packer) unread(ctx context.Context, failed *record.ReadError) error {
	u := p.d.u
	u.readFailed(failed)
	u.opts.Logger.Error("the spool's disk fails reads: the records are kept, and read again until they can be; look at the disk", "seq", failed.Seq, "error", failed)
	strikes := 0
	for n := 1; ; n++ {
		wait := max(u.opts.BackoffMin, backoff(n, u.opts.BackoffMin, u.opts.BackoffMax, 0, u.opts.Jitter()))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		e, found, err := u.opts.Source.Entry(ctx, failed.Seq)
		if err == nil && found && e.Size <= p.opts.MaxInline {
			_, err = p.read(&e) // the body too
			if _, lost := errors.AsType[*record.GapError](err); lost {
				return p.pass(ctx, feedItem{entry: e})
			}
		}
		gap, lost := errors.AsType[*record.GapError](err)
		switch {
		case lost:
			gap = &record.GapError{First: failed.Seq, Last: failed.Seq, Cause: gap.Cause}
			return p.pass(ctx, feedItem{rest: &resolved{first: failed.Seq, last: failed.Seq, gap: gap}})
		case err == nil && !found:
			return p.pass(ctx, feedItem{rest: &resolved{first: failed.Seq, last: failed.Seq}})
		case err == nil:
			return p.record(ctx, e)
		}
		u.readFailed(err)
		if p.open != nil && p.due() { // what is before it waits no longer than without it
			if err := p.close(ctx); err != nil {
				return err
			}
		}
		newest, err := u.opts.Source.Wait(ctx, 0)
		if err != nil {
			return err
		}
		if ok, err := u.otherThan(ctx, failed.Seq, newest); err == nil && ok {
			strikes++
		}
		if strikes >= u.opts.DeferAfter || strikes >= 3 && u.draining.Load() > 0 {
			return p.pass(ctx, feedItem{unread: failed})
		}
	}
}

// otherThan says whether another record than seq can be read: the next, or the newest.
func (u *Uploader) otherThan(ctx context.Context, seq, newest record.Seq) (bool, error) {
	for _, other := range [...]record.Seq{newest, seq + 1} {
		if other == seq || other > newest {
			continue
		}
		if ok, err := u.readable(ctx, other); ok || err != nil && ctx.Err() != nil {
			return ok, err
		}
	}
	return false, nil
}
