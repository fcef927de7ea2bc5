package upload

import (
	"context"
	"time"

	"indelible/internal/record"
)

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
	select {
	case d.sweeps <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
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
