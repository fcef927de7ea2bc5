package upload

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// delivery is one Run: the window of records under way. Its run goroutine owns
// everything but the channels and parkedChanges.
type delivery struct {
	u             *Uploader
	commit        *committer
	feeds         chan feedItem      // from feed: the source in order
	parkedFeed    chan record.Entry  // from sweepParked: what was parked
	sweeps        chan struct{}      // from sweepParked: a sweep begins
	results       chan attemptResult // from attempts; never full
	reads         chan readResult    // from reads of unread records; never full
	answers       chan error         // from probes without a record; never full
	parkedChanges atomic.Uint64      // counts changes to what is parked
	newParked     chan struct{}      // something was parked
	ledgerReady   chan error         // from awaitLedger: its answers, of which nil is the last
	matched       chan struct{}      // closed when ready is set

	slots        slots
	parked       map[record.Seq]*slot // those of the slots that were parked before
	parkedStored map[record.Seq]bool  // parked before and stored since; true once that is settled
	pace         *pace                // the Uploader's
	health       health
	log          *retryLog

	packs    []packSpan // sent to the delivery, and not yet with the ledger
	ready    bool       // the ledger said that the destination holds its log
	read     record.Seq // the last one fed
	upto     record.Seq // the committer has everything up to here
	failures int        // since a record was stored
	inFlight int
	bytes    int64 // cost of what is in flight

	reading     int        // reads of unread records under way
	unread      int        // slots with readFailed
	readAlarm   time.Time  // when the last alarm about reads was given
	readAlarmed bool       // and no word since that it is over
	looking     bool       // a look at another record is under way
	nextLook    time.Time  // not before that
	readable    uint64     // looks that found a record that can be read
	lastStored  record.Seq // the newest that was stored, in this run or an earlier one
	probing     bool       // a probe without a record is under way
	probeKey    string     // what it asks for: the name that was stored last, or tried
}

func newDelivery(u *Uploader) *delivery {
	at := u.opts.Source.Released()
	u.pace.reset()
	matched := make(chan struct{})
	if u.opts.Ledger == nil {
		close(matched)
	}
	return &delivery{
		matched: matched,
		u:       u, commit: newCommitter(u),
		feeds: make(chan feedItem, 64), parkedFeed: make(chan record.Entry), newParked: make(chan struct{}, 1), ledgerReady: make(chan error), sweeps: make(chan struct{}),
		results: make(chan attemptResult, u.opts.MaxConcurrency+maxProbes), reads: make(chan readResult, maxReading+1), answers: make(chan error, 1),
		slots: slots{tails: map[string]*slot{}}, parked: map[record.Seq]*slot{}, parkedStored: map[record.Seq]bool{},
		pace: u.pace, health: newHealth(u.opts.BackoffMin, u.opts.BackoffMax, time.Now()),
		log: newRetryLog(u.opts.Logger), ready: u.opts.Ledger == nil, read: at, upto: at,
	}
}

// run is the event loop. No record that waits holds a goroutine.
func (d *delivery) run(ctx context.Context) {
	var attempts sync.WaitGroup
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		next := d.dispatch(ctx, &attempts, now)
		next = sooner(next, d.dispatchReads(ctx, &attempts, now))
		next = sooner(next, d.look(ctx, &attempts, now))
		next = sooner(next, d.probe(ctx, &attempts, now))
		d.publish()
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case f := <-d.openFeeds():
			d.take(f, time.Now())
		case e := <-d.openParked():
			d.takeParked(e, time.Now())
		case <-d.sweeps:
			d.beginSweep()
		case r := <-d.reads:
			d.onRead(r, time.Now())
		case err := <-d.answers:
			d.onAnswer(err, time.Now())
		case v := <-d.results:
			d.onResult(v, time.Now())
		case err := <-d.ledgerReady:
			d.onLedger(err, time.Now())
		case <-d.commit.reported:
			for _, r := range d.commit.takeReports() {
				d.onReport(r, time.Now())
			}
		case <-d.pace.freed:
		case <-timer.C:
		}
	}
	attempts.Wait()
	for len(d.results) > 0 {
		if v := <-d.results; v.err == nil {
			d.onResult(v, time.Now())
		}
	}
	d.pace.reset()
	close(d.commit.closed)
}

// openFeeds is nil while the window is full, and before the ledger knows its destination.
func (d *delivery) openFeeds() <-chan feedItem {
	if !d.ready || d.full() && !d.stalled() {
		return nil
	}
	return d.feeds
}

// spareRecords go beyond a full window, to find out what is wrong in it.
const spareRecords = 64

// stalled says that a full window holds nothing but records that have failed, each since
// anything was stored. Then one more is let in: only a record that is stored tells whether
// the store fails or those records do.
func (d *delivery) stalled() bool {
	failing := len(d.slots.waiting) + len(d.slots.retries) + len(d.slots.unread) + d.reading
	return failing > 0 && failing <= d.failures && len(d.slots.fresh) == 0 && d.inFlight == 0 &&
		int(d.read-d.upto) < d.u.opts.MaxRecords+spareRecords
}

func (d *delivery) full() bool {
	rows := 0
	for _, p := range d.packs {
		rows += p.rows
	}
	return int(d.read-d.upto)-rows >= d.u.opts.MaxRecords || len(d.packs) >= packsUnderWay
}

// openParked is nil before the ledger knows its destination, while enough of what was parked is under way, and while
// the destination is down and others can probe it.
func (d *delivery) openParked() <-chan record.Entry {
	if !d.ready || len(d.parked) >= max(1, d.pace.allowed()/4) || d.health.down && d.slots.count > 0 {
		return nil
	}
	return d.parkedFeed
}

func (d *delivery) take(f feedItem, now time.Time) {
	switch {
	case f.rest != nil:
		d.read = f.rest.last
		switch {
		case f.rest.gap != nil:
			d.u.lost(f.rest.gap)
		case f.rest.outcome == nil:
			d.lastStored = f.rest.last
		}
		d.commit.add(*f.rest)
	case f.pack != nil:
		d.takePack(f.pack, now)
	case f.beside != nil:
		d.takeBeside(f.beside)
	case f.unread != nil:
		d.read = f.unread.Seq
		d.takeUnread(record.Entry{Info: record.Info{Seq: f.unread.Seq}}, false, f.unread, now)
	default:
		d.read = f.entry.Seq
		d.slots.add(d.newSlot(f.entry))
	}
}

func (d *delivery) newSlot(e record.Entry) *slot {
	stored := d.u.opts.Layout.Key(e.Bucket, e.Key)
	return &slot{entry: e, stored: stored, target: stored}
}

// takeParked takes in what was parked, unless it is under way, or stored and not yet settled.
func (d *delivery) takeParked(e record.Entry, now time.Time) {
	if _, stored := d.parkedStored[e.Seq]; stored || d.parked[e.Seq] != nil {
		return
	}
	if e.Key == "" {
		d.parked[e.Seq] = d.takeUnread(e, true, nil, now)
		return
	}
	s := d.newSlot(e)
	s.parked, s.mayExist = true, true
	d.parked[e.Seq] = s
	d.slots.add(s)
}

// beginSweep forgets the records that are settled as stored: a sweep that begins now does not find them.
func (d *delivery) beginSweep() {
	maps.DeleteFunc(d.parkedStored, func(_ record.Seq, settled bool) bool { return settled })
}

// dispatch begins what may begin, and tells when there will be more to do
// (zero: when something happens).
func (d *delivery) dispatch(ctx context.Context, attempts *sync.WaitGroup, now time.Time) (next time.Time) {
	d.slots.wakeDue(now)
	for d.health.down || d.pace.room() {
		// A probe is a record that never failed, if there is one: others may be what fails.
		q := d.slots.top(d.health.down)
		if q == nil || d.bytes > 0 && d.bytes+(*q)[0].cost() > d.u.opts.MaxBytes {
			break
		}
		ok, when := d.health.may(now)
		if asked := d.pace.asked(); ok && now.Before(asked) {
			ok, when = false, asked
		}
		if !ok {
			next = sooner(next, when)
			break
		}
		i := 0
		if d.health.down && d.health.probes%2 == 1 {
			i = q.last() // it may be the early ones that fail, and not the store
		}
		s := heap.Remove(q, i).(*slot)
		d.begin(s, now)
		attempts.Go(func() { d.results <- d.u.attempt(ctx, s) })
	}
	if len(d.slots.waiting) > 0 {
		next = sooner(next, d.slots.waiting[0].due)
	}
	return sooner(next, d.log.flush(now))
}

func (d *delivery) begin(s *slot, now time.Time) {
	d.inFlight++
	d.bytes += s.cost()
	s.attempts++
	s.began, s.stores = now, d.health.successes
	s.epoch, s.full = d.pace.begin()
	s.probe = d.health.began(now, d.u.opts.Jitter())
	if s.attempts == 1 {
		s.seen, s.seenRead = d.health.successes, d.health.successes+d.readable
	}
	if d.health.successes == 0 {
		d.probeKey = s.target
	}
}

// onResult takes the end of an attempt.
func (d *delivery) onResult(v attemptResult, now time.Time) {
	s := v.slot
	d.inFlight--
	d.pace.ended()
	d.bytes -= s.cost()
	d.health.ended(s.probe)
	d.u.attempted(v)
	if !v.unread {
		d.readEnded(s)
	}
	switch {
	case v.err == nil:
		d.stored(s, v, now)
	case v.local, v.altered:
		if v.spoke {
			d.recovered(d.health.answered(now), now)
		}
		d.retry(v, now)
	case v.class == store.Local:
		d.pace.throttled(s.epoch, 0)
		d.u.limited(v.err)
		d.retry(v, now)
	case v.class == store.Poison:
		d.recovered(d.health.answered(now), now)
		if s.pack != nil {
			d.refused(s, v)
		} else {
			d.park(s, record.Quarantined, v.err)
		}
	default:
		d.failed(v, now)
	}
}

func (d *delivery) stored(s *slot, v attemptResult, now time.Time) {
	d.u.limited(nil)
	d.failures = 0
	d.pace.succeeded(s.full)
	d.recovered(d.health.succeeded(now), now)
	if v.vanished {
		d.u.vanished(s.entry.Info, s.target)
	}
	if confirm := d.u.opts.Confirm; confirm != "" && confirm != ConfirmOff && !(s.check && v.found) {
		s.check, s.mayExist = true, true
		d.slots.delay(s, now.Add(d.u.opts.ConfirmAfter))
		return
	}
	d.probeKey = s.target
	switch {
	case s.pack != nil:
		d.packStored(s, v)
		return
	case s.beside != nil:
		d.besideStored(s, v)
		return
	}
	o := withoutAttrs(record.Outcome{Info: s.entry.Info, State: record.Stored, Stored: s.target, Version: v.info.Version,
		AttrsDigest: store.AttrsDigest(v.info.Header, v.info.Meta)})
	d.u.wasStored(o, s.variant)
	d.commit.add(resolved{first: o.Seq, last: o.Seq, outcome: &o, wasParked: s.parked})
	d.slots.done(s)
	d.lastStored = max(d.lastStored, o.Seq)
	if s.parked {
		delete(d.parked, o.Seq)
		d.parkedStored[o.Seq] = false
		d.parkedChanges.Add(1)
	}
}

// recovered logs the end of an outage and begins slowly.
func (d *delivery) recovered(was bool, now time.Time) {
	if !was {
		return
	}
	d.pace.restart()
	d.u.opts.Logger.Info("the destination is back")
}

// failed takes a failure of the store or the way to it.
func (d *delivery) failed(v attemptResult, now time.Time) {
	s := v.slot
	d.pace.failed(v.class, s.epoch, retryAfter(v.err))
	others := d.health.successes > s.stores || s.parked && !d.health.down
	var asked time.Duration
	if e, ok := asStoreError(v.err); ok {
		asked = e.RetryAfter
	}
	d.alarm(d.health.failed(v.class, asked, others, now, d.u.opts.Jitter()), v.err)
	d.retry(v, now)
}

// alarm logs that an outage began or changed its kind.
func (d *delivery) alarm(began bool, err error) {
	if began {
		d.u.opts.Logger.Error("destination "+string(d.health.state)+": records are kept and delivered once it is back", "error", err.Error())
	}
}

// retry puts a record back, or parks it when it fails while others do not.
func (d *delivery) retry(v attemptResult, now time.Time) {
	s, o := v.slot, d.u.opts
	d.failures++
	weight := 3
	if v.class == store.Throttled && !v.local {
		weight = 1 // the least likely to be about the record
	}
	switch {
	case v.unread:
		d.strikeUnread(s)
	case v.class == store.Local && !v.local: // says nothing of the record
	case d.strike(s, weight, v.local) && v.cut:
		s.cuts++
	}
	wait := max(o.BackoffMin, backoff(s.attempts, o.BackoffMin, o.BackoffMax, retryAfter(v.err), d.u.opts.Jitter()))
	if v.unread {
		d.onReadError(s, v.err, now)
	} else {
		d.log.add(now, retry{key: s.entry.Key, seq: s.entry.Seq, attempt: s.attempts, wait: wait, class: v.class, err: v.err})
		d.u.retried(v, now)
	}
	switch {
	case s.parked:
		d.readEnded(s)
		delete(d.parked, s.entry.Seq) // until the next sweep
		d.slots.done(s)
	case s.strikes >= d.deferLimit(s) && s.pack == nil:
		d.park(s, record.Deferred, fmt.Errorf("%d attempts failed while others were stored; the last: %w", s.attempts, v.err))
	default:
		// Counted from the begin of the attempt: one that hung has waited already.
		d.slots.delay(s, later(now.Add(o.BackoffMin), s.began.Add(wait)))
	}
}

// strike counts a failure against its record, if others were stored since the last one, or if it is the record's own in any case.
func (d *delivery) strike(s *slot, weight int, own bool) bool {
	if !own && d.health.successes <= s.seen {
		return false
	}
	s.seen = d.health.successes
	s.strikes += weight
	return true
}

// deferLimit is how many strikes park this record.
func (d *delivery) deferLimit(s *slot) int {
	limit := 3 * d.u.opts.DeferAfter
	if d.full() || s.readFailed && d.u.draining.Load() > 0 {
		limit = min(limit, 3*3) // the others, or a Drain, wait for this one: sooner
	}
	return limit
}

// park asks the committer to park a record; onReport hears of it.
func (d *delivery) park(s *slot, state record.State, why error) {
	o := withoutAttrs(record.Outcome{Info: s.entry.Info, State: state, Reason: why.Error()})
	d.commit.add(resolved{first: o.Seq, last: o.Seq, outcome: &o, slot: s, wasParked: s.parked})
}

// onReport takes a report of the committer.
func (d *delivery) onReport(r report, now time.Time) {
	d.upto = max(d.upto, r.upto)
	d.packs = slices.DeleteFunc(d.packs, func(p packSpan) bool { return p.last <= d.upto })
	for _, seq := range r.settled {
		if _, ours := d.parkedStored[seq]; ours {
			d.parkedStored[seq] = true
		}
	}
	s := r.slot
	switch {
	case s == nil:
	case r.err != nil && !s.parked:
		d.u.opts.Logger.Error("park: "+r.err.Error()+"; the record stays in delivery", "key", s.entry.Key, "seq", s.entry.Seq)
		wait := backoff(s.attempts, d.u.opts.BackoffMin, d.u.opts.BackoffMax, 0, d.u.opts.Jitter())
		if due := now.Add(max(d.u.opts.BackoffMin, wait)); s.unread {
			s.due = due
			heap.Push(&d.slots.unread, s)
		} else {
			d.slots.delay(s, due)
		}
	default:
		d.readEnded(s)
		delete(d.parked, s.entry.Seq)
		if s.unread {
			d.slots.count--
		} else {
			d.slots.done(s)
		}
		d.parkedChanges.Add(1)
		wake(d.newParked)
		if s.beside != nil {
			s.beside.done <- besideEnd{parked: true}
		}
	}
}

// publish makes the state visible to Stats.
func (d *delivery) publish() {
	st := &d.u.stats
	st.mu.Lock()
	defer st.mu.Unlock()
	st.health = d.health
	st.s.InFlight, st.s.Limit, st.s.Window, st.s.Unread = d.inFlight, d.pace.allowed(), d.slots.count, d.unread
}

// withoutAttrs is an outcome without what nobody asks an outcome for.
func withoutAttrs(o record.Outcome) record.Outcome {
	o.Attrs = nil
	return o
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func asStoreError(err error) (*store.Error, bool) { return errors.AsType[*store.Error](err) }

func retryAfter(err error) time.Duration {
	if e, ok := asStoreError(err); ok {
		return e.RetryAfter
	}
	return 0
}
