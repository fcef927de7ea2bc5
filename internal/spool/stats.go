package spool

import (
	"sync"
	"time"

	"indelible/internal/record"
)

// Stats is a snapshot. Counters are totals over the life of the spool.
type Stats struct {
	Acked         uint64 // records acked: also the newest seq
	Stored        uint64 // records that the store has confirmed
	Released      uint64 // records up to this seq are proven and released
	Resent        uint64 // appends that were answered with the receipt of a first copy
	Collisions    uint64 // records counted by Collided
	Gaps          uint64 // ranges fenced off
	GapRecords    uint64 // records in them
	Deferred      uint64 // records parked, tried again
	Quarantined   uint64 // records parked, not tried
	FsyncFailures uint64

	Pending       uint64    // records acked, and neither stored, nor quarantined, nor in a gap
	PendingBytes  int64     // their bodies
	OldestPending time.Time // arrival of the oldest of them; zero if there is none
	LastAppend    time.Time // the last ack of a new record in this run; zero if there was none

	// SyncTook is how long the last sync of a segment took, or the one under way
	// has taken so far if that is longer.
	SyncTook time.Duration

	ReadErrors    uint64 // reads that the disk failed in this run; each is tried again
	Unread        uint64 // records that could not be read at the last try
	LastReadError string // the newest of those errors, "" if there was none

	WriteError string // what the newest write, sync or new segment failed with, for another reason than want of room; "" if it did not

	SpoolBytes int64  // taken on the disk
	FreeBytes  uint64 // of the disk
	Segments   int
	Holding    int // appends that wait for room now
}

// syncClock knows how long syncs take, while one is under way too: a disk that
// hangs says nothing by itself. It is safe for concurrent use.
type syncClock struct {
	mu    sync.Mutex
	begun time.Time     // of the one under way; zero for none; guarded by mu
	last  time.Duration // guarded by mu
}

func (c *syncClock) begin(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = now
}

func (c *syncClock) end(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun, c.last = time.Time{}, took
}

func (c *syncClock) took(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.IsZero() {
		return c.last
	}
	return max(c.last, now.Sub(c.begun))
}

// oldest remembers the time of the oldest pending record. It is safe for concurrent use.
type oldest struct {
	mu   sync.Mutex
	seq  record.Seq // guarded by mu
	time time.Time  // guarded by mu
}

// Stats takes a snapshot. It is cheap enough to be asked every second.
func (s *Spool) Stats() Stats {
	free, err := s.fs.Free()
	if err != nil {
		s.log.Warn("ask the disk how much is free", "error", err)
	}
	released, durable := s.settled.released(), record.Seq(s.writer.durable.Load())
	lost := s.gaps.totals()
	parked, oldestParked := s.parked.stats()
	s.settled.mu.Lock()
	settled, gone, collisions := uint64(released)+uint64(s.settled.set.n), s.settled.bytes, s.settled.collisions
	s.settled.mu.Unlock()
	s.writer.movedMu.Lock()
	lastAck := s.writer.lastAck
	s.writer.movedMu.Unlock()
	used, holding := s.space.stats()
	st := Stats{
		Acked: uint64(durable), Released: uint64(released), Resent: s.resent.Load(), Collisions: collisions,
		Gaps: lost.ranges, GapRecords: lost.records, FsyncFailures: s.writer.failures.Load(),
		Deferred: parked.deferred, Quarantined: parked.quarantined,
		PendingBytes: s.writer.bytes.Load() - gone + parked.bytes, OldestPending: oldestParked, LastAppend: lastAck,
		SyncTook: s.writer.clock.took(time.Now()), SpoolBytes: used, FreeBytes: free, Segments: len(s.segs.all()), Holding: holding,
	}
	var last error
	if st.ReadErrors, st.Unread, last = s.health.stats(); last != nil {
		st.LastReadError = last.Error()
	}
	if err := s.writes.err(); err != nil {
		st.WriteError = err.Error()
	}
	st.Stored = settled - min(settled, s.gaps.upTo(released).records+st.Quarantined+st.Deferred)
	if out := st.Stored + st.Quarantined + st.GapRecords; out < st.Acked {
		st.Pending = st.Acked - out
	}
	if at := s.oldestPending(); !at.IsZero() && (st.OldestPending.IsZero() || at.Before(st.OldestPending)) {
		st.OldestPending = at
	}
	return st
}

// Gaps lists at most n ranges of records that damage made unreadable, the newest of those that
// were not released before Open, by seq. others is how many more Stats counts. It is cheap enough to be asked every second.
func (s *Spool) Gaps(n int) (list []record.GapError, others uint64) { return s.gaps.newest(n) }

// oldestPending is the arrival of the oldest record that is not settled, zero if there is none.
func (s *Spool) oldestPending() time.Time {
	if s.begin() != nil {
		return time.Time{}
	}
	defer s.life.RUnlock()
	s.oldest.mu.Lock()
	defer s.oldest.mu.Unlock()
	durable := record.Seq(s.writer.durable.Load())
	seq := max(s.settled.released()+1, s.oldest.seq)
	for ; seq <= durable; seq++ {
		if _, lost := s.gaps.at(seq); !lost && !s.settled.has(seq) {
			break
		}
	}
	if seq == s.oldest.seq {
		return s.oldest.time
	}
	g := s.segs.of(seq)
	if seq > durable || g == nil {
		return time.Time{}
	}
	e, err := s.read(g, seq, false)
	if err != nil {
		return time.Time{} // delivery finds out why
	}
	s.oldest.seq, s.oldest.time = seq, e.Time
	return e.Time
}
