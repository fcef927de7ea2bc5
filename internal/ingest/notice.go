package ingest

import (
	"sync"
	"time"
)

// maxNoted bounds how many subjects a notices remembers.
const maxNoted = 4096

// Notices spaces out log lines that a sender can cause: one a minute for each
// subject, which says how many it stands for. The zero value is ready. It is
// safe for concurrent use.
type Notices struct {
	mu    sync.Mutex
	since time.Time         // when the minute began; guarded by mu
	count map[string]uint64 // by subject, in this minute; guarded by mu
	last  map[string]uint64 // in the minute before; guarded by mu
}

// Note counts an event of subject. It reports whether the event is to be
// logged, and how many of the minute before were not.
func (n *Notices) Note(subject string) (log bool, missed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if age := now.Sub(n.since); age >= time.Minute {
		n.last = nil
		if age < 2*time.Minute {
			n.last = n.count
		}
		n.count, n.since = make(map[string]uint64), now
	}
	if _, known := n.count[subject]; !known && len(n.count) >= maxNoted {
		return false, 0
	}
	n.count[subject]++
	if n.count[subject] > 1 {
		return false, 0
	}
	return true, max(1, n.last[subject]) - 1
}
