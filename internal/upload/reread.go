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
	// lookAheadEvery is how often the newest record is read while the window is full of unread ones.
	lookAheadEvery = 5 * time.Second
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
	slot  *slot // nil: it was a look ahead
	entry record.Entry
	found bool
	err   error
}

// takeUnread takes in a record that could not be read.
func (d *delivery) takeUnread(e record.Entry, aside bool, err error, now time.Time) *slot {
	s := &slot{entry: e, unread: true, aside: aside, mayExist: aside, seenRead: d.health.successes + d.readable}
	d.slots.count++
	if err != nil {
		d.onReadError(s, err, now)
		d.failures++
		s.attempts = 1
	}
	s.due = now
	if !aside {
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
		d.lookingAhead = false
		if r.found {
			d.readable++
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
		if s.aside {
			return // the spool reports it
		}
		d.u.lost(gap)
		d.commit.add(resolved{first: gap.First, last: gap.Last, gap: gap})
	case r.err != nil:
		d.retryRead(s, r.err, now)
	case !r.found: // settled meanwhile: there is nothing to deliver
		d.readEnded(s)
		d.forget(s)
		if !s.aside {
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

// readAll has everything that is unread read now: the disk gives records back again.
func (d *delivery) readAll(now time.Time) {
	for _, s := range d.slots.unread { // they stay a heap: all of them are due
		if s.due.After(now) {
			s.due = now
		}
	}
	heap.Init(&d.slots.unread)
}

// forget lets go of a slot that is in no queue.
func (d *delivery) forget(s *slot) {
	d.slots.count--
	if s.aside {
		delete(d.aside, s.entry.Seq)
	}
}

// lookAhead reads the newest record when the window is full of records that
// cannot be read: if that one can be, the disk fails those records alone, and they may be
// set aside so that the window moves on. It tells when it looks next.
func (d *delivery) lookAhead(ctx context.Context, running *sync.WaitGroup, now time.Time) time.Time {
	waiting := len(d.slots.waiting) + len(d.slots.retries) + len(d.slots.unread) + d.reading
	if d.lookingAhead || !d.full() || d.unread < waiting || waiting == 0 || len(d.slots.fresh) > 0 || d.inFlight > 0 {
		return time.Time{}
	}
	if now.Before(d.nextLook) {
		return d.nextLook
	}
	d.lookingAhead, d.nextLook = true, now.Add(lookAheadEvery)
	read := d.read
	running.Go(func() {
		found, err := d.u.newestReadable(ctx, read)
		d.reads <- readResult{found: found, err: err}
	})
	return time.Time{}
}

// newestReadable says whether the newest record, if it is newer than this, can be read, with the begin of its body.
func (u *Uploader) newestReadable(ctx context.Context, after record.Seq) (bool, error) {
	newest, err := u.opts.Source.Wait(ctx, 0)
	if err != nil || newest <= after {
		return false, err
	}
	e, found, err := u.opts.Source.Entry(ctx, newest)
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

// retryRead puts an unread record back, or sets it aside when it fails while others do not.
func (d *delivery) retryRead(s *slot, err error, now time.Time) {
	d.onReadError(s, err, now)
	d.failures++
	if s.aside {
		d.readEnded(s)
		d.forget(s) // until the next sweep
		return
	}
	d.strikeUnread(s)
	if s.strikes >= d.deferLimit() {
		d.setAside(s, record.Deferred, fmt.Errorf("it could not be read %d times while others were stored; the last: %w", s.attempts, err))
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
