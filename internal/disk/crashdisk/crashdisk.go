// Package crashdisk is a disk in memory that forgets, in a crash, what was not
// synced: for tests. The model is Pebble's MemFS: file content in blocks of
// 4 KiB and directory entries that no sync made durable survive by chance.
package crashdisk

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"indelible/internal/disk"
)

// Disk is a disk.FS that can crash. It is safe for concurrent use.
type Disk struct {
	mem *vfs.MemFS

	mu   sync.Mutex // makes Create exclusive and Link fail on a taken name
	free uint64
}

var _ disk.FS = (*Disk)(nil)

// New is an empty disk.
func New() *Disk { return &Disk{mem: vfs.NewCrashableMem(), free: 1 << 40} }

// NewPlain is an empty disk that must not be asked to Crash: it keeps no copy of what was
// synced, and takes half the memory. For long runs in which no power is cut.
func NewPlain() *Disk { return &Disk{mem: vfs.NewMem(), free: 1 << 40} }

// Crash is the disk as a crash at this moment would leave it: all that was synced, and
// each unsynced block and directory entry with a chance of percent in 100, drawn from rng. The old
// disk goes on as if nothing had happened, for whoever still holds it.
func (d *Disk) Crash(rng *rand.Rand, percent int) *Disk {
	d.mu.Lock() // not in the middle of an Exchange
	defer d.mu.Unlock()
	return &Disk{mem: d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), free: 1 << 40}
}

// SetFree sets what Free answers.
func (d *Disk) SetFree(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

// full is a name as the MemFS wants it.
func full(name string) (string, error) {
	name = path.Clean(name)
	if path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("path escapes from parent")}
	}
	return path.Join("/", name), nil
}

// Create is disk.FS's.
func (d *Disk) Create(name string) (disk.File, error) {
	name, err := full(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.mem.Stat(name); err == nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f, err := d.mem.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if f, err = d.mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	return file{f}, nil
}

// Open is disk.FS's.
func (d *Disk) Open(name string) (disk.File, error) {
	name, err := full(name)
	if err != nil {
		return nil, err
	}
	f, err := d.mem.Open(name)
	if err != nil {
		return nil, notDirectory(err)
	}
	return file{f}, nil
}

// OpenWrite is disk.FS's.
func (d *Disk) OpenWrite(name string) (disk.File, error) {
	name, err := full(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock() // the MemFS makes what is missing
	defer d.mu.Unlock()
	if _, err := d.mem.Stat(name); err != nil {
		return nil, notDirectory(err)
	}
	f, err := d.mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, notDirectory(err)
	}
	return file{f}, nil
}

// notDirectory gives a path through a file the error that systems give it.
func notDirectory(err error) error {
	if err != nil && strings.HasSuffix(err.Error(), "not a directory") {
		return syscall.ENOTDIR
	}
	return err
}

func (d *Disk) two(oldname, newname string, f func(oldname, newname string) error) error {
	oldname, err := full(oldname)
	if err != nil {
		return err
	}
	if newname, err = full(newname); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return notDirectory(f(oldname, newname))
}

// Rename is disk.FS's.
func (d *Disk) Rename(oldname, newname string) error { return d.two(oldname, newname, d.mem.Rename) }

// Link is disk.FS's.
func (d *Disk) Link(oldname, newname string) error { return d.two(oldname, newname, d.mem.Link) }

// Exchange gives two files each other's name. In a crash each name has one of the two, by itself.
func (d *Disk) Exchange(a, b string) error {
	return d.two(a, b, func(a, b string) error {
		temp := a + ".exchange"
		if _, err := d.mem.Stat(b); err != nil {
			return err
		}
		return errors.Join(d.mem.Rename(a, temp), d.mem.Rename(b, a), d.mem.Rename(temp, b))
	})
}

// Remove is disk.FS's.
func (d *Disk) Remove(name string) error {
	name, err := full(name)
	if err != nil {
		return err
	}
	return d.mem.Remove(name)
}

// MkdirAll is disk.FS's.
func (d *Disk) MkdirAll(name string) error {
	at, err := full(name)
	if err != nil {
		return err
	}
	if err := notDirectory(d.mem.MkdirAll(at, 0o700)); err != nil {
		return err
	}
	for name = path.Clean(name); name != "."; {
		name = path.Dir(name)
		if err := d.SyncDir(name); err != nil {
			return err
		}
	}
	return nil
}

// ReadDir is disk.FS's.
func (d *Disk) ReadDir(name string) ([]fs.DirEntry, error) {
	name, err := full(name)
	if err != nil {
		return nil, err
	}
	names, err := d.mem.List(name)
	if err != nil {
		return nil, notDirectory(err)
	}
	slices.Sort(names)
	var list []fs.DirEntry
	for _, n := range names {
		info, err := d.mem.Stat(path.Join(name, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, entry{info, n})
	}
	return list, nil
}

// entry is a directory entry with its plain name.
type entry struct {
	info vfs.FileInfo
	name string
}

func (e entry) Name() string               { return e.name }
func (e entry) IsDir() bool                { return e.info.IsDir() }
func (e entry) Type() fs.FileMode          { return e.info.Mode().Type() }
func (e entry) Info() (fs.FileInfo, error) { return e.info, nil }

// SyncDir is disk.FS's.
func (d *Disk) SyncDir(name string) error {
	name, err := full(name)
	if err != nil {
		return err
	}
	dir, err := d.mem.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Free is disk.FS's.
func (d *Disk) Free() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, nil
}

// Lock is disk.FS's.
func (d *Disk) Lock(name string) (io.Closer, error) {
	name, err := full(name)
	if err != nil {
		return nil, err
	}
	c, err := d.mem.Lock(name)
	if errors.Is(err, syscall.EAGAIN) {
		return nil, &disk.LockedError{}
	}
	return c, err
}

// file is a disk.File on a MemFS's.
type file struct{ vfs.File }

// Allocate does nothing: the model knows no space.
func (file) Allocate(int64) error { return nil }

// Linked says true: the model does not count names.
func (file) Linked() (bool, error) { return true, nil }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f file) ReadAt(p []byte, off int64) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.IsDir() {
		return 0, syscall.EISDIR
	}
	n, err := f.File.ReadAt(p, off)
	if err == nil && n < len(p) {
		err = io.EOF // as io.ReaderAt has it
	}
	return n, err
}
