package proof

import (
	"fmt"
	"sort"

	"indelible/internal/record"
)

// SeqRange is the records First to Last, inclusive.
type SeqRange struct {
	First record.Seq `json:"first"`
	Last  record.Seq `json:"last"`
}

// String names the records in words: "record 8", "records 8 to 10".
func (r SeqRange) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("record %d", r.First)
	}
	return fmt.Sprintf("records %d to %d", r.First, r.Last)
}

// are is the verb that goes with String.
func (r SeqRange) are() string {
	if r.First == r.Last {
		return "is"
	}
	return "are"
}

// rangeSet is a set of records as ranges: sorted, disjoint, none next to
// another. A billion records that follow one another take one range. Beyond
// maxRanges it counts only.
type rangeSet struct {
	list []SeqRange
	more uint64 // records that were added when the set was full
}

// maxRanges bounds a rangeSet to 16 MiB.
const maxRanges = 1 << 20

// search is the first range that ends at seq or behind it.
func (s *rangeSet) search(seq record.Seq) int {
	n := len(s.list)
	if n == 0 || s.list[n-1].Last < seq { // mostly they come in order
		return n
	}
	return sort.Search(n, func(i int) bool { return s.list[i].Last >= seq })
}

func (s *rangeSet) has(seq record.Seq) bool {
	i := s.search(seq)
	return i < len(s.list) && s.list[i].First <= seq
}

func (s *rangeSet) add(first, last record.Seq) {
	i := s.search(first)
	if i > 0 && s.list[i-1].Last+1 == first { // grows the one before
		i--
		first = s.list[i].First
	}
	end := i
	for end < len(s.list) && (s.list[end].First <= last || s.list[end].First == last+1) {
		first, last = min(first, s.list[end].First), max(last, s.list[end].Last)
		end++
	}
	switch {
	case end > i:
		s.list[i] = SeqRange{first, last}
		s.list = append(s.list[:i+1], s.list[end:]...)
	case len(s.list) >= maxRanges:
		s.more += uint64(last-first) + 1
	default:
		s.list = append(s.list, SeqRange{})
		copy(s.list[i+1:], s.list[i:])
		s.list[i] = SeqRange{first, last}
	}
}

// remove takes one record out.
func (s *rangeSet) remove(seq record.Seq) {
	i := s.search(seq)
	if i == len(s.list) || s.list[i].First > seq {
		return
	}
	r := s.list[i]
	switch {
	case r.First == r.Last:
		s.list = append(s.list[:i], s.list[i+1:]...)
	case r.First == seq:
		s.list[i].First++
	case r.Last == seq:
		s.list[i].Last--
	default:
		s.list = append(s.list, SeqRange{})
		copy(s.list[i+1:], s.list[i:])
		s.list[i].Last, s.list[i+1].First = seq-1, seq+1
	}
}

func (s *rangeSet) count() uint64 {
	n := s.more
	for _, r := range s.list {
		n += uint64(r.Last-r.First) + 1
	}
	return n
}

// minus is what is in s and not in t.
func (s *rangeSet) minus(t *rangeSet) rangeSet {
	out := rangeSet{more: s.more}
	for _, r := range s.list {
		first := r.First
		for i := t.search(r.First); i < len(t.list) && t.list[i].First <= r.Last; i++ {
			if t.list[i].First > first {
				out.list = append(out.list, SeqRange{first, t.list[i].First - 1})
			}
			first = t.list[i].Last + 1
			if first == 0 || first > r.Last {
				break
			}
		}
		if first != 0 && first <= r.Last {
			out.list = append(out.list, SeqRange{first, r.Last})
		}
	}
	return out
}
