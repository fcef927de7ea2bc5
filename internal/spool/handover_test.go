package spool

import (
	"context"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
)

// TestHeirLeaves passes the writer's role to an append whose sender leaves
// before it takes the role, when the batch before has just failed: somebody must see to that.
func TestHeirLeaves(t *testing.T) {
	s, err := Open(crashdisk.New(), Options{Log: "test"})
	if err != nil {
		t.Fatal(err)
	}
	make1 := func() *waiter {
		return &waiter{header: entryHeader{kind: kindInline}, key: "k", done: make(chan struct{}), lead: make(chan struct{}, 1)}
	}
	heir, failed := make1(), make1()
	m := meta{door: "s3", key: "k"}
	failed.meta = m.append(nil)
	failed.header.metaLen = uint32(len(failed.meta))
	failed.taken = true
	s.mu.Lock()
	s.writing = true
	s.mu.Unlock()
	if !s.roll() {
		t.Fatal("no segment")
	}
	b := &batch{waiters: []*waiter{failed}, first: 1, buf: make([]byte, failed.header.size()), offs: []int{0}, at: dataStart, done: make(chan struct{})}
	s.mu.Lock()
	s.failed, s.next, s.queue = b, 2, []*waiter{heir}
	s.passOn()
	s.mu.Unlock()
	if err := s.abandon(heir); err != nil {
		t.Fatal(err)
	}
	select {
	case <-failed.done:
		if failed.err != nil {
			t.Error(failed.err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("an append hangs: nobody has the writer's role")
	}
	if seq, err := s.Wait(context.Background(), 0); seq != 1 || err != nil {
		t.Error(seq, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
