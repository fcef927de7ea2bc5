package recorder

import (
	"context"
	"sync"
	"time"
)

// holds bounds how long appends wait for room. Appends that begin at about the same time share one bound: a timer for each of two
// records of a call takes longer than most of what else is done for them. The zero value is ready.
type holds struct {
	mu     sync.Mutex
	made   time.Time     // when newest was; guarded by mu
	hold   time.Duration // of newest; guarded by mu
	newest *bound        // guarded by mu
}

// begin is a context for what begins now. It ends after hold, or up to a sixty-fourth of that later.
func (h *holds) begin(hold time.Duration, now time.Time) context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	slack := hold / 64
	if h.newest == nil || h.hold != hold || now.Sub(h.made) > slack {
		b := &bound{at: now.Add(hold + slack), done: make(chan struct{})}
		time.AfterFunc(hold+slack, func() { close(b.done) })
		h.made, h.hold, h.newest = now, hold, b
	}
	return h.newest
}

// bound is a context that ends at a time.
type bound struct {
	at   time.Time
	done chan struct{}
}

// Deadline implements context.Context.
func (b *bound) Deadline() (time.Time, bool) { return b.at, true }

// Done implements context.Context.
func (b *bound) Done() <-chan struct{} { return b.done }

// Err implements context.Context.
func (b *bound) Err() error {
	select {
	case <-b.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Value implements context.Context.
func (b *bound) Value(any) any { return nil }
