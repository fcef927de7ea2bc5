package dir_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
)

// folding takes names for one that differ in nothing but the case of their letters, and, as some
// of its kind do, shows them in small letters.
type folding struct{ disk.FS }

func (f folding) Create(name string) (disk.File, error) { return f.FS.Create(strings.ToLower(name)) }
func (f folding) Open(name string) (disk.File, error)   { return f.FS.Open(strings.ToLower(name)) }
func (f folding) OpenWrite(name string) (disk.File, error) {
	return f.FS.OpenWrite(strings.ToLower(name))
}
func (f folding) Remove(name string) error   { return f.FS.Remove(strings.ToLower(name)) }
func (f folding) MkdirAll(name string) error { return f.FS.MkdirAll(strings.ToLower(name)) }
func (f folding) SyncDir(name string) error  { return f.FS.SyncDir(strings.ToLower(name)) }
func (f folding) ReadDir(name string) ([]fs.DirEntry, error) {
	return f.FS.ReadDir(strings.ToLower(name))
}
func (f folding) Rename(oldname, newname string) error {
	return f.FS.Rename(strings.ToLower(oldname), strings.ToLower(newname))
}
func (f folding) Link(oldname, newname string) error {
	return f.FS.Link(strings.ToLower(oldname), strings.ToLower(newname))
}

func openFolding(t *testing.T, root string) *dir.Store {
	t.Helper()
	fsys, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	return dir.Open(folding{fsys})
}

func TestStoreOnAFoldingFileSystem(t *testing.T) {
	storetest.Run(t, storetest.Options{}, func(t *testing.T) store.Store { return openFolding(t, t.TempDir()) })
}

// Keys that such a file system takes for one are objects of their own, also for those who open
// the store later, and in a copy on a file system that tells them apart.
func TestKeysThatDifferInCase(t *testing.T) {
	root := t.TempDir()
	s := openFolding(t, root)
	keys := []string{"A/X.json", "A/x.json", "a/X.json", "a/x.json", "e\u0301.json", "\u00c9.json", "\u00e9.json"}
	for _, key := range keys {
		storetest.MustPut(t, s, storetest.Object(key, "of "+key))
	}
	for name, s := range map[string]*dir.Store{"the same": s, "opened again": openFolding(t, root), "elsewhere": open(t, root)} {
		for _, key := range keys {
			if got, err := readAll(t.Context(), s, key); err != nil || got != "of "+key {
				t.Errorf("%s: %q holds %q, %v", name, key, got, err)
			}
		}
		var listed []string
		for info, err := range s.List(t.Context(), store.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, info.Key)
		}
		if !slices.Equal(listed, keys) {
			t.Errorf("%s: the list is %q", name, listed)
		}
		if ambiguous, err := s.Ambiguous(); ambiguous || err != nil {
			t.Errorf("%s: ambiguous: %v, %v", name, ambiguous, err)
		}
	}
}

// A store that began elsewhere keeps its names: what lies there is found, and doctor is told.
func TestStoreMovedToAFoldingFileSystem(t *testing.T) {
	root := t.TempDir()
	storetest.MustPut(t, open(t, root), storetest.Object("team/x.json", "{}"))
	s := openFolding(t, root)
	storetest.MustPut(t, s, storetest.Object("team/y.json", "{}"))
	if got, err := readAll(t.Context(), s, "team/x.json"); err != nil || got != "{}" {
		t.Errorf("%q, %v", got, err)
	}
	if ambiguous, err := s.Ambiguous(); !ambiguous || err != nil {
		t.Errorf("ambiguous: %v, %v", ambiguous, err)
	}
	if err := s.Sweep(time.Now()); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(filepath.Join(root, "_indelible", ".tmp")); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// racing runs the first Put of a store while the first of another goroutine tries the file system, just before that one knows.
type racing struct {
	folding
	probes  atomic.Int32
	other   func()        // the other Put
	removed chan struct{} // closed when the first has tried
	done    chan struct{} // closed when the other is through
}

func (r *racing) Create(name string) (disk.File, error) {
	file, err := r.folding.Create(name)
	if strings.Contains(name, "folds") {
		switch r.probes.Add(1) {
		case 1:
			go r.other()
			for r.probes.Load() < 2 {
				time.Sleep(time.Millisecond)
			}
		case 2:
			<-r.removed
		}
	}
	return file, err
}

func (r *racing) Remove(name string) error {
	err := r.folding.Remove(name)
	if strings.Contains(name, "folds") {
		select {
		case <-r.removed:
		default:
			close(r.removed)
			<-r.done
		}
	}
	return err
}

// Two first Puts at once are stored under names that are found.
func TestFirstPutsOnAFoldingFileSystem(t *testing.T) {
	root := t.TempDir()
	fsys, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fsys.Close() }()
	r := &racing{folding: folding{fsys}, removed: make(chan struct{}), done: make(chan struct{})}
	s := dir.Open(r)
	r.other = func() {
		defer close(r.done)
		storetest.MustPut(t, s, storetest.Object("B.json", "of b"))
	}
	storetest.MustPut(t, s, storetest.Object("A.json", "of a"))
	for key, want := range map[string]string{"A.json": "of a", "B.json": "of b"} {
		if got, err := readAll(t.Context(), s, key); err != nil || got != want {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
}

func readAll(ctx context.Context, s *dir.Store, key string) (string, error) {
	body, _, err := s.Get(ctx, key, store.GetOptions{})
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(body)
	return string(b), err
}
