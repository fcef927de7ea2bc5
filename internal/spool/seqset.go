package spool

import (
	"math/bits"

	"indelible/internal/record"
)

const seqPage = 4096

// seqSet is a set of seqs, dense or not, at about a bit each. Not safe for concurrent use.
type seqSet struct {
	pages map[record.Seq]*[seqPage / 64]uint64
	n     int
}

func (s *seqSet) add(seq record.Seq) bool {
	if s.has(seq) {
		return false
	}
	if s.pages == nil {
		s.pages = map[record.Seq]*[seqPage / 64]uint64{}
	}
	p := s.pages[seq/seqPage]
	if p == nil {
		p = new([seqPage / 64]uint64)
		s.pages[seq/seqPage] = p
	}
	p[seq%seqPage/64] |= 1 << (seq % 64)
	s.n++
	return true
}

func (s *seqSet) remove(seq record.Seq) {
	if s.has(seq) {
		s.pages[seq/seqPage][seq%seqPage/64] &^= 1 << (seq % 64)
		s.n--
	}
}

func (s *seqSet) has(seq record.Seq) bool {
	p := s.pages[seq/seqPage]
	return p != nil && p[seq%seqPage/64]&(1<<(seq%64)) != 0
}

// removeUpTo takes everything up to and including upto out and returns how many that were.
func (s *seqSet) removeUpTo(upto record.Seq) int {
	before := s.n
	for page, p := range s.pages {
		if (page+1)*seqPage-1 <= upto {
			for _, w := range p {
				s.n -= bits.OnesCount64(w)
			}
			delete(s.pages, page)
		}
	}
	if s.pages[upto/seqPage] != nil {
		for seq := upto / seqPage * seqPage; seq <= upto; seq++ {
			s.remove(seq)
		}
	}
	return before - s.n
}
