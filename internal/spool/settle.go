package spool

import (
	"context"
	"fmt"

	"indelible/internal/record"
)

// Settle notes what became of records: see upload.Source.
func (s *Spool) Settle(ctx context.Context, outcomes ...record.Outcome) error {
	var stored []settledNote
	for _, o := range outcomes {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch o.State {
		case record.Stored, record.Proven:
			s.mu.Lock()
			aside := s.aside.items[o.Seq] != nil
			news := o.Seq > s.released && o.Seq <= s.durable
			s.mu.Unlock()
			if news {
				stored = append(stored, settledNote{seq: o.Seq, size: uint32(o.Size)})
			}
			if aside {
				if err := s.storedAside(o); err != nil {
					return err
				}
			}
		case record.Deferred, record.Quarantined:
			s.stateMu.Lock()
			err := s.setAside(o)
			s.stateMu.Unlock()
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("settle record %d: %q is no outcome", o.Seq, o.State)
		}
	}
	if len(stored) == 0 {
		return nil
	}
	if err := s.noteSettled(stored); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range stored {
		if n.seq > s.released && s.settled.add(n.seq) {
			s.totals.pendingBytes -= int64(n.size)
		}
	}
	return nil
}

// storedAside settles a record that was set aside as stored: first noted, then its copy goes.
func (s *Spool) storedAside(o record.Outcome) error {
	if err := s.noteSettled([]settledNote{{seq: o.Seq, size: uint32(o.Size)}}); err != nil {
		return err
	}
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.unsetAside(o.Seq)
}

// Collided counts a record whose key in the store was taken by other bytes. The
// count is durable as of the next Release, Sync or Close.
func (s *Spool) Collided(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.collisions += n
}

// Release frees everything up to and including upto, durably: see
// upload.Source. It costs two fsyncs, so call it for many records at once.
func (s *Spool) Release(ctx context.Context, upto record.Seq) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	loose, err := s.unsettledBytes(upto)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.mu.Lock()
	if upto <= s.released {
		s.mu.Unlock()
		return nil
	}
	if upto > s.durable {
		durable := s.durable
		s.mu.Unlock()
		return fmt.Errorf("release up to %d: the newest record is %d", upto, durable)
	}
	ranges, records := s.fencedUpTo(upto)
	st := s.state()
	st.Released = uint64(upto)
	st.Gaps += ranges
	st.GapRecords += records
	s.mu.Unlock()
	// The commit point: what is released stays released.
	if err := s.writeState(st); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.mu.Lock()
	s.released = upto
	s.totals.gaps, s.totals.gapRecords = st.Gaps, st.GapRecords
	s.totals.pendingBytes -= loose
	s.settled.removeUpTo(upto)
	s.dropFences(upto)
	s.mu.Unlock()
	s.removeReleased()
	s.trimJournals(upto)
	s.mu.Lock()
	close(s.freed)
	s.freed = make(chan struct{})
	s.mu.Unlock()
	return nil
}

// Released is the upto of the last Release, 0 if there was none.
func (s *Spool) Released() record.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.released
}

// unsettledBytes are the bytes of the records up to upto that nobody settled. There should be none.
func (s *Spool) unsettledBytes(upto record.Seq) (int64, error) {
	s.mu.Lock()
	var seqs []record.Seq
	for seq := s.released + 1; seq <= min(upto, s.durable); seq++ {
		if !s.settled.has(seq) && s.fenceAt(seq) == nil {
			seqs = append(seqs, seq)
		}
	}
	s.mu.Unlock()
	n := int64(0)
	for _, seq := range seqs {
		n += s.sizeOf(seq)
	}
	return n, nil
}

// sizeOf is the size of a record's body as its segment's index knows it, 0 if it does not.
func (s *Spool) sizeOf(seq record.Seq) int64 {
	s.mu.Lock()
	g := s.segmentOf(seq)
	s.mu.Unlock()
	if g == nil {
		return 0
	}
	p, err := g.index().place(int(seq - g.first))
	if err != nil {
		return 0
	}
	return int64(p.size)
}

// removeReleased removes the files of the segments in which everything is
// released: the segment first, so that a crash leaves nothing that refers to what is gone. The
// caller holds s.stateMu.
func (s *Spool) removeReleased() {
	s.mu.Lock()
	var gone []*segment
	for len(s.segs) > 0 && s.segs[0] != s.active && s.segs[0].last <= s.released {
		gone = append(gone, s.segs[0])
		s.segs = s.segs[1:len(s.segs):len(s.segs)]
	}
	s.mu.Unlock()
	for _, g := range gone {
		if g.sealing != nil {
			<-g.sealing
		}
		s.indexMu.Lock()
		s.removeSegment(g)
		s.indexMu.Unlock()
	}
}

func (s *Spool) removeSegment(g *segment) {
	ids, err := g.index().bodyIDs()
	if err != nil {
		s.log.Warn("find the bodies of a released segment; they go at the next start", "segment", g.name, "error", err)
	}
	if g.damaged {
		err = s.putAway(g.name)
	} else {
		s.files.drop(g.name)
		err = s.fs.Remove(g.name)
	}
	if err != nil && !isNotExist(err) {
		s.log.Warn("remove a released segment", "segment", g.name, "error", err)
		return
	}
	freed := g.alloc
	if x := g.idx.Load(); x != nil {
		s.files.drop(x.name)
		if err := s.fs.Remove(x.name); err != nil && !isNotExist(err) {
			s.log.Warn("remove a side file", "file", x.name, "error", err)
		}
		s.mu.Lock()
		s.dropFilter(x)
		s.mu.Unlock()
	}
	if !g.damaged {
		freed += s.removeBodies(ids)
	}
	s.mu.Lock()
	s.room.used -= freed
	s.mu.Unlock()
}

// removeBodies removes body files and returns their bytes.
func (s *Spool) removeBodies(ids []uint64) (freed int64) {
	for _, id := range ids {
		if h, err := s.files.open(bodyName(id)); err == nil {
			if size, err := h.file.Size(); err == nil {
				freed += size
			}
			h.release()
		}
		s.files.drop(bodyName(id))
		if err := s.fs.Remove(bodyName(id)); err != nil && !isNotExist(err) {
			s.log.Warn("remove a released body", "body", bodyName(id), "error", err)
		}
	}
	return freed
}
