package spool

import (
	"context"
	"slices"
	"sync"
	"time"
)

// bufferSizes are the steps in which the buffer of a body grows. The first is
// outside of the budget: without it nobody could be read from at all.
var bufferSizes = [...]int{8 << 10, 32 << 10, 128 << 10, 512 << 10, 2 << 20}

// waitForMemory is how long a body that needs a larger buffer waits for one: a
// file of its own costs two syncs, and memory comes back with each fsync.
const waitForMemory = time.Second

// budget bounds the memory of bodies on their way in. It is safe for concurrent use.
type budget struct {
	pools [len(bufferSizes)]sync.Pool // of *buffer

	mu      sync.Mutex
	left    int64           // guarded by mu
	waiting []*memoryWaiter // in their order; guarded by mu
}

// memoryWaiter is a body that waits for a larger buffer.
type memoryWaiter struct {
	bytes   int64
	granted chan struct{} // closed when the bytes are its own
}

// buffer is memory of one of the sizes.
type buffer struct {
	b    []byte
	step int
}

func newBudget(bytes int64) *budget { return &budget{left: bytes} }

// first is the buffer that a body begins with: where its size is known and not
// large, one that holds it all.
func (b *budget) first(size int64) *buffer {
	step := 0
	for step < 2 && size > int64(bufferSizes[step]) {
		step++
	}
	if step > 0 && !b.take(step) {
		step = 0
	}
	return b.get(step)
}

// grow returns a buffer of the next size with the first n bytes of buf, which it
// takes back; nil if there is no such size, or no memory for it in time.
func (b *budget) grow(ctx context.Context, buf *buffer, n int) *buffer {
	step := buf.step + 1
	if step == len(bufferSizes) || !b.wait(ctx, step) {
		return nil
	}
	next := b.get(step)
	copy(next.b, buf.b[:n])
	b.put(buf)
	return next
}

// take takes the memory of one buffer if it is there and nobody waits for it.
func (b *budget) take(step int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || b.left < int64(bufferSizes[step]) {
		return false
	}
	b.left -= int64(bufferSizes[step])
	return true
}

// wait takes the memory of one buffer, waiting for its turn for a while.
func (b *budget) wait(ctx context.Context, step int) bool {
	if b.take(step) {
		return true
	}
	b.mu.Lock()
	w := &memoryWaiter{bytes: int64(bufferSizes[step]), granted: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.grant()
	b.mu.Unlock()
	timer := time.NewTimer(waitForMemory)
	defer timer.Stop()
	select {
	case <-w.granted:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted:
		return true
	default:
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(o *memoryWaiter) bool { return o == w })
	b.grant()
	return false
}

// grant gives memory to those who wait, in their order. The caller holds b.mu.
func (b *budget) grant() {
	for len(b.waiting) > 0 && b.left >= b.waiting[0].bytes {
		b.left -= b.waiting[0].bytes
		close(b.waiting[0].granted)
		b.waiting = b.waiting[1:]
	}
}

func (b *budget) get(step int) *buffer {
	if buf, ok := b.pools[step].Get().(*buffer); ok {
		return buf
	}
	return &buffer{b: make([]byte, bufferSizes[step]), step: step}
}

// put takes a buffer back. Nil is allowed.
func (b *budget) put(buf *buffer) {
	if buf == nil {
		return
	}
	b.forget(buf)
	b.pools[buf.step].Put(buf)
}

// forget takes back the bytes of a buffer that somebody may still read: the
// memory is left to the collector. Nil is allowed.
func (b *budget) forget(buf *buffer) {
	if buf == nil || buf.step == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += int64(bufferSizes[buf.step])
	b.grant()
}
