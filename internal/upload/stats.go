package upload

import (
	"sync"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Events are called as things happen, from several goroutines; they must not
// block. Any of them may be nil.
type Events struct {
	// Attempt is one attempt: result is "stored", "found" (it was there
	// already), "unreadable" (our disk failed) or the class of the failure.
	Attempt func(result string, took time.Duration)
	// Retry is a failure that will be tried again.
	Retry func(cause store.Class)
	// Stored is a record that the store has confirmed; at least once each, more often only after a crash.
	Stored func(o record.Outcome)
	// Parked is a record that was parked.
	Parked func(o record.Outcome)
	// Collision is a record whose plain key was taken by other bytes.
	Collision func(o record.Outcome)
	// Gap is a range that the disk lost.
	Gap func(g record.GapError)
	// Proven is so many more records covered by a checkpoint.
	Proven func(n int)
}

// Stats is a snapshot. The counts are since New.
type Stats struct {
	State     State
	Since     time.Time // of State
	LastError string    // of the last failed attempt; "" if there was none
	LastTime  time.Time // when that was
	Retries   uint64    // failed attempts
	InFlight  int       // attempts under way
	Limit     int       // how many may be under way
	Window    int       // records read from the spool and not through
	Stuck     string    // why matching the log, settling, proving or releasing does not get on; "" if it does

	// Vanished counts objects that the store had confirmed, and did not have when they were looked at once more.
	Vanished uint64
	// LocalLimit is the limit of this process or machine that kept the last attempt
	// from being made; "" since a record was stored.
	LocalLimit string
	// Confirms is how the store confirms what it was sent, once it did; "" if it does not tell.
	Confirms store.Confirmation

	Unread        int    // records under way that wait for the disk: they could not be read at the last try
	ReadErrors    uint64 // reads of the source that failed
	LastReadError string // of the last of them; "" if there was none

	Stored, Collisions, Deferred, Quarantined, Gaps uint64
	// Unproven is how many confirmed records wait for the ledger's checkpoint; the source does not count them as stored yet.
	Unproven uint64
}

type stats struct {
	mu     sync.Mutex
	health health // guarded by mu; copy of the delivery's
	s      Stats  // guarded by mu
}

// confirmer is a store that learns how it confirms what it was sent. s3.Store is one.
type confirmer interface {
	Confirmation() store.Confirmation
}

func (u *Uploader) confirms() store.Confirmation {
	if c, ok := u.opts.Store.(confirmer); ok {
		return c.Confirmation()
	}
	return ""
}

// Stats is a snapshot of the delivery.
func (u *Uploader) Stats() Stats {
	confirms := u.confirms()
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	s := u.stats.s
	s.Confirms = confirms
	s.State, s.Since = u.stats.health.at(time.Now())
	return s
}

func (u *Uploader) note(f func(s *Stats)) {
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	f(&u.stats.s)
}

// vanished notes that the store lost an object that it had confirmed.
func (u *Uploader) vanished(i record.Info, stored string) {
	u.note(func(s *Stats) { s.Vanished++ })
	u.opts.Logger.Error("the store lost an object that it had confirmed; it was stored again: look at the store", "key", stored, "seq", i.Seq)
}

// limited notes that a limit of this process or machine kept an attempt from being made, or that it does not any more.
func (u *Uploader) limited(err error) {
	u.note(func(s *Stats) {
		s.LocalLimit = ""
		if err != nil {
			s.LocalLimit = err.Error()
		}
	})
}

func (u *Uploader) readFailed(err error) {
	u.note(func(s *Stats) {
		s.ReadErrors++
		s.LastReadError = err.Error()
	})
}

func (u *Uploader) stuck(err error) {
	u.note(func(s *Stats) {
		s.Stuck = ""
		if err != nil {
			s.Stuck = err.Error()
		}
	})
}

// unready notes that the ledger does not know its destination yet.
func (u *Uploader) unready(err error, now time.Time) {
	u.note(func(s *Stats) {
		s.Stuck = "no delivery before the log is matched with the destination: " + err.Error()
		s.Retries++
		s.LastError, s.LastTime = err.Error(), now
	})
}

func (u *Uploader) proven(n int) {
	u.note(func(s *Stats) { s.Unproven -= min(s.Unproven, uint64(n)) })
	if f := u.opts.Events.Proven; f != nil {
		f(n)
	}
}

// attempted notes an attempt that ended.
func (u *Uploader) attempted(v attemptResult) {
	f := u.opts.Events.Attempt
	switch {
	case f == nil:
	case v.local:
		f("unreadable", v.took)
	case v.err != nil:
		f(v.class.String(), v.took)
	case v.found:
		f("found", v.took)
	default:
		f("stored", v.took)
	}
}

// retried notes a failure after which the record is tried again.
func (u *Uploader) retried(v attemptResult, now time.Time) {
	if v.local {
		u.readFailed(v.err)
		return
	}
	u.note(func(s *Stats) {
		s.Retries++
		s.LastError, s.LastTime = v.err.Error(), now
	})
	if f := u.opts.Events.Retry; f != nil {
		f(v.class)
	}
}

func (u *Uploader) wasStored(o record.Outcome, variant bool) {
	u.note(func(s *Stats) {
		s.Stored++
		if variant {
			s.Collisions++
		}
		if u.opts.Ledger != nil {
			s.Unproven++
		}
	})
	if f := u.opts.Events.Stored; f != nil {
		f(o)
	}
	if f := u.opts.Events.Collision; f != nil && variant {
		f(o)
	}
}

func (u *Uploader) noteParked(o record.Outcome) {
	u.note(func(s *Stats) {
		if o.State == record.Quarantined {
			s.Quarantined++
		} else {
			s.Deferred++
		}
	})
	u.opts.Logger.Warn("record parked as "+string(o.State), "key", o.Key, "seq", o.Seq, "reason", o.Reason)
	if f := u.opts.Events.Parked; f != nil {
		f(o)
	}
}

func (u *Uploader) lost(g *record.GapError) {
	u.note(func(s *Stats) { s.Gaps++ })
	u.opts.Logger.Error("gap: "+g.Error(), "first", g.First, "last", g.Last)
	if f := u.opts.Events.Gap; f != nil {
		f(*g)
	}
}
