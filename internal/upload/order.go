package upload

import "indelible/internal/record"

// settled is a range of seqs of which it is known what became of them.
type settled struct {
	first, last record.Seq
	outcome     *record.Outcome  // of first, which is last; nil for a gap and for what earlier runs settled
	gap         *record.GapError // nil unless it is one
	slot        *slot            // where outcome is not Stored: the record that waits to be set aside
	again       bool             // the record was set aside before
}

// order brings what was settled into seq order. It is pure.
type order struct {
	next record.Seq // every seq below it was passed on
	held map[record.Seq]settled
}

// put takes a range in and returns what is in order now. What comes again
// before its turn takes the place of its first outcome.
func (o *order) put(s settled) []settled {
	switch {
	case s.again && s.first < o.next:
		return []settled{s}
	case s.last < o.next:
		return nil // its turn came with what took its place
	}
	if held, ok := o.held[s.first]; !ok || s.again || !held.again {
		o.held[s.first] = s
	}
	var run []settled
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
