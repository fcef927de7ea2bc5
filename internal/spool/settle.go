package spool

import (
	"context"
	"fmt"
	"sync"

	"indelible/internal/record"
)

// settlement knows which records are settled: stored, or parked. It is safe
// for concurrent use.
type settlement struct {
	segs    *segments
	journal *journal

	stateMu sync.Mutex  // one writer of the state file at a time, and one release or change of what is parked
	state   stateWriter // guarded by stateMu

	mu         sync.Mutex
	set        seqSet // seqs above the release point; guarded by mu
	bytes      int64  // bodies settled or lost since the start; guarded by mu
	collisions uint64 // guarded by mu
}

func (t *settlement) released() record.Seq { return record.Seq(t.segs.released.Load()) }

// has reports whether a record above the release point is settled.
func (t *settlement) has(seq record.Seq) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.set.has(seq)
}

// add settles a record whose body has size bytes, once.
func (t *settlement) add(seq record.Seq, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq > t.released() && t.set.add(seq) {
		t.bytes += size
	}
}

// lost counts the bytes of records that are not pending any more, and were not settled.
func (t *settlement) lost(bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += bytes
}

// save writes the state file with what is known now.
func (t *settlement) save(snapshot func() state) error {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	return t.state.write(snapshot())
}

func (t *settlement) close() error {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	return t.state.close()
}

// snapshot is what the state file is to say.
func (s *Spool) snapshot() state {
	released := s.settled.released()
	gaps := s.gaps.upTo(released)
	s.settled.mu.Lock()
	defer s.settled.mu.Unlock()
	return state{
		Version: Version, Log: s.opts.Log, Secret: s.ids.String(),
		Released: uint64(released), Acked: s.writer.durable.Load(),
		Resent: s.resent.Load(), Collisions: s.settled.collisions,
		Gaps: gaps.ranges, GapRecords: gaps.records, FsyncFailures: s.writer.failures.Load(),
		Kept: s.parked.keptRows(released),
	}
}

// Settle notes what became of records: see upload.Source. A record that cannot
// be read now is parked where it is. Notes are not durable at once: what a crash loses of them is found in the store.
func (s *Spool) Settle(ctx context.Context, outcomes ...record.Outcome) error {
	if err := s.beginChange(); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	defer s.life.RUnlock()
	var notes []settledNote
	durable := record.Seq(s.writer.durable.Load())
	for _, o := range outcomes {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch o.State {
		case record.Stored, record.Proven:
			if o.Seq > s.settled.released() && o.Seq <= durable {
				notes = append(notes, settledNote{seq: o.Seq, size: uint32(o.Size)})
			}
			if s.parked.has(o.Seq) {
				if err := s.settleParked(o); err != nil {
					return err
				}
			}
		case record.Deferred, record.Quarantined:
			if err := s.park(o); err != nil {
				return fmt.Errorf("settle record %d: %w", o.Seq, err)
			}
		default:
			return fmt.Errorf("settle record %d: %q is no outcome", o.Seq, o.State)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	s.settled.journal.note(notes...)
	for _, n := range notes {
		s.settled.add(n.seq, int64(n.size))
	}
	return nil
}

// settleParked settles a record that was parked as stored: first noted, then its copy goes.
func (s *Spool) settleParked(o record.Outcome) error {
	s.settled.journal.note(settledNote{seq: o.Seq, size: uint32(o.Size)})
	s.settled.stateMu.Lock()
	defer s.settled.stateMu.Unlock()
	freed, kept, err := s.parked.remove(o.Seq)
	if err != nil {
		return fmt.Errorf("settle record %d: %w", o.Seq, err)
	}
	s.space.add(-freed)
	if kept && o.Seq <= s.settled.released() {
		if err := s.settled.state.write(s.snapshot()); err != nil {
			return fmt.Errorf("settle record %d: %w", o.Seq, err)
		}
		s.segs.removeReleased()
	}
	return nil
}

// Collided counts n records whose key in the store was taken by other bytes. The
// count is durable as of the next Release, Sync or Close.
func (s *Spool) Collided(n uint64) {
	s.settled.mu.Lock()
	defer s.settled.mu.Unlock()
	s.settled.collisions += n
}

// Released is the upto of the last Release, 0 if there was none.
func (s *Spool) Released() record.Seq { return s.settled.released() }

// Release frees everything up to and including upto, durably: see
// upload.Source. It costs an fsync, so call it for many records at once. It needs no room on the disk.
func (s *Spool) Release(ctx context.Context, upto record.Seq) error {
	if err := s.beginChange(); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	defer s.life.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if durable := record.Seq(s.writer.durable.Load()); upto > durable {
		return fmt.Errorf("release up to %d: the newest record is %d", upto, durable)
	}
	if err := s.release(upto); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.segs.removeReleased()
	s.settled.journal.trim(upto)
	s.health.forgetUpTo(upto)
	s.segs.retrySaving()
	return nil
}

func (s *Spool) release(upto record.Seq) error {
	t := s.settled
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	if upto <= t.released() {
		return nil
	}
	loose := s.unsettledBytes(upto)
	totals := s.gaps.upTo(upto)
	st := s.snapshot()
	st.Released, st.Gaps, st.GapRecords = uint64(upto), totals.ranges, totals.records
	st.Kept = s.parked.keptRows(upto)
	if err := s.buckets.save(); err != nil {
		s.log.Warn("note the names of buckets whose records leave; it is tried again with the next release", "error", err)
	}
	// The commit point: what is released stays released.
	if err := t.state.write(st); err != nil {
		return err
	}
	t.mu.Lock()
	s.segs.released.Store(uint64(upto))
	t.bytes += loose
	t.set.removeUpTo(upto)
	t.mu.Unlock()
	s.gaps.release(upto, totals)
	return nil
}

// unsettledBytes are the bytes of the records up to upto that nobody settled. There should be none.
func (s *Spool) unsettledBytes(upto record.Seq) (n int64) {
	var seqs []record.Seq
	for seq := s.settled.released() + 1; seq <= upto; seq++ {
		if _, lost := s.gaps.at(seq); !lost && !s.settled.has(seq) {
			seqs = append(seqs, seq)
		}
	}
	for _, seq := range seqs {
		n += s.sizeOf(seq)
	}
	return n
}

// sizeOf is the size of a record's body as its segment's index knows it, 0 if it does not.
func (s *Spool) sizeOf(seq record.Seq) int64 {
	g := s.segs.of(seq)
	if g == nil {
		return 0
	}
	p, err := g.index().location(int(seq - g.first))
	if err != nil {
		return 0
	}
	return int64(p.size)
}
