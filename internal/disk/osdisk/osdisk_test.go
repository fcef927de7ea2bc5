package osdisk_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/disktest"
	"indelible/internal/disk/osdisk"
)

func open(t *testing.T, dir string) *osdisk.FS {
	t.Helper()
	f, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestNamesStayInside(t *testing.T) {
	dir := t.TempDir()
	f := open(t, filepath.Join(dir, "root"))
	if err := os.Symlink(dir, filepath.Join(dir, "root", "out")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	for _, name := range []string{"../escape", "out/escape", "/escape"} {
		if file, err := f.Create(name); err == nil {
			_ = file.Close()
			t.Errorf("Create(%q) went outside the root", name)
		}
	}
}

func TestAllocateReadsAsZeros(t *testing.T) {
	f := open(t, t.TempDir())
	file, err := f.Create("seg")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := file.Allocate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("entry"), 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if n, _ := file.ReadAt(got, 0); !bytes.HasPrefix(append([]byte("entry"), make([]byte, 5)...), got[:n]) {
		t.Errorf("read %q", got[:n])
	}
}

func TestLockNamesTheHolder(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	first, err := f.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, dir).Lock("lock")
	held, ok := errors.AsType[*disk.LockedError](err)
	if !ok || held.PID != os.Getpid() {
		t.Fatalf("second lock: %v, want it held by %d", err, os.Getpid())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := f.Lock("lock")
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	_ = again.Close()
}

// A lock whose file somebody removed is held all the same.
func TestLockOutlivesItsFile(t *testing.T) {
	dir := t.TempDir()
	first, err := open(t, dir).Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Skipf("this system keeps the file: %v", err)
	}
	if _, err := open(t, dir).Lock("lock"); !errors.As(err, new(*disk.LockedError)) {
		t.Errorf("a second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, dir).Lock("lock")
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	_ = again.Close()
}

func TestErrorsAreTheContracts(t *testing.T) {
	f := open(t, t.TempDir())
	if _, err := f.Open("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open missing: %v", err)
	}
	file, err := f.Create("name")
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if _, err := f.Create("name"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create twice: %v", err)
	}
	if err := f.MkdirAll("a/b/c"); err != nil {
		t.Error(err)
	}
	if err := f.SyncDir("a/b"); err != nil {
		t.Error(err)
	}
}

func TestDisk(t *testing.T) {
	disktest.Run(t, func(t *testing.T) disk.FS { return open(t, t.TempDir()) })
}

func TestLinked(t *testing.T) {
	f := open(t, t.TempDir())
	file, err := f.Create("seg")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if linked, err := file.Linked(); err != nil || !linked {
		t.Fatalf("a new file: %v, %v", linked, err)
	}
	if err := f.Remove("seg"); err != nil {
		t.Skip("an open file cannot be removed here:", err)
	}
	if linked, err := file.Linked(); err != nil || linked {
		t.Errorf("after its name was removed: %v, %v", linked, err)
	}
}

// Two files exchange their names at once, or nothing changes.
func TestExchange(t *testing.T) {
	root := t.TempDir()
	f := open(t, root)
	if err := f.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d/a", "d/b"} {
		file, err := f.Create(name)
		if err == nil {
			_, err = file.WriteAt([]byte(name), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := f.Exchange("d/a", "d/none"); err == nil || read("d/a") != "d/a" {
		t.Errorf("with nothing: %v", err)
	}
	if err := f.Exchange("d/a", "b"); err == nil || read("d/a") != "d/a" {
		t.Errorf("in two directories: %v", err)
	}
	err := f.Exchange("d/a", "d/b")
	if runtime.GOOS != "linux" && err != nil {
		return
	}
	if err != nil || read("d/a") != "d/b" || read("d/b") != "d/a" {
		t.Errorf("%v: a is %q, b is %q", err, read("d/a"), read("d/b"))
	}
}
