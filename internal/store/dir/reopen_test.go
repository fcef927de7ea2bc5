package dir

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/store"
)

// hookedDisk does something once, after a directory was synced, when when says so.
type hookedDisk struct {
	disk.FS
	when func() bool
	hook func()
}

func (d *hookedDisk) SyncDir(name string) error {
	err := d.FS.SyncDir(name)
	if hook := d.hook; hook != nil && d.when() {
		d.hook = nil
		hook()
	}
	return err
}

// A put that is whole in the old directory when that is replaced is not confirmed, also
// where another put has opened the new directory before it looks.
func TestPutIntoTheOldDirectoryIsNotConfirmed(t *testing.T) {
	base := t.TempDir()
	root, fresh := filepath.Join(base, "store"), filepath.Join(base, "copy")
	s, err := OpenPath(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	put := func(key string) error {
		_, err := s.Put(t.Context(), store.Object{Key: key, Body: bytes.NewReader([]byte(key)), Size: int64(len(key)), Digest: sha256.Sum256([]byte(key))})
		return err
	}
	if err := put("a"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(fresh, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	replaced := false
	s.disk = &hookedDisk{FS: s.disk,
		when: func() bool {
			_, err := os.Stat(filepath.Join(root, metaDir, "b"))
			return err == nil
		},
		hook: func() {
			replaced = true
			if err := errors.Join(os.Rename(root, root+".away"), os.Rename(fresh, root)); err != nil {
				t.Error(err)
			}
			if err := put("c"); !errors.Is(err, errReopened) {
				t.Errorf("the other put: %v", err)
			}
		}}
	if err := put("b"); !errors.Is(err, errReopened) || !replaced {
		t.Errorf("put: %v; replaced: %v", err, replaced)
	}
	if err := put("b"); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "b")); err != nil {
		t.Error(err)
	}
}

// A note that was made in the old directory is none in the new one: the next put makes it there.
func TestNoteInTheOldDirectory(t *testing.T) {
	base := t.TempDir()
	root, fresh := filepath.Join(base, "store"), filepath.Join(base, "copy")
	s, err := OpenPath(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	put := func(key string) error {
		_, err := s.Put(t.Context(), store.Object{Key: key, Body: bytes.NewReader([]byte(key)), Size: int64(len(key)), Digest: sha256.Sum256([]byte(key))})
		return err
	}
	if err := put("a"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(fresh, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	s.disk = &hookedDisk{FS: s.disk,
		when: func() bool {
			_, err := os.Stat(filepath.Join(root, tildeNote("b")))
			return err == nil
		},
		hook: func() {
			if err := errors.Join(os.Rename(root, root+".away"), os.Rename(fresh, root)); err != nil {
				t.Error(err)
			}
			if err := put("c"); !errors.Is(err, errReopened) {
				t.Errorf("the other put: %v", err)
			}
		}}
	if err := put("b~1"); !errors.Is(err, errReopened) {
		t.Errorf("put: %v", err)
	}
	if err := put("b~1"); err != nil && store.ClassOf(err) != store.Exists {
		t.Errorf("again: %v", err)
	}
	if absent, err := s.Absent(t.Context(), "b~"); absent || err != nil {
		t.Errorf("b~1 is there, and said to be absent; %v", err)
	}
}
