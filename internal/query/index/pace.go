package index

import (
	"context"
	"time"

	"indelible/internal/record"
)

// The index has the processor after everybody who acknowledges: the more records arrive, the longer it rests between two pieces of
// work. At calmRate records a second it rests as long as it works; where none arrive it does not rest.
const (
	calmRate = 1000
	mostRest = 8 // times the work, however many arrive
)

// pace says how long a follower rests. The zero pace never rests, until it has begun.
type pace struct {
	newest record.Seq // when it was measured last
	at     time.Time
	worked time.Time // since when it works
}

// begin begins to measure.
func (p *pace) begin(newest record.Seq) {
	now := time.Now()
	if p.at.IsZero() {
		p.newest, p.at = newest, now
	}
	p.worked = now
}

// rest rests as is due after the work since the last rest, or until ctx ends.
func (p *pace) rest(ctx context.Context, s Source) error {
	if p.at.IsZero() {
		return ctx.Err()
	}
	newest, err := s.Wait(ctx, 0) // it does not wait: there are records
	if err != nil {
		return err
	}
	now := time.Now()
	d := restFor(now.Sub(p.worked), int(newest-min(p.newest, newest)), now.Sub(p.at))
	p.newest, p.at = newest, now
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	p.worked = time.Now()
	return ctx.Err()
}

// restFor is how long to rest after some work, while so many records arrived in a time.
func restFor(work time.Duration, arrived int, over time.Duration) time.Duration {
	if arrived <= 0 || over <= 0 {
		return 0
	}
	rate := float64(arrived) / over.Seconds()
	return time.Duration(float64(work) * min(rate/calmRate, mostRest))
}
