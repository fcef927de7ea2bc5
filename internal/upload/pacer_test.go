package upload

import (
	"testing"
	"time"

	"indelible/internal/store"
)

func TestPacer(t *testing.T) {
	p := newPacer(64)
	if p.allowed() != paceStart {
		t.Fatalf("starts with %d", p.allowed())
	}
	for range 8 {
		p.succeeded(false)
	}
	if p.allowed() != 8 {
		t.Errorf("grew to %d though it was not saturated", p.allowed())
	}
	for range 8 {
		p.succeeded(true)
	}
	if p.allowed() != 9 {
		t.Errorf("after a window of successes %d, want 9", p.allowed())
	}
	for range 10000 {
		p.succeeded(true)
	}
	if p.allowed() != 64 {
		t.Errorf("grew to %d, want the cap", p.allowed())
	}
	burst := p.epoch
	for range 64 {
		p.throttled(burst)
	}
	if p.allowed() != 44 {
		t.Errorf("a burst that began together left %d, want one cut to 44", p.allowed())
	}
	for range 100 {
		p.throttled(p.epoch)
	}
	if p.allowed() != 1 {
		t.Errorf("the floor is %d, want 1", p.allowed())
	}
	if p := newPacer(2); p.allowed() != 2 {
		t.Errorf("starts above its cap: %d", p.allowed())
	}
}

func TestBackoff(t *testing.T) {
	const least, most = 100 * time.Millisecond, 30 * time.Second
	for _, tt := range []struct {
		n     int
		r     float64
		asked time.Duration
		want  time.Duration
	}{
		{1, 0, 0, 0},
		{1, 0.5, 0, 50 * time.Millisecond},
		{4, 0.5, 0, 400 * time.Millisecond},
		{9, 0.5, 0, 12800 * time.Millisecond},
		{10, 0.5, 0, 15 * time.Second},
		{1 << 40, 0.999, 0, 29970 * time.Millisecond},
		{1, 0.5, 7 * time.Second, 7 * time.Second},
		{1, 0.5, time.Hour, most},
	} {
		if got := backoff(tt.n, least, most, tt.asked, tt.r); got != tt.want {
			t.Errorf("backoff(%d, asked %v, r %v) = %v, want %v", tt.n, tt.asked, tt.r, got, tt.want)
		}
	}
}

func TestHealth(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := start
	h := newHealth(100*time.Millisecond, 30*time.Second, now)
	open := func() bool { ok, _ := h.may(now); return ok }

	if h.failed(store.Credentials, 0, true, now, 1) || h.down || h.state != OK {
		t.Error("a failure among successes is no outage")
	}
	for range downAfter - 1 {
		h.failed(store.Ambiguous, 0, false, now, 1)
	}
	if h.down || h.state != OK {
		t.Error("down too early")
	}
	if !h.failed(store.Ambiguous, 0, false, now, 0.999) || !h.down || h.state != Unreachable || h.since != now || open() {
		t.Errorf("not down after %d failures in a row: %+v", downAfter, h)
	}
	now = now.Add(100 * time.Millisecond)
	if !open() || !h.began(now, 0.999) || open() {
		t.Error("want one probe, and then none")
	}
	h.ended(true)
	if !h.failed(store.Credentials, 0, false, now, 0.5) || h.state != Credentials {
		t.Error("the outage did not change its kind")
	}
	if h.failed(store.Credentials, 0, false, now, 0.5) {
		t.Error("an alarm twice")
	}
	for range 100 { // the interval grows to the longest and no further
		_, at := h.may(now)
		if at.Sub(now) > 30*time.Second {
			t.Fatalf("the next probe is %v away", at.Sub(now))
		}
		now = at
		h.ended(h.began(now, 0.999))
		h.failed(store.Credentials, time.Hour, false, now, 0.999)
	}
	if !h.succeeded(now) || h.down || h.state != OK || h.since != now || h.succeeded(now) {
		t.Errorf("not back: %+v", h)
	}

	h.failed(store.Throttled, 5*time.Second, false, now, 0)
	if ok, at := h.may(now); ok || at.Sub(now) != 5*time.Second {
		t.Errorf("Retry-After is not honoured: %v", at.Sub(now))
	}
	if shownAt(&h, now) != Throttled || shownAt(&h, now.Add(calmAfter)) != OK {
		t.Error("throttled, and ok after a calm while")
	}
}

func shownAt(h *health, now time.Time) State {
	state, _ := h.at(now)
	return state
}
