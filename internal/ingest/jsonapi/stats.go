package jsonapi

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/record"
)

// Events are called as things happen, on the goroutine that serves the
// request; nil ones are skipped.
type Events struct {
	// Acked is called after a record was acknowledged. took is from the first
	// look at the request's head to the ack, the same for all its records.
	Acked func(r record.Receipt, took time.Duration)
	// Refused is called before a request is refused, which its sender keeps.
	// reason is the code of the answer, one of a bounded set.
	Refused func(reason string)
}

// Stats is a snapshot of what a door has done since it was made.
type Stats struct {
	Requests uint64            // of every kind
	Acked    uint64            // records acknowledged, Resent included
	Resent   uint64            // of these, acknowledged by the receipt of an earlier copy
	Flagged  uint64            // of these, kept raw: null, or what does not parse
	Bytes    uint64            // of records acknowledged
	Refused  map[string]uint64 // requests that were not acknowledged, by the code of the answer
	Last     time.Time         // of the last ack; zero if there was none
}

type counters struct {
	requests, acked, resent, flagged, bytes atomic.Uint64
	last                                    atomic.Int64 // Unix nanoseconds; 0 is none

	mu      sync.Mutex
	refused map[string]uint64 // guarded by mu
}

// Stats returns the door's counters.
func (d *Door) Stats() Stats {
	c := &d.stats
	s := Stats{Requests: c.requests.Load(), Acked: c.acked.Load(), Resent: c.resent.Load(), Flagged: c.flagged.Load(), Bytes: c.bytes.Load()}
	if n := c.last.Load(); n != 0 {
		s.Last = time.Unix(0, n).UTC()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Refused = maps.Clone(c.refused)
	return s
}

func (c *counters) refuse(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = make(map[string]uint64)
	}
	c.refused[code]++
}

// acked counts the records of a request, and says how many were known.
func (d *Door) acked(elements []element, receipts []record.Receipt, took time.Duration) (resent int) {
	size, flagged := int64(0), 0
	for i, r := range receipts {
		size += r.Size
		if r.Resent {
			resent++
		}
		if elements[i].flag != "" {
			flagged++
		}
		if d.events.Acked != nil {
			d.events.Acked(r, took)
		}
	}
	if len(receipts) == 0 {
		return 0
	}
	d.stats.acked.Add(uint64(len(receipts)))
	d.stats.resent.Add(uint64(resent))
	d.stats.flagged.Add(uint64(flagged))
	d.stats.bytes.Add(uint64(size))
	d.stats.last.Store(time.Now().UnixNano())
	return resent
}

func itoa(n int) string { return strconv.Itoa(n) }
