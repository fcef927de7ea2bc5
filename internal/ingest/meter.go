package ingest

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/record"
)

// Meter counts what one door does. The zero value counts; set Acked and
// Refused before the first use. It is safe for concurrent use.
type Meter struct {
	// Acked, where it is set, is called after a record was acknowledged, on the
	// goroutine that serves the request. took is from the first look at the
	// request's head to the ack, the same for all records of a request.
	Acked func(r record.Receipt, took time.Duration)
	// Refused, where it is set, is called before a record is refused, which its
	// sender keeps. reason is the code of the answer, one of a bounded set.
	Refused func(reason string)

	requests, acked, resent, flagged, dropped, bytes atomic.Uint64
	last                                             atomic.Int64 // Unix nanoseconds; 0 is none

	mu      sync.Mutex
	refused map[string]uint64 // guarded by mu
}

// Stats is a snapshot of what a door has done since it was made.
type Stats struct {
	Requests uint64            // of every kind
	Acked    uint64            // records acknowledged, Resent included
	Resent   uint64            // of these, acknowledged by the receipt of an earlier copy
	Flagged  uint64            // of these, kept as they are although they are no JSON that every parser reads
	Dropped  uint64            // what came and was no record's, as the configuration says
	Bytes    uint64            // of records acknowledged
	Refused  map[string]uint64 // what was not acknowledged, by the code of the answer
	Last     time.Time         // of the last ack; zero if there was none
}

// Stats returns the counts.
func (m *Meter) Stats() Stats {
	s := Stats{Requests: m.requests.Load(), Acked: m.acked.Load(), Resent: m.resent.Load(), Flagged: m.flagged.Load(), Dropped: m.dropped.Load(), Bytes: m.bytes.Load()}
	if n := m.last.Load(); n != 0 {
		s.Last = time.Unix(0, n).UTC()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Refused = maps.Clone(m.refused)
	return s
}

// Request counts a request.
func (m *Meter) Request() { m.requests.Add(1) }

// Ack counts one acknowledged record.
func (m *Meter) Ack(r record.Receipt, took time.Duration) {
	m.acked.Add(1)
	m.bytes.Add(uint64(r.Size))
	if r.Resent {
		m.resent.Add(1)
	}
	m.last.Store(time.Now().UnixNano())
	if m.Acked != nil {
		m.Acked(r, took)
	}
}

// Flag counts records, among the acknowledged ones, that were flagged.
func (m *Meter) Flag(n int) { m.flagged.Add(uint64(n)) }

// Drop counts what came and is not to be recorded.
func (m *Meter) Drop(n uint64) { m.dropped.Add(n) }

// Refuse counts what was not acknowledged.
func (m *Meter) Refuse(code string) {
	m.mu.Lock()
	if m.refused == nil {
		m.refused = make(map[string]uint64)
	}
	m.refused[code]++
	m.mu.Unlock()
	if m.Refused != nil {
		m.Refused(code)
	}
}
