package proof

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"indelible/internal/record"
)

// leafChecker follows the leaves from the first to the last and reports what
// cannot be true of a log, and what is odd. Its memory does not grow with the
// log, but with the records that were parked.
type leafChecker struct {
	*findings
	log         string
	first, next record.Seq // of the records; 0: none yet
	from        record.Seq // where a log that continues another one begins
	unknown     bool       // leaves are missing just before: next is not known
	partly      bool       // the leaves before the first one seen were audited earlier
	records     int64
	bytes       int64
	packs       int64

	parked    map[record.Seq]parked // every record that was parked, or came back from a gap
	reasons   map[record.Seq]string // of the first that are not stored
	gaps      rangeSet              // records that a leaf says are lost, and that did not come back
	gapCauses []gapCause            // the first of them
	healed    int64                 // records that did come back
	earlier   int64                 // stored leaves about records before the first leaf seen
	removed   rangeSet
	removals  []removal // the first of them
	changes   []change  // of the key
	prefix    string    // what the log's keys begin with
	prefixed  bool      // prefix is known
	count     uint64    // leaves seen

	deferred, quarantined int64 // set by end

	prev    Kind      // of the leaf before
	stopped bool      // the process that wrote the log has stopped
	latest  time.Time // of all leaves
}

// parked is a record that was not stored when its turn came.
type parked struct {
	kind   Kind
	stored bool          // a later leaf says that it is
	digest record.Digest // zero: not known
}

type gapCause struct {
	SeqRange
	cause string
}

type removal struct {
	SeqRange
	reason string
}

// change is a change of key: checkpoints greater than index are signed by the new one.
type change struct {
	old, new publicKey
	index    uint64 // of its leaf
}

// silence is how long a log that runs may say nothing: two ticks.
const silence = 2*TickEvery + 5*time.Minute

// last is the greatest seq so far.
func (c *leafChecker) last() record.Seq {
	if c.next == 0 {
		return 0
	}
	return c.next - 1
}

// skip says that leaves are missing here.
func (c *leafChecker) skip() { c.unknown, c.prev, c.stopped = true, "", false }

// leaf takes the next leaf. bound says that the tree before it is the one that a
// change of key was signed for.
func (c *leafChecker) leaf(index uint64, l *Leaf, bound bool) {
	c.count = index + 1
	switch l.Kind {
	case Record, Deferred, Quarantined, Gap, Pack:
		c.order(index, l)
	case Stored:
		c.late(l)
	case Removed:
		c.remove(l)
	case Row:
		c.fault(Fault{Seq: l.Seq, What: fmt.Sprintf("leaf %d is the row of a pack: it has no place in the log", index)})
	default:
		c.lifecycle(index, l, bound)
	}
	c.pause(index, l)
	c.prev = l.Kind
}

// order checks that seq goes on without a hole.
func (c *leafChecker) order(index uint64, l *Leaf) {
	first := l.first()
	last, _ := l.last()
	switch {
	case c.unknown || c.next == 0:
		if c.unknown && c.next != 0 && first > c.next {
			c.fault(Fault{Seq: c.next, What: fmt.Sprintf("nothing is known of %s: their leaves are gone", SeqRange{c.next, first - 1})})
		} else if c.unknown && c.next != 0 && first < c.next {
			c.fault(Fault{Seq: first, Key: l.Key, What: fmt.Sprintf("leaf %d comes out of order: %d or more was to follow", index, c.next)})
		}
	case first > c.next:
		hole := SeqRange{c.next, first - 1}
		c.fault(Fault{Seq: c.next, What: fmt.Sprintf("%s %s missing from the log: leaf %d goes on with %d", hole, hole.are(), index, first)})
	case first < c.next:
		c.fault(Fault{Seq: first, Key: l.Key, What: fmt.Sprintf("leaf %d comes out of order: %d was to follow", index, c.next)})
	}
	if c.first == 0 {
		c.first = first
		if first > 1 && first != c.from && !c.unknown && !c.partly {
			c.notice(Fault{Seq: first, What: fmt.Sprintf("the log begins with record %d", first)})
		}
	}
	if c.stopped && c.prev == Stop {
		c.notice(Fault{Seq: first, What: fmt.Sprintf("leaf %d adds to the log after its writer had stopped, and no start stands between", index)})
	}
	again := c.next != 0 && last < c.next && !c.unknown // its number was given already: it counts once
	c.unknown = false
	c.next = max(c.next, last+1)
	switch l.Kind {
	case Record:
		if !again {
			c.records++
			c.bytes += l.Size
		}
	case Deferred, Quarantined:
		if c.parked == nil {
			c.parked = map[record.Seq]parked{}
		}
		c.parked[l.Seq] = parked{kind: l.Kind, digest: l.Digest}
		if c.reasons == nil {
			c.reasons = map[record.Seq]string{}
		}
		if len(c.reasons) < listed {
			c.reasons[l.Seq] = l.Reason
		}
	case Gap:
		c.gaps.add(first, last)
		if len(c.gapCauses) < listed {
			c.gapCauses = append(c.gapCauses, gapCause{SeqRange{first, last}, l.Reason})
		}
	case Pack:
		if !again {
			c.records += l.Count
			c.bytes += l.Size
			c.packs++
		}
	}
}

// late is a record that was parked, or lost, and is stored now.
func (c *leafChecker) late(l *Leaf) {
	a, known := c.parked[l.Seq]
	switch {
	case known && a.digest != (record.Digest{}) && a.digest != l.Digest:
		c.fault(Fault{Seq: l.Seq, Key: l.Key, What: "stored with other bytes than it had when it was parked"})
	case known:
	case c.gaps.has(l.Seq):
		c.gaps.remove(l.Seq)
		c.healed++
		c.notice(Fault{Seq: l.Seq, Key: l.Key, What: "the log said that it was lost; it came back and is stored"})
	case l.Seq >= max(c.next, c.from) && !c.unknown && !c.partly:
		c.fault(Fault{Seq: l.Seq, Key: l.Key, What: "stored before the log came to it"})
		return
	case l.Seq < c.from, c.partly && (c.first == 0 || l.Seq < c.first):
		c.earlier++
	case !c.unknown:
		c.fault(Fault{Seq: l.Seq, Key: l.Key, What: "a second leaf says that it was stored, though it was neither parked nor lost: one of the two objects was not what was acknowledged"})
		return
	}
	if !a.stored { // a record that the writer met twice has two such leaves, and counts once
		c.records++
		c.bytes += l.Size
	}
	if c.parked == nil {
		c.parked = map[record.Seq]parked{}
	}
	c.parked[l.Seq] = parked{kind: Stored, stored: true, digest: l.Digest}
	delete(c.reasons, l.Seq)
}

func (c *leafChecker) remove(l *Leaf) {
	if l.Last >= max(c.next, c.from) && !c.unknown && !c.partly {
		c.fault(Fault{Seq: l.First, What: fmt.Sprintf("a leaf says that %s had been removed before the log came to them", SeqRange{l.First, l.Last})})
	}
	c.removed.add(l.First, l.Last)
	if len(c.removals) < listed {
		c.removals = append(c.removals, removal{SeqRange{l.First, l.Last}, l.Reason})
	}
}

// whyRemoved is the reason that a leaf gave.
func (c *leafChecker) whyRemoved(seq record.Seq) string {
	for _, r := range c.removals {
		if r.First <= seq && seq <= r.Last {
			return r.reason
		}
	}
	return "see the log"
}

// lifecycle is a leaf of the log's own life.
func (c *leafChecker) lifecycle(index uint64, l *Leaf, bound bool) {
	if c.next != 0 && !c.unknown && l.Seq != c.last() {
		c.fault(Fault{What: fmt.Sprintf("leaf %d (%s) says that the log had come to record %d, but it had come to %d", index, l.Kind, l.Seq, c.last())})
	}
	if index == 0 && l.Kind != Start && l.Kind != Continues {
		c.notice(Fault{What: fmt.Sprintf("the log does not begin with a start, but with %s", l.Kind)})
	}
	switch l.Kind {
	case Start:
		if c.prev != "" && !c.stopped && c.prev != Recovered && c.prev != Continues && c.prev != Repair && c.prev != NewKey {
			c.notice(Fault{Seq: c.last(), What: fmt.Sprintf("a process began at leaf %d though the one before had not stopped, and nothing says what became of it", index)})
		}
		c.prefix, c.prefixed = l.Prefix, true
		c.stopped = false
	case Config:
		c.prefix, c.prefixed = l.Prefix, true
	case Stop:
		c.stopped = true
	case Recovered:
		if c.prev == Stop {
			c.notice(Fault{What: fmt.Sprintf("leaf %d speaks of a crash, though the process before had stopped in good order", index)})
		}
		c.stopped = false
	case Continues:
		if index != 0 {
			c.fault(Fault{What: fmt.Sprintf("leaf %d says that the log continues another one: only the first leaf may", index)})
		} else {
			c.from = l.FromSeq
			c.notice(Fault{Seq: l.FromSeq, What: fmt.Sprintf("this log continues the log %s from record %d (%s): verify that one too", l.FromLog, l.FromSeq, l.Reason)})
		}
	case Repair:
		c.notice(Fault{Seq: c.last(), What: fmt.Sprintf("leaf %d tells of a repair: %s", index, l.Reason), Object: l.Key})
	case Cosigning:
		c.notice(Fault{Seq: c.last(), What: fmt.Sprintf("leaf %d says of the checkpoint of size %d: %s", index, l.Size, l.Reason)})
	case NewKey:
		if err := checkRotation(c.log, l); err != nil {
			c.fault(Fault{What: fmt.Sprintf("leaf %d: %v", index, err)})
		} else if !bound {
			c.fault(Fault{What: fmt.Sprintf("leaf %d: the change of key was signed for another tree, one of size %d", index, l.Size)})
		} else {
			old, _ := parsePublic(l.Old) // both were parsed to check the signatures
			next, _ := parsePublic(l.New)
			c.changes = append(c.changes, change{old, next, index})
		}
	}
}

// pause looks for times in which a running log said nothing.
func (c *leafChecker) pause(index uint64, l *Leaf) {
	running := c.prev != "" && !c.stopped && l.Kind != Start && l.Kind != Recovered
	if d := l.Time.Sub(c.latest); running && d > silence {
		c.notice(Fault{Seq: c.last(), What: fmt.Sprintf("the log ran and said nothing for %s before leaf %d", d.Round(time.Second), index)})
	}
	if l.Time.After(c.latest) {
		c.latest = l.Time
	}
}

// end reports what only the whole log tells.
func (c *leafChecker) end() {
	told := uint64(0)
	for _, g := range c.gapCauses {
		whole := rangeSet{list: []SeqRange{g.SeqRange}}
		back := whole.minus(&c.gaps)
		lost := whole.minus(&back)
		if n := lost.count(); n > 0 {
			told += n
			span := SeqRange{lost.list[0].First, lost.list[len(lost.list)-1].Last}
			c.fault(Fault{Seq: span.First, What: fmt.Sprintf("%s %s lost, as the log says: %s", span, span.are(), g.cause)})
		}
	}
	if all := c.gaps.count(); all > told {
		c.fault(Fault{What: fmt.Sprintf("%d more records are lost, as the log says", all-told)})
	}
	for _, a := range c.parked {
		switch {
		case a.stored:
		case a.kind == Quarantined:
			c.quarantined++
		default:
			c.deferred++
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(c.reasons)) {
		c.notice(Fault{Seq: seq, What: fmt.Sprintf("not in the bucket, as the log says: %s: %s", c.parked[seq].kind, c.reasons[seq])})
	}
}
