package ingest

import (
	"context"
	"fmt"
	"sync"
)

// Memory bounds what the bodies of all requests take together, and those of
// one sender. It is safe for concurrent use.
//
// It has two lanes. A body begins in the small one and moves to the large one
// when it outgrows SmallBody, so that small bodies never wait for large ones.
type Memory struct{ small, large lane }

// SmallBody is how many bytes a request takes at most of the small lane.
const SmallBody = 256 << 10

// smallLane is what all bodies together take of the small lane.
const smallLane = 32 << 20

// NewMemory returns a Memory with so many bytes for large bodies, of which one
// sender gets at most perSender. One request at a time gets what it needs all
// the same: see lane.
func NewMemory(large, perSender int64) *Memory {
	m := new(Memory)
	m.small.init(smallLane, smallLane/4*3)
	m.large.init(large, perSender)
	return m
}

// Grant is the memory of one request. It belongs to the goroutine that serves
// the request; the zero Grant of a Memory has nothing.
type Grant struct {
	memory       *Memory
	sender       string
	small, large int64 // bytes taken
}

// Grant begins the memory of a request of a sender.
func (m *Memory) Grant(sender string) Grant { return Grant{memory: m, sender: sender} }

// Take waits until n more bytes are free, or ctx ends, whose cause is in the
// error. What the request has taken so far it keeps. Once it took from the
// large lane, it takes from there only.
func (g *Grant) Take(ctx context.Context, n int64) error {
	if g.large == 0 && g.small+n <= SmallBody {
		if err := g.memory.small.take(ctx, g, n); err != nil {
			return err
		}
		g.small += n
		return nil
	}
	if err := g.memory.large.take(ctx, g, n); err != nil {
		return err
	}
	g.large += n
	return nil
}

// Grow takes the memory of a buffer of next bytes and, once it has it, returns
// that of the buffer of held bytes that it replaces.
func (g *Grant) Grow(ctx context.Context, held, next int64) error {
	before := g.large
	if err := g.Take(ctx, next); err != nil {
		return err
	}
	if before > 0 {
		g.memory.large.give(g, held)
		g.large -= held
	} else {
		g.memory.small.give(g, held)
		g.small -= held
	}
	return nil
}

// Release returns everything.
func (g *Grant) Release() {
	if g.small > 0 {
		g.memory.small.leave(g, g.small)
	}
	if g.large > 0 {
		g.memory.large.leave(g, g.large)
	}
	g.small, g.large = 0, 0
}

// lane is a number of bytes that requests share. Who does not get any waits,
// in the order of arrival; only who waits for his sender's own share lets
// others pass.
//
// Requests that hold a part and wait for more could wait for each other. So
// one of them, the elder, gets what it asks for beyond the lane's bytes, until
// it leaves; then the next one in line is the elder.
type lane struct {
	total, share int64

	mu      sync.Mutex
	used    int64            // guarded by mu
	senders map[string]int64 // bytes used, by sender; guarded by mu
	waiting []*taker         // in the order of arrival; guarded by mu
	elder   *Grant           // guarded by mu
}

type taker struct {
	grant   *Grant
	n       int64
	granted chan struct{} // closed when it has its bytes
}

func (l *lane) init(total, share int64) {
	l.total, l.share, l.senders = total, share, make(map[string]int64)
}

func (l *lane) take(ctx context.Context, g *Grant, n int64) error {
	l.mu.Lock()
	if g == l.elder || len(l.waiting) == 0 && l.fits(g, n) {
		l.add(g, n)
		l.mu.Unlock()
		return nil
	}
	t := &taker{grant: g, n: n, granted: make(chan struct{})}
	l.waiting = append(l.waiting, t)
	l.serve()
	l.mu.Unlock()
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == t {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			l.serve() // who stood behind may fit
			return fmt.Errorf("wait for memory: %w", context.Cause(ctx))
		}
	}
	return nil // granted meanwhile
}

// give returns n bytes of a request that goes on.
func (l *lane) give(g *Grant, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(g, -n)
	l.serve()
}

// leave returns the last n bytes of a request.
func (l *lane) leave(g *Grant, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.elder == g {
		l.elder = nil
	}
	l.add(g, -n)
	l.serve()
}

// fits reports whether n bytes are free for a request. Callers hold mu.
func (l *lane) fits(g *Grant, n int64) bool {
	return l.used+n <= l.total && l.senders[g.sender]+n <= l.share
}

// add counts n bytes more of a request. Callers hold mu.
func (l *lane) add(g *Grant, n int64) {
	l.used += n
	if l.senders[g.sender] += n; l.senders[g.sender] == 0 {
		delete(l.senders, g.sender)
	}
}

// serve gives those who wait what is free. Callers hold mu.
func (l *lane) serve() {
	kept, full := l.waiting[:0], false
	for _, t := range l.waiting {
		switch {
		case !full && l.fits(t.grant, t.n) || t.grant == l.elder:
		case l.elder == nil:
			l.elder = t.grant
		default:
			full = full || l.used+t.n > l.total
			kept = append(kept, t)
			continue
		}
		l.add(t.grant, t.n)
		close(t.granted)
	}
	clear(l.waiting[len(kept):])
	l.waiting = kept
}
