package upload

import (
	"context"
	"errors"
	"time"

	"indelible/internal/store"
)

// awaitLedger asks the ledger until it says that the destination holds this
// log, and sends each answer to the delivery, which begins no attempt before
// the answer is nil: records that went to the wrong bucket could not be taken back.
func (d *delivery) awaitLedger(ctx context.Context) {
	o := d.u.opts
	for n := 1; ; n++ {
		err := o.Ledger.Ready(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case d.ledgerReady <- err:
		case <-ctx.Done():
			return
		}
		if err == nil {
			return
		}
		select {
		case <-time.After(max(o.BackoffMin, backoff(n, o.BackoffMin, o.BackoffMax, retryAfter(err), o.Jitter()))):
		case <-ctx.Done():
			return
		}
	}
}

// onLedger takes an answer of the ledger. An error of the store is judged as
// that of any attempt is; any other is shown in Stats.Stuck.
func (d *delivery) onLedger(err error, now time.Time) {
	if err == nil {
		d.ready = true
		close(d.matched)
		d.u.stuck(nil)
		d.recovered(d.health.answered(now), now)
		return
	}
	d.u.unready(err, now)
	e, ok := errors.AsType[*store.Error](err)
	if !ok || e.Class == store.NotFound || e.Class == store.Exists || e.Class == store.Poison || e.Class == store.Local {
		return // it speaks of the log's objects, or of this process
	}
	d.alarm(d.health.failed(e.Class, e.RetryAfter, false, now, d.u.opts.Jitter()), err)
}
