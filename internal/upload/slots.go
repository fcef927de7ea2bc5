package upload

import (
	"container/heap"
	"time"

	"indelible/internal/record"
)

// slot is a record under way. It belongs to the delivery's goroutine, and
// while an attempt runs to that.
type slot struct {
	entry   record.Entry
	stored  string     // the plain stored key
	target  string     // the name to try: stored, or a variant of it
	variant bool       // the plain key was taken by other bytes
	search  twinSearch // for a twin among the variants
	parked  bool       // it was parked before, and comes from there
	unread  bool       // of the entry nothing but the Seq is known: it could not be read

	readFailed bool // it waits for the disk: its entry or body could not be read at the last try

	mayExist bool // look before the next put
	tried    bool // a put of target was made: what Head tells of it can be trusted
	doubt    bool // other bytes were read back under target: only its bytes tell what it is
	check    bool // it was stored, and is looked at once more before that counts
	spoiled  int  // puts of which other bytes were read back
	refusals int  // of a pack: answers that the store does not take it
	attempts int
	strikes  int // failures while others were stored, in thirds
	cuts     int // of those, attempts that ran out of time
	began    time.Time
	stores   uint64      // health.successes when the attempt began
	seen     uint64      // health.successes at the last strike
	seenRead uint64      // of a failed read: what strikeUnread saw at the last
	epoch    uint64      // pacer's, when the attempt began
	full     bool        // the pacer was saturated when it began
	probe    bool        // it probes a destination that is down
	due      time.Time   // not before that
	pack     *packFile   // it is a pack: entry has its key, its size and its digest
	beside   *besideItem // it is the body of a row to come
	next     *slot       // the later record under the same stored key, which waits for this one
}

// cost is the memory that a body in flight takes at most.
func (s *slot) cost() int64 { return min(s.entry.Size, 1<<20) }

// readyQueue yields the record with the lowest seq first.
type readyQueue []*slot

func (q readyQueue) Len() int           { return len(q) }
func (q readyQueue) Less(i, j int) bool { return q[i].entry.Seq < q[j].entry.Seq }
func (q readyQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *readyQueue) Push(x any)        { *q = append(*q, x.(*slot)) }
func (q *readyQueue) Pop() any          { return popLast((*[]*slot)(q)) }

// last is the index of the record with the highest seq.
func (q readyQueue) last() int {
	last := 0
	for i := range q {
		if q.Less(last, i) {
			last = i
		}
	}
	return last
}

// waitQueue yields the record that is due first.
type waitQueue []*slot

func (q waitQueue) Len() int           { return len(q) }
func (q waitQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q waitQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *waitQueue) Push(x any)        { *q = append(*q, x.(*slot)) }
func (q *waitQueue) Pop() any          { return popLast((*[]*slot)(q)) }

func popLast(q *[]*slot) *slot {
	n := len(*q) - 1
	s := (*q)[n]
	(*q)[n] = nil
	*q = (*q)[:n]
	return s
}

// slots are the records under way that no attempt has in hand.
type slots struct {
	fresh   readyQueue       // ready, and never tried
	retries readyQueue       // ready for another try
	waiting waitQueue        // not due yet
	unread  waitQueue        // of which no more than the Seq could be read
	tails   map[string]*slot // by stored key: the last record under way that has it
	count   int              // records under way, those in attempts included
}

// add takes a record in. It is ready at once, or when the earlier records
// under its stored key are through.
func (q *slots) add(s *slot) {
	q.count++
	tail := q.tails[s.stored]
	q.tails[s.stored] = s
	if tail != nil {
		tail.next = s
		return
	}
	heap.Push(&q.fresh, s)
}

// done lets a record go and wakes the next under its stored key.
func (q *slots) done(s *slot) {
	q.count--
	if s.next == nil {
		if q.tails[s.stored] == s {
			delete(q.tails, s.stored)
		}
		return
	}
	s.next.mayExist = true // the plain key is taken: no need to send the body to find out
	heap.Push(&q.fresh, s.next)
	s.next = nil
}

// delay puts a record back until it is due.
func (q *slots) delay(s *slot, due time.Time) {
	s.due = due
	heap.Push(&q.waiting, s)
}

// wakeDue makes those ready that are due.
func (q *slots) wakeDue(now time.Time) {
	for len(q.waiting) > 0 && !q.waiting[0].due.After(now) {
		heap.Push(&q.retries, heap.Pop(&q.waiting).(*slot))
	}
}

// top is the queue whose first record is next: the one with the lowest seq, or
// with untried one that was never tried, if there is any. Nil: none is ready.
func (q *slots) top(untried bool) *readyQueue {
	switch {
	case len(q.fresh) == 0 && len(q.retries) == 0:
		return nil
	case len(q.retries) == 0 || untried && len(q.fresh) > 0:
		return &q.fresh
	case len(q.fresh) == 0 || q.retries[0].entry.Seq < q.fresh[0].entry.Seq:
		return &q.retries
	}
	return &q.fresh
}
