package s3api

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/record"
)

// Events are called as things happen, on the goroutine that serves the
// request; nil ones are skipped.
type Events struct {
	// Acked is called after a record was acknowledged. took is from the first
	// look at the request's head to the ack.
	Acked func(r record.Receipt, took time.Duration)
	// Refused is called before a record is refused, which its sender keeps.
	// reason is an S3 error code, one of a bounded set.
	Refused func(reason string)
}

// Stats is a snapshot of what a door has done since it was made.
type Stats struct {
	Requests uint64            // of every kind
	Acked    uint64            // records acknowledged, Resent included
	Resent   uint64            // of these, acknowledged by the receipt of an earlier copy
	Bytes    uint64            // of bodies acknowledged
	Refused  map[string]uint64 // records that were not acknowledged, by S3 error code
	Last     time.Time         // of the last ack; zero if there was none
}

type counters struct {
	requests, acked, resent, bytes atomic.Uint64
	last                           atomic.Int64 // Unix nanoseconds; 0 is none

	mu      sync.Mutex
	refused map[string]uint64 // guarded by mu
}

// Stats returns the door's counters.
func (d *Door) Stats() Stats {
	c := &d.stats
	s := Stats{Requests: c.requests.Load(), Acked: c.acked.Load(), Resent: c.resent.Load(), Bytes: c.bytes.Load()}
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

func (d *Door) acked(r record.Receipt, took time.Duration) {
	d.stats.acked.Add(1)
	d.stats.bytes.Add(uint64(r.Size))
	if r.Resent {
		d.stats.resent.Add(1)
	}
	d.stats.last.Store(time.Now().UnixNano())
	if d.events.Acked != nil {
		d.events.Acked(r, took)
	}
}

// requestIDs makes ids that differ within a process and, most likely, between processes.
type requestIDs struct {
	start uint64
	n     *atomic.Uint64
}

func newRequestIDs() requestIDs { return requestIDs{start: rand.Uint64(), n: new(atomic.Uint64)} }

// next is 16 upper-case hex digits, as S3's are.
func (i requestIDs) next() string {
	const spread = 0x9e3779b97f4a7c15 // odd: neighbours look different, none repeats
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], i.start+spread*i.n.Add(1))
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
