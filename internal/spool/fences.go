package spool

import (
	"slices"

	"indelible/internal/record"
)

// fenceAt is the fence that covers seq, nil if there is none. The caller holds s.mu.
func (s *Spool) fenceAt(seq record.Seq) *fence {
	i, ok := slices.BinarySearchFunc(s.fences, seq, func(f fence, seq record.Seq) int {
		switch {
		case f.Last < seq:
			return -1
		case f.First > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &s.fences[i]
}

// isFenced says whether a fence covers seq: what is behind one is not delivered.
func (s *Spool) isFenced(seq record.Seq) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fenceAt(seq) != nil
}

// addFence adds a range that no fence covers, and tells about it. The caller holds s.mu.
func (s *Spool) addFence(f fence) *fence {
	i, _ := slices.BinarySearchFunc(s.fences, f.First, func(f fence, seq record.Seq) int { return compareSeq(f.First, seq) })
	if i > 0 && s.fences[i-1].Last+1 == f.First && s.fences[i-1].Cause == f.Cause {
		s.fences[i-1].Last = f.Last
		return &f
	}
	s.fences = slices.Insert(slices.Clone(s.fences), i, f)
	if g := s.segmentOf(f.First); g != nil {
		g.damaged = true
	}
	if !s.opening {
		s.tell(f)
	}
	return &f
}

// tell tells about a fence.
func (s *Spool) tell(f fence) {
	s.log.Error("records are unreadable and fenced off", "first", uint64(f.First), "last", uint64(f.Last), "cause", f.Cause)
	if s.opts.Events.Gap != nil {
		s.opts.Events.Gap(f)
	}
}

// tellFences ends Open's silence. What was damaged after it was settled is no
// gap: it is where it should be.
func (s *Spool) tellFences() {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.fences
	s.fences = nil
	for _, f := range found {
		for seq := f.First; seq <= f.Last; seq++ {
			if s.settled.has(seq) {
				continue
			}
			first := seq
			for seq < f.Last && !s.settled.has(seq+1) {
				seq++
			}
			s.addFence(fence{First: first, Last: seq, Cause: f.Cause})
		}
	}
	for _, f := range s.fences {
		s.tell(f)
	}
	s.opening = false
}

func compareSeq(a, b record.Seq) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// fence marks one record as unreadable, unless it was released meanwhile.
func (s *Spool) fence(seq record.Seq, cause string) {
	size := s.sizeOf(seq)
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.released || s.fenceAt(seq) != nil {
		return
	}
	s.addFence(fence{First: seq, Last: seq, Cause: cause})
	s.totals.pendingBytes -= size
}

// dropFences forgets what is fenced off up to and including upto. The caller holds s.mu.
func (s *Spool) dropFences(upto record.Seq) {
	kept := s.fences[:0:0]
	for _, f := range s.fences {
		if f.Last > upto {
			f.First = max(f.First, upto+1)
			kept = append(kept, f)
		}
	}
	s.fences = kept
}

// fencedUpTo counts the fences and the records in them up to and including upto. The caller holds s.mu.
func (s *Spool) fencedUpTo(upto record.Seq) (ranges, records uint64) {
	for _, f := range s.fences {
		if f.First > upto {
			break
		}
		if f.Last <= upto {
			ranges++
		}
		records += uint64(min(f.Last, upto) - f.First + 1)
	}
	return ranges, records
}
