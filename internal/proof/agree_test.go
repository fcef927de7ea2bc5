package proof

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"indelible/internal/store"
)

// damaged changes the bytes of the first answers about each object after arm, each answer in
// another way, and, while noCheckpoint is set, takes no checkpoint.
type damaged struct {
	store.Store
	noCheckpoint bool

	mu      sync.Mutex
	seen    map[string]int // nil: nothing is changed; guarded by mu
	changed int            // guarded by mu
}

func (s *damaged) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = map[string]int{}
}

func (s *damaged) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := s.Store.Get(ctx, key, o)
	most := 1
	if strings.HasSuffix(key, "/checkpoint") {
		most = 2
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.seen == nil || s.seen[key] == most {
		return body, info, err
	}
	s.seen[key]++
	s.changed++
	b, err := io.ReadAll(body)
	for i := range b {
		b[i] ^= byte(s.seen[key])
	}
	return io.NopCloser(bytes.NewReader(b)), info, errors.Join(err, body.Close())
}

func (s *damaged) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if s.noCheckpoint && strings.HasSuffix(o.Key, "/checkpoint") {
		return store.Info{}, &store.Error{Op: "put", Class: store.Credentials, Err: errors.New("refused")}
	}
	return s.Store.Put(ctx, o)
}

// Answers that were changed on their way, two of the checkpoint and one of each tile, make no fork,
// which would be final, and no repair that nothing was in need of.
func TestDamagedAnswersAreNoFork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		st := &damaged{Store: b.st}
		patiently := func(do func() error) {
			t.Helper()
			err := do()
			for n := 0; n < 5 && err != nil && !errors.Is(err, ErrForked); n++ {
				err = do()
			}
			b.do(err)
		}
		var l *Log
		open := func() (err error) {
			l, err = Open(t.Context(), st, b.key, Options{Disk: b.d, Base: testBase, Events: Events{Repaired: func(what string) { t.Errorf("repaired: %s", what) }}})
			return err
		}
		b.do(open())
		b.add(l, 1, 3)
		b.do(l.Checkpoint(t.Context()))
		b.add(l, 4, 6)
		st.noCheckpoint = true
		if err := l.Checkpoint(t.Context()); err == nil { // its tiles are there
			t.Fatal("a checkpoint that was refused")
		}
		st.noCheckpoint = false
		st.arm()
		patiently(open) // as after a crash
		st.arm()
		patiently(func() error { return l.Checkpoint(t.Context()) })
		if st.changed < 4 {
			t.Errorf("%d answers were changed", st.changed)
		}
		b.leaves()
		b.clean()
	})
}
