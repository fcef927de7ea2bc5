package upload

import "indelible/internal/record"

// settled is a range of seqs of which it is known what became of them.
type settled struct {
	first, last record.Seq
	outcome     *record.Outcome  // of first, which is last; nil for a gap and for what earlier runs settled
	gap         *record.GapError // nil unless it is one
	slot        *slot            // where outcome is not Stored: the record that waits to be set aside
	again       bool             // the record was set aside before: it is not waited for in the order
}

// order brings what was settled into seq order. It is pure.
type order struct {
	next record.Seq // every seq below it was passed on
	held map[record.Seq]settled
}

// put takes a range in and returns what is in order now.
func (o *order) put(s settled) []settled {
	if s.again {
		if held, ok := o.held[s.first]; ok && held.outcome != nil {
			// It is stored before its turn came to be called deferred.
			s.again = false
			o.held[s.first] = s
			return nil
		}
		return []settled{s}
	}
	o.held[s.first] = s
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
