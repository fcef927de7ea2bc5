//go:build unix

package dir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/storetest"
)

// A pipe that somebody put in the place of an object, or of its attributes, holds nobody up, is no
// object, and does not keep the others from being listed.
func TestPipe(t *testing.T) {
	top := t.TempDir()
	s, err := OpenPath(top)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"a/body", "a/attributes", "a/other"} {
		storetest.MustPut(t, s, storetest.Object(key, ""))
	}
	pipe := func(name string) {
		t.Helper()
		name = filepath.Join(top, name)
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pipe("a/body")
	pipe("_indelible/.meta/a/attributes")
	pipe("a/new")
	for _, key := range []string{"a/body", "a/attributes", "a/new"} {
		if body, _, err := s.Get(t.Context(), key, store.GetOptions{}); err == nil {
			_ = body.Close()
			t.Errorf("get %s: no error", key)
		}
		if _, err := s.Put(t.Context(), storetest.Object(key, "")); err == nil {
			t.Errorf("put %s: no error", key)
		}
	}
	var listed []string
	for info, err := range s.List(t.Context(), store.ListOptions{Prefix: "a/o"}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, info.Key)
	}
	for name, err := range s.Names(t.Context(), store.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, name)
	}
	if len(listed) != 3 || listed[0] != "a/other" || listed[1] != "a/attributes" || listed[2] != "a/other" {
		t.Errorf("listed %v", listed)
	}
}
