package jsonapi

import (
	"hash/maphash"
	"sync"
	"time"
)

// Bounds of what arrivals remember.
const (
	rememberedEach = 64 << 10
	rememberedFor  = 24 * time.Hour
)

// arrivals remember when an element that says no time of its own came first, so
// that it gets the same key when it comes again: that is what makes it known.
// They remember at least the last 24 hours or 64 Ki such elements, whichever is
// less, and nothing over a restart. Safe for concurrent use.
type arrivals struct {
	seed maphash.Seed

	mu    sync.Mutex
	begun time.Time        // of the younger half; guarded by mu
	young map[uint64]int64 // Unix nanoseconds by hash; guarded by mu
	old   map[uint64]int64 // guarded by mu
}

func newArrivals() *arrivals {
	return &arrivals{seed: maphash.MakeSeed(), young: map[uint64]int64{}}
}

// first is when the element came first; now if it is not remembered. Two
// elements that share a hash share a time, which does no harm: keys have ids.
func (a *arrivals) first(id string, raw []byte, now time.Time) time.Time {
	var h maphash.Hash
	h.SetSeed(a.seed)
	_, _ = h.WriteString(id) // never fails
	_ = h.WriteByte(0)
	_, _ = h.Write(raw)
	sum := h.Sum64()

	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.young) >= rememberedEach || now.Sub(a.begun) > rememberedFor {
		a.old, a.young, a.begun = a.young, map[uint64]int64{}, now
	}
	at, ok := a.young[sum]
	if !ok {
		if at, ok = a.old[sum]; !ok {
			at = now.UnixNano()
		}
		a.young[sum] = at
	}
	return time.Unix(0, at)
}
