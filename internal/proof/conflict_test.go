package proof

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// What happens to the checkpoint behind the log's back, while it runs and
// between two runs, and whether that is a repair or a fork.
func TestCheckpointBehindTheBack(t *testing.T) {
	old := func(b *bench) []byte { return b.st.objects[b.path(historyName(300))][0].data }
	for name, c := range map[string]struct {
		change func(b *bench)
		fork   string // "" is a repair
		says   string
	}{
		"deleted":      {func(b *bench) { b.st.remove(b.path("checkpoint")) }, "", "was gone"},
		"an older one": {func(b *bench) { b.st.put(b.path("checkpoint"), old(b)) }, "", "put back to that of size 300"},
		"deleted, and a tile": {func(b *bench) {
			b.st.remove(b.path("checkpoint"))
			b.st.remove(b.path("tile/0/000"))
		}, "older state", ""},
		"deleted, and a partial tile": {func(b *bench) {
			b.st.remove(b.path("checkpoint"))
			b.st.remove(b.path("tile/0/002.p/88"))
			b.st.remove(b.path("tile/entries/002.p/88"))
		}, "", "was gone"},
		"all deleted": {func(b *bench) {
			for _, k := range b.st.keys() {
				b.st.remove(k)
			}
		}, "right bucket", ""},
		"an older one of another tree": {func(b *bench) {
			c, err := Checkpoint{Log: "test-log", Size: 299}.sign(context.Background(), b.key)
			b.do(err)
			b.st.put(b.path("checkpoint"), c)
		}, "another tree", ""},
		"a newer one": {func(b *bench) {
			c, err := Checkpoint{Log: "test-log", Size: 5000}.sign(context.Background(), b.key)
			b.do(err)
			b.st.put(b.path("checkpoint"), c)
		}, "more than this data directory knows", ""},
		"a foreign one": {func(b *bench) {
			key, _ := GenerateKey("test-log")
			c, err := Checkpoint{Log: "test-log", Size: 600}.sign(context.Background(), key)
			b.do(err)
			b.st.put(b.path("checkpoint"), c)
		}, "our key", ""},
		"junk": {func(b *bench) { b.st.put(b.path("checkpoint"), []byte("hello")) }, "", "something that is none"},
	} {
		for _, running := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", running", false: ", between runs"}[running], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					var repairs []string
					b.opt.Events.Repaired = func(what string) { repairs = append(repairs, what) }
					l := b.open()
					b.add(l, 1, 300)
					b.do(l.checkpoint(t.Context(), true))
					b.add(l, 301, 600)
					b.do(l.Checkpoint(t.Context()))
					c.change(b)
					var err error
					if !running {
						l, err = b.tryOpen()
					}
					if err == nil {
						b.add(l, 601, 601)
						err = l.Checkpoint(t.Context())
					}
					if c.says == "" {
						if !errors.Is(err, ErrForked) || !strings.Contains(err.Error(), c.fork) || !strings.Contains(err.Error(), RescueCommand) {
							t.Fatalf("got %v", err)
						}
						return
					}
					b.do(err)
					if len(repairs) != 1 || !strings.Contains(repairs[0], c.says) {
						t.Errorf("repairs %q", repairs)
					}
					b.do(l.Checkpoint(t.Context())) // with the leaf of the repair
					if got := kinds(b.leaves()[600:]); got != "record 601, repair" && got != "repair, record 601" {
						t.Errorf("got %s", got)
					}
				})
			})
		}
	}
}

// An older checkpoint that a former key signed is one of our tree all the same.
func TestOlderCheckpointOfAFormerKey(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 300)
	b.do(l.Checkpoint(t.Context()))
	old := b.st.data(b.path("checkpoint"))
	next, _ := GenerateKey("test-log")
	b.do(l.Rotate(t.Context(), next))
	b.key = next
	b.st.put(b.path("checkpoint"), old)
	l = b.open()
	b.add(l, 301, 301)
	b.do(l.Checkpoint(t.Context()))
	if _, err := openCheckpoint(b.st.data(b.path("checkpoint")), "test-log", next.public); err != nil {
		t.Error(err)
	}
	b.leaves()
}

// A change of key beside no process is no crash, and a process that died
// before its first checkpoint is one.
func TestRecoveredIsTrue(t *testing.T) {
	t.Run("rotated offline", func(t *testing.T) {
		for _, lost := range []bool{false, true} {
			b := newBench(t)
			l := b.open()
			b.do(l.Start("p", "c", ""))
			b.add(l, 1, 3)
			b.do(l.Stop(t.Context()))
			l = b.open()
			next, _ := GenerateKey("test-log")
			b.do(l.Rotate(t.Context(), next))
			b.key = next
			if lost {
				b.d = tempDisk(t)
			}
			l = b.open()
			b.do(l.Start("p", "c", ""))
			b.do(l.Stop(t.Context()))
			if got, want := kinds(b.leaves()), "start, record 1, record 2, record 3, stop, key, start, stop"; got != want {
				t.Errorf("memory lost %v: got %s, want %s", lost, got, want)
			}
		}
	})
	t.Run("rotated offline after a crash", func(t *testing.T) {
		b := newBench(t)
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.add(l, 1, 3)
		b.do(l.Checkpoint(t.Context()))
		l = b.open()
		next, _ := GenerateKey("test-log")
		b.do(l.Rotate(t.Context(), next))
		b.key = next
		l = b.open()
		b.do(l.Start("p", "c", ""))
		b.do(l.Checkpoint(t.Context()))
		if got, want := kinds(b.leaves()), "start, record 1, record 2, record 3, key, recovered, start"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("killed before the first checkpoint", func(t *testing.T) {
		b := newBench(t)
		b.do(b.open().Start("p", "c", ""))
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.do(l.Checkpoint(t.Context()))
		if got, want := kinds(b.leaves()), "start, recovered, start"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("killed before the log was opened", func(t *testing.T) {
		b := newBench(t)
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.do(l.Stop(t.Context()))
		l = b.open()
		b.do(l.Start("p", "c", "the spool was not closed"))
		b.do(l.Checkpoint(t.Context()))
		if got, want := kinds(b.leaves()), "start, stop, recovered, start"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A process that is killed right after a repair leaves its leaf to the next one.
func TestRepairOutlivesAKill(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"the checkpoint was gone": func(b *bench) { b.st.remove(b.path("checkpoint")) },
		"junk as a bundle":        func(b *bench) { b.st.put(b.path("tile/entries/000"), []byte("squatted")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			l := b.open()
			b.add(l, 1, 3)
			b.do(l.Checkpoint(t.Context()))
			change(b)
			b.add(l, 4, 256)
			b.do(l.Checkpoint(t.Context()))
			l = b.open() // after a kill
			b.add(l, 250, 257)
			b.do(l.Checkpoint(t.Context()))
			if got := kinds(b.leaves()[256:]); got != "repair, record 257" {
				t.Errorf("%s: got %s", name, got)
			}
			b.verify(VerifyOptions{})
		})
	}
}

// Somebody takes the name of a checkpoint to be kept. Junk there holds nothing up; another
// tree of our key is a fork.
func TestForeignHistory(t *testing.T) {
	for _, fork := range []bool{false, true} {
		b := newBench(t)
		var failed []error
		b.opt.Events.Failed = func(err error) { failed = append(failed, err) }
		l := b.open()
		junk := []byte("squatted")
		if fork {
			var err error
			junk, err = Checkpoint{Log: "test-log", Size: 3}.sign(context.Background(), b.key)
			b.do(err)
		}
		b.st.put(b.path(historyName(3)), junk)
		b.add(l, 1, 3)
		err := l.Checkpoint(t.Context())
		if fork {
			b.checkFork("another tree", err)
			b.checkFork("once more", l.Checkpoint(t.Context()))
			continue
		}
		b.do(err)
		if _, foreign := errors.AsType[*ForeignObjectError](errors.Join(failed...)); !foreign || len(failed) != 1 {
			t.Errorf("told %v", failed)
		}
		b.add(l, 4, 4)
		b.do(l.Checkpoint(t.Context()))
		if b.st.newest(b.path(historyName(4))) == nil {
			t.Error("the next checkpoint was not kept")
		}
		if _, foreign := errors.AsType[*ForeignObjectError](errors.Join(failed...)); !foreign || len(failed) != 1 {
			t.Errorf("told %v", failed)
		}
	}
}
