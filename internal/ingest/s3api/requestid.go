package s3api

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"

	"indelible/internal/ingest"
)

// Stats returns what the door's meter counted.
func (d *Door) Stats() ingest.Stats { return d.meter.Stats() }

// requestIDs makes ids that differ within a process and, most likely, between processes.
type requestIDs struct {
	start uint64
	n     *atomic.Uint64
}

func newRequestIDs() requestIDs { return requestIDs{start: rand.Uint64(), n: new(atomic.Uint64)} }

// next is 16 upper-case hex digits, as S3's are.
func (i requestIDs) next() string {
	const spread = 0x9e3779b97f4a7c15 // odd: neighbours look different, none repeats
	const digits = "0123456789ABCDEF"
	n := i.start + spread*i.n.Add(1)
	var id [16]byte
	for at := len(id) - 1; at >= 0; at-- {
		id[at] = digits[n&15]
		n >>= 4
	}
	return string(id[:])
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
