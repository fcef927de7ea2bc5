//go:build unix

package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// noLocks is a disk on which everybody gets every lock.
type noLocks struct{ disk.FS }

func (noLocks) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func openUnlocked(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	fs, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return openOn(t, noLocks{fs}, spool.Options{SegmentBytes: 64 << 10})
}

// TestSecondOwner has another process open the spool while the first one goes on, on a file system whose locks do
// not hold: what the first one acks is there for the second one, and from then on it acks, releases and writes nothing.
func TestSecondOwner(t *testing.T) {
	dir := t.TempDir()
	first := openUnlocked(t, dir)
	acked := map[string]bool{}
	put := func(s *spool.Spool, key string) error {
		_, err := s.Append(t.Context(), rec("b", key, bytes.Repeat([]byte(key), 100)))
		if err == nil {
			acked[key] = true
		}
		return err
	}
	for i := range 300 { // over some segments
		if err := put(first, fmt.Sprint("before", i)); err != nil {
			t.Fatal(err)
		}
	}
	second := openUnlocked(t, dir)
	for i := range 300 {
		if err := put(second, fmt.Sprint("second", i)); err != nil {
			t.Fatal(err)
		}
		if err := put(first, fmt.Sprint("first", i)); !errors.Is(err, record.ErrClosed) || !strings.Contains(err.Error(), "another process") {
			t.Fatalf("the first owner: %v", err)
		}
	}
	if st := first.Stats(); st.WriteError == "" {
		t.Error("the first owner does not tell that it takes nothing any more")
	}
	if err := first.Release(t.Context(), 300); !errors.Is(err, record.ErrClosed) {
		t.Errorf("release by the first owner: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	for i := range 100 {
		if err := put(second, fmt.Sprint("after", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	third := openUnlocked(t, dir)
	for e, err := range third.Entries(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if !acked[e.Key] && !strings.HasPrefix(e.Key, "first") {
			t.Errorf("record %d, %s, was never acked, or is there twice", e.Seq, e.Key)
		}
		delete(acked, e.Key)
	}
	if len(acked) > 0 {
		t.Errorf("%d acked records are lost", len(acked))
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
}

// TestOwnerFileRemoved has somebody remove the file that tells of a second owner: nothing ends.
func TestOwnerFileRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openUnlocked(t, dir)
	for i := range 3 {
		if err := os.Remove(filepath.Join(dir, "owner")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), rec("b", fmt.Sprint(i), []byte("body"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
