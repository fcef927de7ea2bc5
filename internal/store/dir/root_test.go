package dir_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
)

func openPath(t *testing.T, path string) *dir.Store {
	t.Helper()
	s, err := dir.OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreAtPath(t *testing.T) {
	storetest.Run(t, storetest.Options{}, func(t *testing.T) store.Store { return openPath(t, t.TempDir()) })
}

// A store that was renamed, or over which a volume was mounted, confirms
// nothing until it is back, or another store is in its place.
func TestStoreIsReplaced(t *testing.T) {
	refuses := func(t *testing.T, s *dir.Store) {
		t.Helper()
		_, err := s.Put(t.Context(), storetest.Object("b", "x"))
		if _, ok := errors.AsType[*dir.ReplacedError](err); !ok || store.ClassOf(err) != store.Configuration {
			t.Errorf("put: %v", err)
		}
		if _, err := s.Head(t.Context(), "a", store.GetOptions{}); store.ClassOf(err) != store.Configuration {
			t.Errorf("head: %v", err)
		}
		if _, _, err := s.Get(t.Context(), "a", store.GetOptions{}); store.ClassOf(err) != store.Configuration {
			t.Errorf("get: %v", err)
		}
		for _, err := range s.List(t.Context(), store.ListOptions{}) {
			if store.ClassOf(err) != store.Configuration {
				t.Errorf("list: %v", err)
			}
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(t.TempDir(), "store")
	s := openPath(t, root)
	storetest.MustPut(t, s, storetest.Object("a", "x"))
	do(os.Rename(root, root+".away"))
	refuses(t, s)
	if _, err := os.Stat(root); err == nil {
		t.Error("the directory was made again")
	}
	do(os.Mkdir(root, 0o700)) // as the empty mount point of a volume that went away
	refuses(t, s)
	do(os.Remove(root))
	do(os.Rename(root+".away", root))
	storetest.MustPut(t, s, storetest.Object("b", "y"))

	// A copy of the store is put in its place.
	do(os.Rename(root, root+".away"))
	do(os.CopyFS(root, os.DirFS(root+".away")))
	if _, err := s.Put(t.Context(), storetest.Object("c", "z")); store.ClassOf(err) != store.Ambiguous {
		t.Errorf("into the copy: %v", err)
	}
	storetest.MustPut(t, s, storetest.Object("c", "z"))
	if _, err := os.Stat(filepath.Join(root, "c")); err != nil {
		t.Error(err)
	}
	if got, _, err := storetest.Read(t, s, "b", store.GetOptions{}); err != nil || got != "y" {
		t.Errorf("%q, %v", got, err)
	}
}

// hookedBody does something when its end is read.
type hookedBody struct {
	*strings.Reader
	hook func()
}

func (b *hookedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.hook != nil {
		hook := b.hook
		b.hook = nil
		hook()
	}
	return n, err
}

// The directory is replaced while a put writes, and another put opens the one that is there now.
func TestPutAcrossAReplacement(t *testing.T) {
	base := t.TempDir()
	root, fresh := filepath.Join(base, "store"), filepath.Join(base, "copy")
	s := openPath(t, root)
	storetest.MustPut(t, s, storetest.Object("a", "x"))
	if err := os.CopyFS(fresh, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	o := storetest.Object("b", "y")
	o.Body = &hookedBody{Reader: strings.NewReader("y"), hook: func() {
		if err := errors.Join(os.Rename(root, root+".away"), os.Rename(fresh, root)); err != nil {
			t.Error(err)
		}
		if _, err := s.Put(t.Context(), storetest.Object("c", "z")); store.ClassOf(err) != store.Ambiguous {
			t.Errorf("the other put: %v", err)
		}
	}}
	if _, err := s.Put(t.Context(), o); store.ClassOf(err) != store.Ambiguous {
		t.Errorf("put: %v", err)
	}
	storetest.MustPut(t, s, storetest.Object("b", "y"))
}
