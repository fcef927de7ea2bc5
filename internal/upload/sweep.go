package upload

import (
	"context"
	"time"

	"indelible/internal/record"
)

// sweepParked offers the deferred records to the delivery again and again, in seq order, a few at a time.
func (d *delivery) sweepParked(ctx context.Context) {
	o := d.u.opts
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait, failures, moved := o.DeferredEvery/2, 0, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.newParked: // do not let it wait as long as those that failed for hours
			if wait > o.DeferredEvery {
				wait = o.DeferredEvery
				timer.Reset(wait)
			}
			continue
		case <-timer.C:
		case <-d.u.redrive:
		}
		if err := d.offerParked(ctx); err == nil {
			failures = 0
		} else if failures++; !d.pause(ctx, "read what was parked", failures, err) {
			return
		}
		wait = min(wait*2, max(o.DeferredEvery, maxDeferredEvery))
		if now := d.parkedChanges.Load(); now != moved {
			wait, moved = o.DeferredEvery, now
		}
		timer.Reset(wait)
	}
}

// maxDeferredEvery is the longest pause between two tries of the deferred records.
const maxDeferredEvery = 10 * time.Minute

func (d *delivery) offerParked(ctx context.Context) error {
	select {
	case d.sweeps <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	for a, err := range d.u.opts.Source.Parked(ctx) {
		if err != nil {
			return err
		}
		if a.State != record.Deferred {
			continue
		}
		select {
		case d.parkedFeed <- a.Entry:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
