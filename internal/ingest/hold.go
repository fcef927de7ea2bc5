package ingest

import (
	"context"
	"sync"
	"time"
)

// ErrHeld is the error of a context that ended because its request was held
// for as long as a sender waits. It is a context.DeadlineExceeded.
var ErrHeld error = heldError{}

type heldError struct{}

func (heldError) Error() string { return "held for as long as a sender waits" }

// Is implements errors.Is.
func (heldError) Is(target error) bool { return target == context.DeadlineExceeded }

// Hold is a context that ends with ErrHeld once a request was held for so
// long, not counting the time that reads of its body wait for the sender. It
// does not end with the client: a record that is whole is kept, also when
// nobody waits for the answer. It costs next to nothing while nobody waits for
// it. It is safe for concurrent use between Begin and the end of the request.
type Hold struct {
	body   *Body
	most   time.Duration
	start  time.Time
	before time.Duration // the body had waited so long at the start

	mu    sync.Mutex
	done  chan struct{} // made by the first call of Done; guarded by mu
	timer *time.Timer   // guarded by mu
	err   error         // guarded by mu
}

// Begin starts the clock of a zero Hold. The caller calls End.
func (h *Hold) Begin(b *Body, most time.Duration) {
	h.body, h.most, h.start, h.before = b, most, time.Now(), time.Duration(b.waited.Load())
}

// End ends the context; its error is context.Canceled from then on.
func (h *Hold) End() { h.finish(context.Canceled) }

// Deadline implements context.Context: when the time is over depends on the sender.
func (h *Hold) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (h *Hold) Value(any) any { return nil }

// Done implements context.Context.
func (h *Hold) Done() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		return h.done
	}
	h.done = make(chan struct{})
	if h.err != nil {
		close(h.done)
	} else {
		h.timer = time.AfterFunc(h.left(), h.expire)
	}
	return h.done
}

// Err implements context.Context.
func (h *Hold) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil && h.done == nil && h.left() <= 0 {
		h.err = ErrHeld
	}
	return h.err
}

// left is how much longer the request may be held.
func (h *Hold) left() time.Duration {
	now := time.Now()
	return h.most - (now.Sub(h.start) - (h.body.wait(now) - h.before))
}

// expire ends the context, unless the sender was waited for meanwhile.
func (h *Hold) expire() {
	h.mu.Lock()
	if left := h.left(); left > 0 && h.err == nil {
		h.timer.Reset(left)
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	h.finish(ErrHeld)
}

func (h *Hold) finish(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil && h.err != ErrHeld {
		return
	}
	first := h.err == nil
	if first {
		h.err = err
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	if first && h.done != nil {
		close(h.done)
	}
}
