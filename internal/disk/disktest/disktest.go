// Package disktest is the contract of disk.FS as a test suite: every driver
// runs it. What a crash keeps, only crashdisk can show.
package disktest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"indelible/internal/disk"
)

// Run runs the suite. open gives an empty tree each time.
func Run(t *testing.T, open func(t *testing.T) disk.FS) {
	for _, c := range []struct {
		name string
		test func(*testing.T, disk.FS)
	}{
		{"Create", testCreate},
		{"ReadWrite", testReadWrite},
		{"OpenWrite", testOpenWrite},
		{"Names", testNames},
		{"Directories", testDirectories},
		{"StaysInside", testStaysInside},
		{"RemovedFileStaysReadable", testRemovedFile},
		{"Lock", testLock},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Write makes a file with this content, durably.
func Write(t testing.TB, f disk.FS, name, content string) {
	t.Helper()
	file, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte(content), 0)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// Read is the content of a file.
func Read(t testing.TB, f disk.FS, name string) string {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	size, err := file.Size()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(file, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func testCreate(t *testing.T, f disk.FS) {
	Write(t, f, "a", "1")
	if _, err := f.Create("a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create twice: %v", err)
	}
	if _, err := f.Create("missing/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in a missing directory: %v", err)
	}
	if _, err := f.Open("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a missing file: %v", err)
	}
}

func testReadWrite(t *testing.T, f disk.FS) {
	file, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, w := range []struct {
		s  string
		at int64
	}{{"hello", 0}, {"world", 6}, {"J", 0}} {
		if _, err := file.WriteAt([]byte(w.s), w.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 20)
	n, err := file.ReadAt(got, 0)
	if string(got[:n]) != "Jello\x00world" || err != io.EOF {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if err := file.Allocate(1 << 16); err != nil {
		t.Fatal(err)
	}
	size, err := file.Size()
	if err != nil || size != 11 && size != 1<<16 {
		t.Errorf("allocated: %d bytes, %v", size, err)
	}
	if n, _ := file.ReadAt(got, 8); !bytes.HasPrefix(append([]byte("rld"), make([]byte, 20)...), got[:n]) {
		t.Errorf("allocated bytes read as %q", got[:n])
	}
}

func testNames(t *testing.T, f disk.FS) {
	Write(t, f, "a", "a")
	Write(t, f, "b", "b")
	if err := f.Rename("a", "b"); err != nil {
		t.Fatal(err)
	}
	if got := Read(t, f, "b"); got != "a" {
		t.Errorf("renamed over: %q", got)
	}
	if err := f.Link("b", "c"); err != nil {
		t.Fatal(err)
	}
	if err := f.Link("b", "c"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link over a name: %v", err)
	}
	if err := f.Remove("b"); err != nil {
		t.Fatal(err)
	}
	if got := Read(t, f, "c"); got != "a" {
		t.Errorf("second name: %q", got)
	}
	if err := f.Remove("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove twice: %v", err)
	}
}

func testDirectories(t *testing.T, f disk.FS) {
	if err := f.MkdirAll("x/y"); err != nil {
		t.Fatal(err)
	}
	if err := f.MkdirAll("x/y"); err != nil {
		t.Errorf("again: %v", err)
	}
	Write(t, f, "x/z", "1")
	Write(t, f, "x/a", "1")
	list, err := f.ReadDir("x")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range list {
		name := d.Name()
		if d.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"a", "y/", "z"}) {
		t.Errorf("listed %q", names)
	}
	for _, dir := range []string{".", "x", "x/y"} {
		if err := f.SyncDir(dir); err != nil {
			t.Errorf("sync %s: %v", dir, err)
		}
	}
	if err := f.Remove("x"); err == nil {
		t.Error("a directory with files was removed")
	}
	if free, err := f.Free(); err != nil || free == 0 {
		t.Errorf("free: %d, %v", free, err)
	}
}

func testStaysInside(t *testing.T, f disk.FS) {
	for _, name := range []string{"../a", "x/../../a", "/a"} {
		if file, err := f.Create(name); err == nil {
			_ = file.Close()
			t.Errorf("created %q", name)
		}
		if err := f.MkdirAll(name); err == nil {
			t.Errorf("made %q", name)
		}
	}
}

func testRemovedFile(t *testing.T, f disk.FS) {
	Write(t, f, "a", "still here")
	file, err := f.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := f.Remove("a"); err != nil {
		t.Skip("open files cannot be removed here:", err)
	}
	got := make([]byte, 10)
	if _, err := file.ReadAt(got, 0); err != nil || string(got) != "still here" {
		t.Errorf("%q, %v", got, err)
	}
}

func testLock(t *testing.T, f disk.FS) {
	l, err := f.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock("lock"); err == nil {
		t.Error("locked twice")
	} else if _, ok := errors.AsType[*disk.LockedError](err); !ok {
		t.Errorf("second lock: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = f.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func testOpenWrite(t *testing.T, f disk.FS) {
	if file, err := f.OpenWrite("missing"); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			_ = file.Close()
		}
		t.Fatalf("OpenWrite of a missing file: %v, want fs.ErrNotExist", err)
	}
	Write(t, f, "file", "one two")
	file, err := f.OpenWrite("file")
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte("TWO"), 4)
	if err = errors.Join(err, file.Sync()); err != nil {
		t.Fatal(err)
	}
	linked, err := file.Linked()
	if err = errors.Join(err, file.Close()); err != nil || !linked {
		t.Fatalf("Linked: %v, %v", linked, err)
	}
	if got := Read(t, f, "file"); got != "one TWO" {
		t.Errorf("after writing in place: %q", got)
	}
}
