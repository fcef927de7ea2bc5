package engine

import (
	"sync"

	"indelible/internal/record"
)

// gaps are the ranges that the disk lost while this process ran. It is safe for concurrent use.
type gaps struct {
	mu     sync.Mutex
	ranges []record.GapError // guarded by mu
}

func (g *gaps) add(gap record.GapError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := len(g.ranges) - 1; last >= 0 && g.ranges[last].Last+1 == gap.First && g.ranges[last].Cause == gap.Cause {
		g.ranges[last].Last = gap.Last
		return
	}
	g.ranges = append(g.ranges, gap)
}

// find is the gap in which seq lies, nil if there is none.
func (g *gaps) find(seq record.Seq) *record.GapError {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.ranges {
		if r.First <= seq && seq <= r.Last {
			return &r
		}
	}
	return nil
}
