package faultdisk

import (
	"errors"
	"io"
)

// ErrKilled is what the calls of a process come to that was killed. No process
// ever sees it; what still runs in a test after a Kill does.
var ErrKilled = errors.New("faultdisk: the process was killed")

var killed = &Fault{Err: ErrKilled}

// late is the fault of a call that comes after a Kill: it changes nothing. Reads go on, so that
// nothing waits for them to work again that a test has to wait for.
func (d *Disk) late(c Call) *Fault {
	if c.Op.Mutates() || c.Op == Lock {
		return killed
	}
	return nil
}

// Kill ends the process that uses the disk, as kill -9 does, without a power cut: no
// call changes anything any more, and its locks are free. What it had written
// and not synced stays in the disk below, where the next process sees it, and is lost in
// a power cut as before. Give the next process a Disk of its own: Next.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill()
}

// kill is Kill. The caller holds d.mu.
func (d *Disk) kill() {
	if d.dead {
		return
	}
	d.dead = true
	for l := range d.locks {
		_ = l.under.Close() // the system closes it
	}
	d.locks = nil
}

// Next is the same disk for the next process: alive, with no rule and an empty trace, and
// as much room as there was.
func (d *Disk) Next() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := New(d.under, nil)
	next.full = d.full
	for name, n := range d.space {
		next.give(name, n)
	}
	return next
}

// lock is a lock that its process holds.
type lock struct {
	disk  *Disk
	under io.Closer
}

// hold notes a lock, which a process that was killed meanwhile does not get.
func (d *Disk) hold(c io.Closer) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		_ = c.Close()
		return nil, ErrKilled
	}
	l := &lock{d, c}
	if d.locks == nil {
		d.locks = map[*lock]bool{}
	}
	d.locks[l] = true
	return l, nil
}

// Close frees the lock, unless its process was killed: it is free then.
func (l *lock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if !l.disk.locks[l] {
		return nil
	}
	delete(l.disk.locks, l)
	return l.under.Close()
}
