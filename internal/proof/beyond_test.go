package proof

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"indelible/internal/record"
)

// checkFork wants the error of a fork, with the way out in it.
func (b *bench) checkFork(what string, err error) {
	b.t.Helper()
	if !errors.Is(err, ErrForked) || !strings.Contains(err.Error(), RescueCommand) {
		b.t.Errorf("%s: got %v", what, err)
	}
}

// An old copy of the data directory is told also where the bucket's checkpoint is gone, or is the
// one that the copy remembers: by the tiles of the log that went on, or by its history.
func TestOldCopyBehindTheTiles(t *testing.T) {
	for _, sizes := range [][2]int{{8, 309}, {8, 20}, {255, 256}, {256, 257}, {300, 302}} {
		for _, putBack := range []bool{false, true} {
			for _, gone := range []string{"nothing", "history/", "tile/"} {
				if gone == "tile/" && !putBack {
					continue // then the tiles of the copy are gone too
				}
				what := fmt.Sprintf("%d leaves of %d, put back %v, %s gone", sizes[0], sizes[1], putBack, gone)
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					l := b.open()
					b.add(l, 1, record.Seq(sizes[0]))
					b.do(l.Checkpoint(t.Context()))
					state, err := readFile(b.d, stateFile)
					b.do(err)
					old := b.st.data(b.path("checkpoint"))
					b.add(l, record.Seq(sizes[0]+1), record.Seq(sizes[1]))
					b.do(l.checkpoint(t.Context(), true))
					b.do(writeFile(b.d, stateFile, state))
					b.st.remove(b.path("checkpoint"))
					if putBack {
						b.st.put(b.path("checkpoint"), old)
					}
					for _, key := range b.st.keys() {
						if strings.HasPrefix(key, b.path(gone)) {
							b.st.remove(key)
						}
					}
					_, err = b.tryOpen()
					b.checkFork(what, err)
				})
			}
		}
	}
}

// The checkpoint is put back, or deleted, while the log is open in an old copy.
func TestOldCopyThatRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		l := b.open()
		b.add(l, 1, 8)
		b.do(l.Checkpoint(t.Context()))
		copied := b.open()
		b.add(l, 9, 309)
		b.do(l.Checkpoint(t.Context()))
		b.st.remove(b.path("checkpoint"))
		b.add(copied, 9, 9)
		b.checkFork("a copy that runs", copied.Checkpoint(t.Context()))
	})
}

// A data directory without its memory does not begin the tree again over its own.
func TestMemoryAndCheckpointGone(t *testing.T) {
	for _, size := range []int{1, 256, 302} {
		for _, gone := range []string{"nothing", "history/", "tile/"} {
			b := newBench(t)
			l := b.open()
			b.add(l, 1, record.Seq(size))
			b.do(l.checkpoint(t.Context(), true))
			b.do(b.d.Remove(stateFile))
			b.st.remove(b.path("checkpoint"))
			for _, key := range b.st.keys() {
				if strings.HasPrefix(key, b.path(gone)) {
					b.st.remove(key)
				}
			}
			_, err := b.tryOpen()
			b.checkFork(fmt.Sprintf("%d leaves, %s gone", size, gone), err)
		}
	}
}
