package proof

import (
	"fmt"
	"time"

	"indelible/internal/record"
)

// sense follows the story that the leaves tell and says where it has holes.
type sense struct {
	*findings
	first, next record.Seq // of the records; 0: none yet
	from        record.Seq // where a log that continues another one begins
	unknown     bool       // leaves are missing just before: next is not known
	records     int64
	bytes       int64
	gaps        int64

	asides  map[record.Seq]aside // not stored so far
	removed []removal            // in the order of their leaves
	changes []change             // of the key
	prefix  string               // what the log's keys begin with
	told    bool                 // prefix is known
	count   uint64               // leaves seen
	prev    Kind                 // of the leaf before
	latest  time.Time            // of all leaves
}

type aside struct {
	kind   Kind
	digest record.Digest
	reason string
}

// removal is a range of records that were removed, and why.
type removal struct {
	first, last record.Seq
	reason      string
}

// wasRemoved says whether a leaf tells that a record was removed, and why.
func (s *sense) wasRemoved(seq record.Seq) (reason string, ok bool) {
	for _, r := range s.removed {
		if r.first <= seq && seq <= r.last {
			return r.reason, true
		}
	}
	return "", false
}

// change is a change of key: heads greater than index are signed by the new one.
type change struct {
	old, new string
	index    uint64 // of its leaf
}

// silence is how long a log that runs may say nothing: two ticks.
const silence = 2*TickEvery + 5*time.Minute

// last is the greatest seq so far.
func (s *sense) last() record.Seq {
	if s.next == 0 {
		return 0
	}
	return s.next - 1
}

// hole says that leaves are missing here.
func (s *sense) hole() { s.unknown, s.prev = true, "" }

func (s *sense) leaf(index uint64, l *Leaf, log string) {
	s.count = index + 1
	switch {
	case l.Kind.counts():
		s.order(index, l)
	case l.Kind == Stored:
		s.late(l)
	case l.Kind == Removed:
		s.removed = append(s.removed, removal{l.First, l.Last, l.Reason})
	default:
		s.life(index, l, log)
	}
	if l.Kind == Record || l.Kind == Stored {
		s.records++
		s.bytes += l.Size
	}
	s.quiet(index, l)
	s.prev = l.Kind
}

// order checks that seq goes on without a hole.
func (s *sense) order(index uint64, l *Leaf) {
	first := l.first()
	last, _ := l.last()
	switch {
	case s.unknown || s.next == 0:
		if s.unknown && s.next != 0 && first != s.next {
			s.fault(Fault{Seq: s.next, What: fmt.Sprintf("nothing is known of records %d to %d: their leaves are gone", s.next, first-1)})
		}
	case first > s.next:
		s.fault(Fault{Seq: s.next, What: fmt.Sprintf("records %d to %d are missing from the log: leaf %d goes on with %d", s.next, first-1, index, first)})
	case first < s.next:
		s.fault(Fault{Seq: first, Key: l.Key, What: fmt.Sprintf("leaf %d comes out of order: %d was to follow", index, s.next)})
	}
	if s.first == 0 {
		s.first = first
		if first > 1 && !s.unknown {
			s.notice(Fault{Seq: first, What: fmt.Sprintf("the log begins with record %d", first)})
		}
	}
	s.unknown = false
	s.next = max(s.next, last+1)
	switch l.Kind {
	case Deferred, Quarantined:
		s.asides[l.Seq] = aside{l.Kind, l.Digest, l.Reason}
	case Gap:
		s.gaps += int64(last-first) + 1
		s.fault(Fault{Seq: first, What: fmt.Sprintf("records %d to %d are lost, as the log says: %s", first, last, l.Reason)})
	case Pack:
		s.records += l.Count
		s.bytes += l.Size
	}
}

// late is a record that was set aside and is stored now.
func (s *sense) late(l *Leaf) {
	a, ok := s.asides[l.Seq]
	if unread := a.digest == (record.Digest{}); ok && !unread && a.digest != l.Digest {
		s.fault(Fault{Seq: l.Seq, Key: l.Key, What: "stored with other bytes than it had when it was set aside"})
	}
	delete(s.asides, l.Seq)
	if l.Seq >= max(s.next, s.from) && !s.unknown {
		s.fault(Fault{Seq: l.Seq, Key: l.Key, What: "stored before the log came to it"})
	}
}

// life is a leaf of the log's own life.
func (s *sense) life(index uint64, l *Leaf, log string) {
	if s.next != 0 && !s.unknown && l.Seq != s.last() {
		s.fault(Fault{What: fmt.Sprintf("leaf %d (%s) says that the log had come to record %d, but it had come to %d", index, l.Kind, l.Seq, s.last())})
	}
	if index == 0 && l.Kind != Start && l.Kind != Continues {
		s.notice(Fault{What: fmt.Sprintf("the log does not begin with a start, but with %s", l.Kind)})
	}
	switch l.Kind {
	case Start:
		if s.prev != "" && s.prev != Stop && s.prev != Recovered && s.prev != Continues && s.prev != NewKey {
			s.notice(Fault{Seq: s.last(), What: fmt.Sprintf("a process began at leaf %d though the one before had not stopped, and nothing says what became of it", index)})
		}
		s.prefix, s.told = l.Prefix, true
	case Config:
		s.prefix, s.told = l.Prefix, true
	case Continues:
		s.from = l.FromSeq
	case Recovered:
		if s.prev == Stop {
			s.notice(Fault{What: fmt.Sprintf("leaf %d speaks of a crash, though the process before had stopped in good order", index)})
		}
	case NewKey:
		if err := checkRotation(log, l); err != nil {
			s.fault(Fault{What: fmt.Sprintf("leaf %d: %v", index, err)})
		} else {
			s.changes = append(s.changes, change{l.Old, l.New, index})
		}
	}
}

// quiet looks for times in which a running log said nothing.
func (s *sense) quiet(index uint64, l *Leaf) {
	running := s.prev != "" && s.prev != Stop && l.Kind != Start && l.Kind != Recovered
	if pause := l.Time.Sub(s.latest); running && pause > silence {
		s.notice(Fault{Seq: s.last(), What: fmt.Sprintf("the log ran and said nothing for %s before leaf %d", pause.Round(time.Second), index)})
	}
	if l.Time.After(s.latest) {
		s.latest = l.Time
	}
}

// end looks at how the log ends.
func (s *sense) end(now time.Time) {
	if s.prev != "" && s.prev != Stop && now.Sub(s.latest) > silence {
		s.notice(Fault{Seq: s.last(), What: fmt.Sprintf("the log's last word is from %s, and it was no stop: its writer is dead, cut off, or the bucket was put back", s.latest.Format(time.RFC3339))})
	}
}
