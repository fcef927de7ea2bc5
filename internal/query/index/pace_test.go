package index

import (
	"testing"
	"time"
)

// Where nothing arrives the index does not rest; the more arrives, the longer it does.
func TestRest(t *testing.T) {
	const work = 50 * time.Millisecond
	for _, one := range []struct {
		arrived int
		over    time.Duration
		want    time.Duration
	}{
		{0, time.Second, 0}, {0, 0, 0}, {10, 0, 0}, {-1, time.Second, 0},
		{10, time.Second, work / 100}, {1000, time.Second, work}, {100, 100 * time.Millisecond, work}, {4000, time.Second, 4 * work},
		{8000, time.Second, 8 * work}, {1_000_000, time.Second, 8 * work},
	} {
		if got := restFor(work, one.arrived, one.over); got != one.want {
			t.Errorf("%d records in %v: it rests %v, want %v", one.arrived, one.over, got, one.want)
		}
	}
}

// A follower rests by what arrived since the last time, and a build that nobody waits beside does not.
func TestRestByTheLog(t *testing.T) {
	l := three()
	var p pace
	if err := p.rest(t.Context(), l); err != nil || !p.at.IsZero() {
		t.Errorf("without a beginning: %v, %+v", err, p)
	}
	p.begin(3)
	if err := p.rest(t.Context(), l); err != nil || p.newest != 3 {
		t.Errorf("%v, %+v", err, p)
	}
	l.append("k", "{}")
	if err := p.rest(t.Context(), l); err != nil || p.newest != 4 {
		t.Errorf("%v, %+v", err, p)
	}
}
