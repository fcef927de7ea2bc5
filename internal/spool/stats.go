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
	Deferred      uint64 // records set aside, tried again
	Quarantined   uint64 // records set aside, not tried
	FsyncFailures uint64

	Pending       uint64    // records acked, and neither stored, nor quarantined, nor in a gap
	PendingBytes  int64     // their bodies
	OldestPending time.Time // arrival of the oldest of them; zero if there is none
	LastAppend    time.Time // the last ack of a new record in this run; zero if there was none

	// SyncTook is how long the last sync of a segment took, or the one under way
	// has taken so far if that is longer.
	SyncTook time.Duration

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

// oldest remembers the time of the oldest pending record. Guarded by Spool.mu.
type oldest struct {
	seq  record.Seq
	time time.Time
}

// Stats takes a snapshot. It is cheap enough to be asked every second.
func (s *Spool) Stats() Stats {
	free, err := s.fs.Free()
	if err != nil {
		s.log.Warn("ask the disk how much is free", "error", err)
	}
	took := s.syncs.took(time.Now())
	s.mu.Lock()
	t := s.totals
	ranges, records := s.fencedUpTo(s.durable)
	st := Stats{
		Acked: uint64(s.durable), Released: uint64(s.released), Resent: t.resent, Collisions: t.collisions,
		Gaps: t.gaps + ranges, GapRecords: t.gapRecords + records, FsyncFailures: t.fsyncFailures,
		PendingBytes: t.pendingBytes, LastAppend: t.lastAppend, SyncTook: took,
		SpoolBytes: s.room.used, FreeBytes: free, Segments: len(s.segs), Holding: s.room.holding,
	}
	for _, it := range s.aside.items {
		if it.state == record.Quarantined {
			st.Quarantined++
			continue
		}
		st.Deferred++
		st.PendingBytes += it.size
		if st.OldestPending.IsZero() || it.time.Before(st.OldestPending) {
			st.OldestPending = it.time
		}
	}
	settled := uint64(s.released) + uint64(s.settled.n)
	st.Stored = settled - min(settled, t.gapRecords+st.Quarantined+st.Deferred)
	if out := st.Stored + st.Quarantined + st.GapRecords; out < st.Acked {
		st.Pending = st.Acked - out
	}
	s.mu.Unlock()
	if at := s.oldestPending(); !at.IsZero() && (st.OldestPending.IsZero() || at.Before(st.OldestPending)) {
		st.OldestPending = at
	}
	return st
}

// oldestPending is the arrival of the oldest record that is not settled, zero if there is none.
func (s *Spool) oldestPending() time.Time {
	s.mu.Lock()
	upto, known := s.durable, s.oldest
	var g *segment
	seq := max(s.released+1, known.seq)
	for ; seq <= upto; seq++ {
		if s.settled.has(seq) || s.fenceAt(seq) != nil {
			continue
		}
		if g = s.segmentOf(seq); g != nil {
			break
		}
	}
	s.mu.Unlock()
	if g == nil {
		return time.Time{}
	}
	if seq == known.seq {
		return known.time
	}
	e, err := s.read(g, seq, false)
	if err != nil {
		return time.Time{} // delivery finds the damage
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = oldest{seq: seq, time: e.Time}
	return e.Time
}

// countPending counts the bytes that are pending and the bytes on the disk. Open calls it.
func (s *Spool) countPending() error {
	for _, g := range s.segs {
		var total int64
		err := s.ask(g, func(x index) error {
			total = x.bytes()
			for i := 0; g.first <= s.released && i < x.count() && g.first+record.Seq(i) <= s.released; i++ {
				p, err := x.place(i)
				if err != nil {
					return err
				}
				total -= int64(p.size)
			}
			return nil
		})
		if err != nil && !s.removedMeanwhile(err) {
			return err
		}
		s.totals.pendingBytes += total
		if h, err := s.files.open(g.name); err == nil {
			g.alloc, _ = h.file.Size()
			h.release()
		}
		s.room.used += g.alloc
	}
	for _, f := range s.fences {
		for seq := f.First; seq <= f.Last; seq++ {
			if s.segmentOf(seq) == nil {
				break
			}
			s.totals.pendingBytes -= s.sizeOf(seq)
		}
	}
	for _, dir := range []string{bodyDir, asideDir} {
		names, err := s.fs.ReadDir(dir)
		if err != nil {
			continue // a reader of a spool that was never written
		}
		for _, d := range names {
			if i, err := d.Info(); err == nil {
				s.room.used += i.Size()
			}
		}
	}
	return nil
}
