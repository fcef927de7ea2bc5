package jsonapi

import (
	"fmt"
	"hash/maphash"
	"iter"
	"strings"
	"sync"
	"time"

	"indelible/internal/record"
)

// Bounds of what arrivals remember.
const (
	rememberedEach = 64 << 10
	rememberedFor  = 24 * time.Hour
)

// arrivals remember when an element that says no time of its own came first, so
// that it gets the same key when it comes again: that is what makes it known.
// They remember at least the last 24 hours or 64 Ki such elements, whichever is
// less. Safe for concurrent use.
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
func (a *arrivals) first(id string, sum record.Digest, now time.Time) time.Time {
	var h maphash.Hash
	h.SetSeed(a.seed)
	_, _ = h.WriteString(inName.Replace(id)) // never fails
	_, _ = h.Write(sum[:])
	key := h.Sum64()

	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.young) >= rememberedEach || now.Sub(a.begun) > rememberedFor {
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

// nameForm is how a file name begins, before the id.
const nameForm = "time-15-04-05.000000_"

// Remember tells the door which records it took in this hour and the one before
// are still in the spool, so that one whose ack was lost with the last process
// is known when it comes again. keys yields the newest record of each key with
// a prefix, as the spool does. Call it before the door serves.
func (d *Door) Remember(now time.Time, keys func(prefix string) iter.Seq2[record.Info, error]) error {
	for _, at := range []time.Time{now.Add(-time.Hour), now} {
		prefix := door + at.UTC().Format("/2006-01-02/15/")
		n := 0
		for info, err := range keys(prefix) {
			if err != nil {
				return fmt.Errorf("remember records: %w", err)
			}
			if n++; n > rememberedEach/2 {
				break
			}
			name, ok := strings.CutSuffix(info.Key[len(prefix):], extension)
			if !ok || len(name) <= len(nameForm) {
				continue
			}
			stamp := []byte(name[:len(nameForm)])
			stamp[len("time-15-04-05")] = '.'
			first, err := time.Parse("2006-01-02/15/"+nameForm, info.Key[len(door)+1:len(prefix)]+string(stamp))
			if err == nil {
				d.arrivals.first(name[len(nameForm):], info.Digest, first)
			}
		}
	}
	return nil
}
