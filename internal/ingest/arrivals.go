package ingest

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"indelible/internal/record"
)

// Bounds of what Arrivals remember.
const (
	RememberedEach = 64 << 10
	rememberedFor  = 24 * time.Hour
)

// Arrivals remember when something that says no time of its own came first, so
// that it gets the same key when it comes again: that is what makes it known.
// They remember at least the last 24 hours or 64 Ki of them, whichever is
// less. Safe for concurrent use.
type Arrivals struct {
	seed maphash.Seed

	mu    sync.Mutex
	begun time.Time        // of the younger half; guarded by mu
	young map[uint64]int64 // Unix nanoseconds by hash; guarded by mu
	old   map[uint64]int64 // guarded by mu
}

// NewArrivals remembers nothing yet.
func NewArrivals() *Arrivals {
	return &Arrivals{seed: maphash.MakeSeed(), young: map[uint64]int64{}}
}

// First is when it came first; now if it is not remembered. Two
// that share a hash share a time, which does no harm: keys have ids.
func (a *Arrivals) First(id string, sum record.Digest, now time.Time) time.Time {
	var h maphash.Hash
	h.SetSeed(a.seed)
	_, _ = h.WriteString(inName.Replace(id)) // never fails
	_, _ = h.Write(sum[:])
	key := h.Sum64()

	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.young) >= RememberedEach || now.Sub(a.begun) > rememberedFor {
		a.old, a.young, a.begun = a.young, map[uint64]int64{}, now
	}
	at, ok := a.young[key]
	if !ok {
		if at, ok = a.old[key]; !ok {
			at = now.UnixNano()
		}
		a.young[key] = at
	}
	return time.Unix(0, at)
}

// inName makes an id what it is in a file name.
var inName = strings.NewReplacer("/", "_", ":", "_")
