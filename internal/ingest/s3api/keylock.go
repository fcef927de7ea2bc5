package s3api

import (
	"context"
	"sync"
)

// keyLocks serialises the writers of one key: a conditional PUT excludes all
// others between its check and its commit, and unconditional ones do not exclude
// each other. The zero keyLocks is ready.
type keyLocks struct {
	mu   sync.Mutex
	keys map[objectName]keyLock // guarded by mu; a key is there while it is held
}

type objectName struct{ bucket, key string }

// keyLock is guarded by keyLocks.mu.
type keyLock struct {
	shared    int
	exclusive bool
	freed     chan struct{} // closed and replaced when the lock may be free; nil if nobody waits
}

// writeLock is one writer's hold on a key.
type writeLock struct {
	locks     *keyLocks
	key       objectName
	exclusive bool
	held      bool
}

// acquire waits until no other writer stands against this one, or ctx ends.
func (w *writeLock) acquire(ctx context.Context) error {
	for {
		wait := w.try()
		if wait == nil {
			w.held = true
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// try takes the lock and returns nil, or returns what to wait for.
func (w *writeLock) try() <-chan struct{} {
	w.locks.mu.Lock()
	defer w.locks.mu.Unlock()
	l := w.locks.keys[w.key]
	if l.exclusive || w.exclusive && l.shared > 0 {
		if l.freed == nil {
			l.freed = make(chan struct{})
			w.locks.keys[w.key] = l
		}
		return l.freed
	}
	if w.exclusive {
		l.exclusive = true
	} else {
		l.shared++
	}
	if w.locks.keys == nil {
		w.locks.keys = make(map[objectName]keyLock)
	}
	w.locks.keys[w.key] = l
	return nil
}

// release gives the lock back; it does nothing if it is not held.
func (w *writeLock) release() {
	if !w.held {
		return
	}
	w.held = false
	w.locks.mu.Lock()
	defer w.locks.mu.Unlock()
	l := w.locks.keys[w.key]
	if w.exclusive {
		l.exclusive = false
	} else {
		l.shared--
	}
	if l.exclusive || l.shared > 0 {
		w.locks.keys[w.key] = l
		return
	}
	if l.freed != nil {
		close(l.freed)
	}
	delete(w.locks.keys, w.key)
}
