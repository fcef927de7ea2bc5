package spool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/record"
	"indelible/internal/spool"
)

// A spool that was emptied under the running process, and went on in a new segment, does not
// take the records that are gone for released ones, where the log knows how far it had come.
func TestEmptiedSpoolNamesWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, spool.Options{})
	for i := range 30 {
		mustAppend(t, s, rec("", fmt.Sprint("k", i), []byte("x")))
	}
	if err := s.Release(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		if !file.IsDir() {
			if err := os.Remove(filepath.Join(dir, file.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for try := 0; ; try++ { // the segment that was prepared is gone, too
		if _, err := s.Append(t.Context(), rec("", "after", []byte("x"))); err == nil {
			break
		} else if try == 3 {
			t.Fatal(err)
		}
	}
	proven := record.Seq(20)
	for range 2 { // it is so the next time, too
		next := t.TempDir()
		if err := os.CopyFS(next, os.DirFS(dir)); err != nil { // what a kill leaves
			t.Fatal(err)
		}
		dir = next
		s = openDir(t, dir, spool.Options{ReleasedAtMost: &proven})
		var gaps []record.GapError
		var left []record.Seq
		for e, err := range s.Entries(t.Context(), 1) {
			if gap, ok := errors.AsType[*record.GapError](err); ok {
				gaps = append(gaps, *gap)
			} else if err != nil {
				t.Fatal(err)
			} else {
				left = append(left, e.Seq)
			}
		}
		if st := s.Stats(); len(gaps) != 1 || gaps[0].First != 21 || gaps[0].Last != 30 || len(left) != 1 || left[0] != 31 || st.GapRecords != 10 || st.Acked != 31 {
			t.Errorf("gaps %v, records %v, stats %+v", gaps, left, st)
		}
	}
}
