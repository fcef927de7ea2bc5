package proof

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
)

// Half a thousand objects at a store that refuses every seventh put: one call
// publishes, and the checkpoint comes after all that it refers to.
func TestCheckpointThroughThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opt.MaxPending = 1 << 20
		l := b.open()
		tiles := torture.RaceShare(250)
		for seq := range record.Seq(256 * tiles) { // and as many bundles
			b.do(l.Add(t.Context(), b.outcomeOf(seq+1, record.Stored)))
		}
		rng := rand.New(rand.NewPCG(1, 15))
		puts := 0
		b.st.hook = func(o store.Object) (bool, error) {
			puts++
			if strings.HasSuffix(o.Key, "/checkpoint") && len(b.st.objects) < 2*tiles {
				t.Errorf("the checkpoint came after %d objects", len(b.st.objects))
			}
			if rng.Float64() < 0.15 {
				return false, &store.Error{Op: "put", Key: o.Key, Class: store.Throttled, Status: 503, Code: "SlowDown", Err: errors.New("slow down")}
			}
			return true, nil
		}
		b.do(l.Checkpoint(t.Context()))
		objects := len(b.st.keys())
		if l.Stats().Size != uint64(256*tiles) || objects < 2*tiles || puts > 2*objects {
			t.Errorf("size %d after %d puts of %d objects", l.Stats().Size, puts, objects)
		}
		b.leaves()
	})
}

// An outage in the middle: the next call puts only what is missing, also of a tree that grew.
func TestCheckpointTakesUpWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		l := b.open()
		b.add(l, 1, 256*40)
		puts := map[string]int{}
		down := false
		b.st.hook = func(o store.Object) (bool, error) {
			if down = down || len(puts) == 50; down {
				return false, &store.Error{Op: "put", Key: o.Key, Class: store.Unreachable, Err: errors.New("refused")}
			}
			puts[o.Key]++
			return true, nil
		}
		if err := l.Checkpoint(t.Context()); store.ClassOf(err) != store.Unreachable {
			t.Fatalf("got %v", err)
		}
		hook := b.st.hook
		b.st.hook = nil
		b.add(l, 256*40+1, 256*40+10)
		b.st.hook = func(o store.Object) (bool, error) { down = false; return hook(o) }
		puts["none"] = 1 // past the fiftieth
		b.do(l.Checkpoint(t.Context()))
		for name, n := range puts {
			if n > 1 {
				t.Errorf("%s was put %d times", name, n)
			}
		}
		b.leaves()
	})
}

// Conflicts that pass are no fork.
func TestConflictsThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.add(l, 1, 3)
		b.do(l.Checkpoint(t.Context()))
		n, conflicts := 0, 4
		b.st.hook = func(o store.Object) (bool, error) {
			if strings.HasSuffix(o.Key, "/checkpoint") && n < conflicts {
				n++
				return false, &store.Error{Op: "put", Key: o.Key, Class: store.Exists, Status: 409, Code: "ConditionalRequestConflict", Err: errors.New("race")}
			}
			return true, nil
		}
		b.add(l, 4, 4)
		b.do(l.Checkpoint(t.Context()))
		conflicts = 1000 // for as long as it lasts
		b.add(l, 5, 5)
		if err := l.Checkpoint(t.Context()); err == nil || errors.Is(err, ErrForked) {
			t.Errorf("got %v", err)
		}
		b.st.hook = nil
		b.do(l.Checkpoint(t.Context()))
		b.leaves()
	})
}

// Somebody takes the name of a tile or bundle to come. What cannot be this log's
// is replaced, and a leaf says so; what could be another writer's stays.
func TestForeignObject(t *testing.T) {
	for name, c := range map[string]struct {
		object, content string
		replaced        bool
	}{
		"junk as a tile":            {"tile/0/000", "squatted", true},
		"junk as a bundle":          {"tile/entries/000", "squatted", true},
		"junk as a partial tile":    {"tile/0/001.p/44", strings.Repeat("x", 10), true},
		"a tile of other leaves":    {"tile/0/000", strings.Repeat("x", width*32), true},
		"what could be a next tile": {"tile/0/001.p/46", strings.Repeat("x", 46*32), false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			l := b.open()
			b.do(l.Start("p", "c", ""))
			b.add(l, 1, 3)
			b.do(l.Checkpoint(t.Context()))
			b.st.put(b.path(c.object), []byte(c.content))
			b.add(l, 4, 299)
			if c.object == "tile/0/001.p/46" {
				b.add(l, 300, 301)
			}
			err := l.Checkpoint(t.Context())
			if _, foreign := errors.AsType[*ForeignObjectError](err); !c.replaced {
				if !foreign || errors.Is(err, ErrForked) || !strings.Contains(err.Error(), c.object) {
					t.Fatalf("got %v", err)
				}
				b.st.remove(b.path(c.object)) // as the error says
				b.do(l.Checkpoint(t.Context()))
				b.leaves()
				return
			}
			b.do(err)
			b.do(l.Checkpoint(t.Context()))
			leaves := b.leaves()
			if last := leaves[len(leaves)-1]; last.Kind != Repair || !strings.Contains(last.Reason, c.object) {
				if c.object != "tile/0/001.p/44" { // of a size that was never published: nobody looks there
					t.Errorf("the last leaf is %+v", last)
				}
			}
			b.verify(VerifyOptions{})
		})
	}
}
