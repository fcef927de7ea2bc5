package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// How far the log had come tells what a spool without its state has lost. Where the disk does not give
// that back at the moment, nothing is concluded: the spool is not opened, and not changed.
func TestUnreadableMemoryConcludesNothing(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, data)
	e := openEngine(t, o)
	end := start(t, e)
	add(t, e, "k", 0, 5)
	end()
	e = openEngine(t, o)
	add(t, e, "k", 5, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	state, memory := filepath.Join(data, SpoolDir, "state"), filepath.Join(data, "proof", "state")
	if err := errors.Join(os.Remove(state), os.Rename(memory, memory+".kept"), os.Mkdir(memory, 0o700)); err != nil { // to read a directory fails
		t.Fatal(err)
	}
	if e, err := Open(t.Context(), o); err == nil {
		_ = e.Close()
		t.Error("it opens")
	}
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the spool has a state: %v", err)
	}
	if err := errors.Join(os.Remove(memory), os.Rename(memory+".kept", memory)); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, o)
	end = start(t, e)
	end()
	if n := len(b.records(t)); n != 8 {
		t.Errorf("%d records in the bucket, want 8", n)
	}
}
