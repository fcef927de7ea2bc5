package upload

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"indelible/internal/record"
)

// A record that the disk does not give back at the moment is neither lost nor
// the store's fault: it is read again for ever. The feed tries the first of a row of
// such records a few times on the spot and then sends each on as a slot that is
// unread. The delivery reads those again, a few at a time, and all of them as soon as one could be read.

const (
	// readTries on the spot, with waits that double from BackoffMin: 1.5 s altogether.
	readTries = 4
	// maxReading is how many unread records are read at once: reads may hang, and others go on.
	maxReading = 4
	// readAlarmEvery is the least time between two alarms about reads.
	readAlarmEvery = time.Minute
	// lookEvery is how often another record is read while nothing but unread ones are under way.
	lookEvery = 5 * time.Second
	// drainLookEvery is that time while a Drain waits.
	drainLookEvery = 2 * time.Second
)

// rereadNow tries a few times, for a short fault, to read what could not be read.
func (d *delivery) rereadNow(ctx context.Context, failed *record.ReadError) (record.Entry, error) {
	o := d.u.opts
	for n := range readTries {
		select {
		case <-time.After(min(o.BackoffMin<<n, o.BackoffMax)):
		case <-ctx.Done():
			return record.Entry{}, ctx.Err()
		}
		e, found, err := o.Source.Entry(ctx, failed.Seq)
		if _, unread := errors.AsType[*record.ReadError](err); unread {
			d.u.readFailed(err)
			continue
		}
		if found || err != nil {
			return e, err
		}
	}
	return record.Entry{}, failed
}

// readResult is what became of reading an unread record again.
type readResult struct {
	slot  *slot // nil: it was a look at another record
	entry record.Entry
	found bool
	err   error
}

// takeUnread takes in a record that could not be read.
func (d *delivery) takeUnread(e record.Entry, parked bool, err error, now time.Time) *slot {
	s := &slot{entry: e, unread: true, parked: parked, mayExist: parked, seenRead: d.health.successes + d.readable}
	d.slots.count++
	if err != nil {
		d.onReadError(s, err, now)
		d.failures++
		s.attempts = 1
	}
	s.due = now
	if !parked {
		s.due = now.Add(backoff(1, d.u.opts.BackoffMin, d.u.opts.BackoffMax, 0, d.u.opts.Jitter()))
	}
	heap.Push(&d.slots.unread, s)
	return s
}

// dispatchReads begins to read again what is due, and tells when more will be (zero: when something happens).
func (d *delivery) dispatchReads(ctx context.Context, running *sync.WaitGroup, now time.Time) (next time.Time) {
	q := &d.slots.unread
	for len(*q) > 0 && d.reading < maxReading {
		if (*q)[0].due.After(now) {
			return (*q)[0].due
		}
		s := heap.Pop(q).(*slot)
		d.reading++
		s.attempts++
		running.Go(func() {
			e, found, err := d.u.opts.Source.Entry(ctx, s.entry.Seq)
			d.reads <- readResult{s, e, found, err}
		})
	}
	return time.Time{}
}

// onRead takes the end of such a read.
func (d *delivery) onRead(r readResult, now time.Time) {
	s := r.slot
	if s == nil {
		d.looking = false
		if r.found {
			d.readable++
			if d.u.draining.Load() > 0 {
				d.readAll(now)
			}
		}
		return
	}
	d.reading--
	gap, lost := errors.AsType[*record.GapError](r.err)
	switch {
	case lost:
		d.readEnded(s)
		d.forget(s)
		gap = &record.GapError{First: s.entry.Seq, Last: s.entry.Seq, Cause: gap.Cause}
		if s.parked {
			return // the spool reports it
		}
		d.u.lost(gap)
		d.commit.add(resolved{first: gap.First, last: gap.Last, gap: gap})
	case r.err != nil:
		d.retryRead(s, r.err, now)
	case !r.found: // settled meanwhile: there is nothing to deliver
		d.readEnded(s)
		d.forget(s)
		if !s.parked {
			d.commit.add(resolved{first: s.entry.Seq, last: s.entry.Seq})
		}
	default:
		d.readEnded(s)
		d.readAll(now)
		s.entry, s.unread, s.attempts, s.strikes = r.entry, false, 0, 0
		s.stored = d.u.opts.Layout.Key(s.entry.Bucket, s.entry.Key)
		s.target = s.stored
		d.slots.count--
		d.slots.add(s)
	}
}

// readAll has everything that could not be read read now: the disk gives records back.
func (d *delivery) readAll(now time.Time) {
	for _, q := range []*waitQueue{&d.slots.unread, &d.slots.waiting} {
		for _, s := range *q {
			if s.readFailed && s.due.After(now) {
				s.due = now
			}
		}
		heap.Init(q)
	}
}

// forget lets go of a slot that is in no queue.
func (d *delivery) forget(s *slot) {
	d.slots.count--
	if s.parked {
		delete(d.parked, s.entry.Seq)
	}
}

// look reads a record that is not one of those that cannot be read, when nothing else is
// under way: if that one can be, the disk fails those records alone, and they may be
// parked so that what waits behind them moves on. It tells when it looks next.
func (d *delivery) look(ctx context.Context, running *sync.WaitGroup, now time.Time) time.Time {
	waiting := len(d.slots.waiting) + len(d.slots.retries) + len(d.slots.unread) + d.reading
	if d.looking || d.unread < waiting || waiting == 0 || len(d.slots.fresh) > 0 || d.inFlight > 0 {
		return time.Time{}
	}
	kept := d.lastStored
	if kept <= d.upto {
		kept = 0 // it may have been released
	}
	if kept == 0 && !d.full() {
		return time.Time{} // nothing waits behind them
	}
	if now.Before(d.nextLook) {
		return d.nextLook
	}
	every := lookEvery
	if d.u.draining.Load() > 0 {
		every = drainLookEvery
	}
	d.looking, d.nextLook = true, now.Add(every)
	read := d.read
	running.Go(func() {
		found, err := d.u.otherReadable(ctx, read, kept)
		d.reads <- readResult{found: found, err: err}
	})
	return time.Time{}
}

// otherReadable says whether the newest record, if it is newer than read, or
// the one that is kept (0: none) can be read.
func (u *Uploader) otherReadable(ctx context.Context, read, kept record.Seq) (bool, error) {
	newest, err := u.opts.Source.Wait(ctx, 0)
	if err != nil {
		return false, err
	}
	if newest > read {
		if ok, err := u.readable(ctx, newest); ok || kept == 0 {
			return ok, err
		}
	}
	if kept == 0 {
		return false, nil
	}
	return u.readable(ctx, kept)
}

// readable says whether a record can be read, with the begin of its body.
func (u *Uploader) readable(ctx context.Context, seq record.Seq) (bool, error) {
	e, found, err := u.opts.Source.Entry(ctx, seq)
	if err != nil || !found {
		return false, err
	}
	body, err := e.Open()
	if err != nil {
		return false, err
	}
	defer body.Close()
	_, err = io.CopyN(io.Discard, body, min(e.Size, 4096))
	return err == nil, err
}

// retryRead puts an unread record back, or parks it when it fails while others do not.
func (d *delivery) retryRead(s *slot, err error, now time.Time) {
	d.onReadError(s, err, now)
	d.failures++
	if s.parked {
		d.readEnded(s)
		d.forget(s) // until the next sweep
		return
	}
	d.strikeUnread(s)
	if s.strikes >= d.deferLimit(s) {
		d.park(s, record.Deferred, fmt.Errorf("it could not be read %d times while others were stored, or could be read; the last: %w", s.attempts, err))
		return
	}
	o := d.u.opts
	s.due = now.Add(max(o.BackoffMin, backoff(s.attempts, o.BackoffMin, o.BackoffMax, 0, o.Jitter())))
	heap.Push(&d.slots.unread, s)
}

// strikeUnread counts a failed read against its record, if others were stored, or could be read, since the last one.
func (d *delivery) strikeUnread(s *slot) {
	if others := d.health.successes + d.readable; others > s.seenRead {
		s.seenRead = others
		s.strikes += 3
	}
}

// onReadError notes that a record under way could not be read. One alarm stands
// for all that follow, until every record could be read again.
func (d *delivery) onReadError(s *slot, err error, now time.Time) {
	if !s.readFailed {
		s.readFailed = true
		d.unread++
	}
	d.u.readFailed(err)
	if d.unread == 1 && (d.readAlarm.IsZero() || now.Sub(d.readAlarm) >= readAlarmEvery) {
		d.readAlarm, d.readAlarmed = now, true
		d.u.opts.Logger.Error("the spool's disk fails reads: the records are kept, and read again until they can be; look at the disk", "seq", s.entry.Seq, "error", err.Error())
	}
}

// readEnded notes that a record does not wait to be read any more.
func (d *delivery) readEnded(s *slot) {
	if !s.readFailed {
		return
	}
	s.readFailed = false
	if d.unread--; d.unread == 0 && d.readAlarmed {
		d.readAlarmed = false
		d.u.opts.Logger.Info("no record waits for the spool's disk any more")
	}
}
