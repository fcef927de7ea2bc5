package upload

import "indelible/internal/record"

// resolved is a range of seqs of which it is known what became of them.
type resolved struct {
	first, last record.Seq
	outcome     *record.Outcome  // of first, which is last; nil for a gap and for what earlier runs settled
	gap         *record.GapError // nil unless it is one
	pack        *packFile        // nil unless the range is that of a pack, which is stored
	slot        *slot            // where outcome is not Stored: the record that waits to be parked
	wasParked   bool             // the record was parked before
}

// part is the part of a range that begins and ends with these, for a range that is a gap or was settled before.
func (s *resolved) part(first, last record.Seq) *resolved {
	rest := *s
	rest.first, rest.last = first, last
	if rest.gap != nil {
		rest.gap = &record.GapError{First: first, Last: last, Cause: rest.gap.Cause}
	}
	return &rest
}

// order brings what was settled into seq order. It is pure.
type order struct {
	next record.Seq // every seq below it was passed on
	held map[record.Seq]resolved
}

// put takes a range in and returns what is in order now. What comes again
// before its turn takes the place of its first outcome.
func (o *order) put(s resolved) []resolved {
	switch {
	case s.wasParked && s.first < o.next:
		return []resolved{s}
	case s.last < o.next:
		return nil // its turn came with what took its place
	}
	at := max(s.first, o.next) // a pack of which some rows were released
	if held, ok := o.held[at]; !ok || s.wasParked || !held.wasParked {
		o.held[at] = s
	}
	var run []resolved
	for {
		s, ok := o.held[o.next]
		if !ok {
			return run
		}
		delete(o.held, o.next)
		o.next = s.last + 1
		run = append(run, s)
	}
}
