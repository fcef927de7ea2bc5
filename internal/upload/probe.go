package upload

import (
	"context"
	"sync"
	"time"

	"indelible/internal/store"
)

// idle says that nothing is left to send: every record under way is through, parked, or waits for the disk.
func (d *delivery) idle() bool {
	return d.inFlight == 0 && len(d.slots.fresh)+len(d.slots.retries)+len(d.slots.waiting) == 0
}

// probe asks the destination a question while it is down and no record is left to
// probe it with: else its state would stay what the last failure made it. It tells when
// the next question may be asked (zero: when something happens).
func (d *delivery) probe(ctx context.Context, running *sync.WaitGroup, now time.Time) time.Time {
	if !d.ready || d.probing || !d.idle() {
		return time.Time{}
	}
	d.health.idle(now)
	if !d.health.down || d.probeKey == "" {
		return time.Time{}
	}
	ok, when := d.health.may(now)
	if !ok {
		return when
	}
	d.probing = true
	d.health.began(now, d.u.opts.Jitter())
	key, limit := d.probeKey, d.u.opts.AttemptTimeout
	running.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		_, err := d.u.opts.Store.Head(ctx, key, store.GetOptions{})
		d.answers <- err
	})
	return time.Time{}
}

// onAnswer takes the answer to a probe without a record.
func (d *delivery) onAnswer(err error, now time.Time) {
	d.probing = false
	d.health.ended(true)
	if store.ClassOf(err) == store.Local {
		return // it was not asked
	}
	if err == nil || store.ClassOf(err) == store.NotFound {
		d.recovered(d.health.answered(now), now)
		return
	}
	d.alarm(d.health.failed(store.ClassOf(err), retryAfter(err), false, now, d.u.opts.Jitter()), err)
}
