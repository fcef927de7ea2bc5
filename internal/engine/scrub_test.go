package engine

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// A scrub finds what the destination lost after it had taken it, and what it found stays told although a
// later scrub meets nothing.
func TestScrub(t *testing.T) {
	b := newBucket(t)
	o := options(b, t.TempDir())
	o.Scrub = Scrub{Every: time.Hour, Sample: 100}
	e := openEngine(t, o)
	if s := e.Stats().Scrub; s == nil || !s.Ended.IsZero() || s.Faults != 0 {
		t.Fatalf("before the first one: %+v", s)
	}
	e.scrubber.scrub(t.Context())
	if s := e.Stats().Scrub; s.Problem == "" || !s.Ended.IsZero() {
		t.Fatalf("without a log: %+v", s)
	}
	end := start(t, e)
	defer end()
	add(t, e, "k", 1, 20)
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.scrubber.scrub(t.Context())
	s := e.Stats().Scrub
	if s.Problem != "" || s.Ended.IsZero() || s.Faults != 0 || s.Checked != 20 || s.Records != 20 {
		t.Fatalf("nothing is wrong: %+v", s)
	}
	var gone string
	for key := range b.records(t) {
		gone = key
	}
	name := filepath.Join(b.root, filepath.FromSlash(gone))
	if err := os.Rename(name, name+".gone"); err != nil {
		t.Fatal(err)
	}
	e.scrubber.scrub(t.Context())
	if s = e.Stats().Scrub; s.Faults != 1 || !strings.Contains(s.First, gone) {
		t.Fatalf("%s is gone: %+v", gone, s)
	}
	if err := os.Rename(name+".gone", name); err != nil {
		t.Fatal(err)
	}
	b.set(true)
	e.scrubber.scrub(t.Context())
	b.set(false)
	e.scrubber.scrub(t.Context())
	if s = e.Stats().Scrub; s.Faults != 1 || s.Problem != "" {
		t.Fatalf("what was found is not told any more: %+v", s)
	}
}

// expiring is a store in which the first look at a record meets a removal by policy.
type expiring struct {
	store.Store
	began  atomic.Bool
	expire func()
}

func (s *expiring) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if !strings.Contains(key, "_indelible/") && !s.began.Swap(true) {
		s.expire()
	}
	return s.Store.Get(ctx, key, o)
}

// What is removed by policy while a scrub looks is not told as lost.
func TestScrubWhileExpiring(t *testing.T) {
	b := newBucket(t)
	e := aged(t, b, t.TempDir(), 8)
	log, err := e.ledger.open(t.Context())
	if err == nil {
		err = log.Checkpoint(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	remove := b.Store.(*dir.Store).Remove
	e.dest.Remove = func(ctx context.Context, key string) error {
		removed++
		return remove(ctx, key)
	}
	e.dest.Store = &expiring{Store: e.dest.Store, expire: func() {
		if _, err := e.Expire(context.Background(), time.Millisecond, false, nil); err != nil {
			t.Error(err)
		}
	}}
	s := scrubber{engine: e, opts: Scrub{Every: time.Hour, Sample: 100}}
	s.scrub(t.Context())
	if st := s.snapshot(); removed == 0 || st.Faults != 0 || st.Problem != "" || st.Ended.IsZero() {
		t.Errorf("%d objects removed: %+v", removed, st)
	}
}

// Without being asked for there is none.
func TestNoScrub(t *testing.T) {
	if e := openEngine(t, options(newBucket(t), t.TempDir())); e.Stats().Scrub != nil {
		t.Fatal("a scrub that nobody asked for")
	}
}
