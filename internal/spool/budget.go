package spool

import (
	"sync"
	"sync/atomic"
)

// bufferSizes are the steps in which the buffer of a body grows. The first is
// outside of the budget: without it nobody could be read from at all.
var bufferSizes = [...]int{8 << 10, 32 << 10, 128 << 10, 512 << 10, 2 << 20}

// budget bounds the memory of bodies on their way in. Safe for concurrent use.
type budget struct {
	left  atomic.Int64
	pools [len(bufferSizes)]sync.Pool // of *buffer
}

// buffer is memory of one of the sizes.
type buffer struct {
	b    []byte
	step int
}

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

// first is the buffer that every body gets.
func (b *budget) first() *buffer { return b.get(0) }

// grow returns a buffer of the next size with the first n bytes of buf, which it
// takes back; nil if the budget is used up or there is no such size.
func (b *budget) grow(buf *buffer, n int) *buffer {
	step := buf.step + 1
	if step == len(bufferSizes) {
		return nil
	}
	if b.left.Add(-int64(bufferSizes[step])) < 0 {
		b.left.Add(int64(bufferSizes[step]))
		return nil
	}
	next := b.get(step)
	copy(next.b, buf.b[:n])
	b.put(buf)
	return next
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
	if buf.step > 0 {
		b.left.Add(int64(bufferSizes[buf.step]))
	}
	b.pools[buf.step].Put(buf)
}

// forget takes back the bytes of a buffer that somebody may still read: the
// memory is left to the collector. Nil is allowed.
func (b *budget) forget(buf *buffer) {
	if buf != nil && buf.step > 0 {
		b.left.Add(int64(bufferSizes[buf.step]))
	}
}
