package spool

import (
	"errors"
	"sync"

	"indelible/internal/disk"
)

// nameSync makes the names in a directory durable for many at once: all who wait
// while one sync runs share the next. The file system does syncs of one directory one after the other,
// so that on a slow disk a hundred long bodies would wait for a hundred. It is safe for concurrent use.
type nameSync struct {
	mu   sync.Mutex
	last *round // the newest that has begun to sync; guarded by mu
	next *round // whom callers join; nil if there is none; guarded by mu
}

type round struct {
	done chan struct{}
	err  error // of the sync; readable once done is closed
}

var errNoSync = errors.New("the sync of the directory was broken off")

// sync returns when every name is durable that was there when it was called, or with
// the error of the sync that should have made it so.
func (n *nameSync) sync(fs disk.FS, dir string) error {
	n.mu.Lock()
	r, before := n.next, n.last
	if r != nil {
		n.mu.Unlock()
		<-r.done
		return r.err
	}
	r = &round{done: make(chan struct{})}
	n.next = r
	n.mu.Unlock()
	if before != nil {
		<-before.done
	}
	n.mu.Lock()
	n.next, n.last = nil, r // whoever comes from here on may be too late for this sync
	n.mu.Unlock()
	r.err = errNoSync // for those who wait, should it never return
	defer close(r.done)
	r.err = fs.SyncDir(dir)
	return r.err
}
