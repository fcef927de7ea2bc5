// Package osdisk keeps the promises of disk.FS with the operating system's own
// file system, below one directory that no name can leave.
package osdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"indelible/internal/disk"
)

// FS is the directory tree below one directory. It keeps that directory open,
// so a rename of its parents does not move it.
type FS struct {
	root  *os.Root
	owner *owner // of all that is made; nil: as the system does it

	mu      sync.Mutex
	durable map[string]bool // directories whose names are known to be durable; at most maxDurable
}

// maxDurable bounds what is remembered of directories; what is forgotten is synced once more.
const maxDurable = 10_000

var _ disk.FS = (*FS)(nil)

// Open opens the directory dir, making it (perm 0700) and its parents where
// they are missing.
func Open(dir string) (*FS, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", errors.Join(err, root.Close()))
	}
	return &FS{root: root, owner: ownerOf(info), durable: map[string]bool{}}, nil
}

// Close lets go of the directory. Open files stay usable.
func (f *FS) Close() error { return f.root.Close() }

// Create is disk.FS's.
func (f *FS) Create(name string) (disk.File, error) {
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.handOver(name); err != nil {
		return nil, errors.Join(err, file.Close(), f.root.Remove(name))
	}
	return osFile{file}, nil
}

// handOver gives what was made just now to the owner of the tree.
func (f *FS) handOver(name string) error {
	if f.owner == nil {
		return nil
	}
	return f.root.Lchown(name, f.owner.uid, f.owner.gid)
}

// Open is disk.FS's.
func (f *FS) Open(name string) (disk.File, error) {
	file, err := f.root.OpenFile(name, os.O_RDONLY|nonblock, 0) // a pipe that somebody put there holds nobody up
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

// OpenWrite is disk.FS's.
func (f *FS) OpenWrite(name string) (disk.File, error) {
	file, err := f.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

// Rename is disk.FS's.
func (f *FS) Rename(oldname, newname string) error { return f.root.Rename(oldname, newname) }

// Exchange gives two files in one directory each other's name, both at once. Where the system or the
// file system cannot, it fails and changes nothing.
func (f *FS) Exchange(a, b string) error {
	if path.Dir(path.Clean(a)) != path.Dir(path.Clean(b)) {
		return fmt.Errorf("exchange %s and %s: %w", a, b, errors.ErrUnsupported)
	}
	dir, err := f.root.Open(path.Dir(path.Clean(a)))
	if err != nil {
		return err
	}
	return errors.Join(exchange(dir, path.Base(a), path.Base(b)), dir.Close())
}

// Link is disk.FS's.
func (f *FS) Link(oldname, newname string) error { return f.root.Link(oldname, newname) }

// Remove is disk.FS's.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	delete(f.durable, path.Clean(name))
	f.mu.Unlock()
	return f.root.Remove(name)
}

// MkdirAll is disk.FS's. Parents that exist are synced as well, once: whoever
// made them may have crashed before their names were durable.
func (f *FS) MkdirAll(name string) error {
	name = path.Clean(name)
	if name == "." {
		return nil
	}
	if err := f.root.MkdirAll(name, 0o700); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for dir := name; dir != "." && !f.durable[dir]; dir = path.Dir(dir) {
		if err := f.handOver(dir); err != nil {
			return err
		}
		if err := f.SyncDir(path.Dir(dir)); err != nil {
			return err
		}
		if len(f.durable) >= maxDurable {
			clear(f.durable)
		}
		f.durable[dir] = true
	}
	return nil
}

// ReadDir is disk.FS's.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(f.root.FS(), path.Clean(name))
}

// SyncDir is disk.FS's.
func (f *FS) SyncDir(name string) error {
	dir, err := f.root.Open(path.Clean(name))
	if err != nil {
		return err
	}
	return errors.Join(syncDir(dir), dir.Close())
}

// Free is disk.FS's: what an unprivileged process can still write.
func (f *FS) Free() (uint64, error) { return free(f.root.Name()) }

// Lock is disk.FS's. The file holds the process id of whoever has the lock, for
// the message to the next one.
func (f *FS) Lock(name string) (io.Closer, error) {
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := f.handOver(name); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, errors.Join(err, file.Close()))
	}
	if err := lock(file); err != nil {
		holder := make([]byte, 20)
		n, _ := file.ReadAt(holder, 0)
		_ = file.Close()
		if !errors.Is(err, errHeld) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(holder[:n])))
		return nil, &disk.LockedError{PID: pid}
	}
	dir, err := f.lockDir(path.Dir(path.Clean(name)))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// The lock is held whether or not its file can say by whom: on a full disk it cannot.
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if _, err := file.WriteAt(pid, 0); err == nil {
		_ = file.Truncate(int64(len(pid)))
	}
	return held{file, dir}, nil
}

// lockDir locks the directory of a lock's file, too, where the system has that: whoever
// removes the file, and makes another, does not have the lock.
func (f *FS) lockDir(name string) (*os.File, error) {
	dir, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := lockDir(dir); errors.Is(err, errHeld) {
		_ = dir.Close()
		return nil, &disk.LockedError{} // the file that names the process is gone
	}
	return dir, nil
}

// held is a lock: its file and its directory, both open.
type held struct{ file, dir *os.File }

func (h held) Close() error { return errors.Join(h.file.Close(), h.dir.Close()) }

// errHeld is lock's answer when another process has it.
var errHeld = errors.New("held")

// osFile is a disk.File on an *os.File.
type osFile struct{ *os.File }

func (f osFile) Sync() error               { return datasync(f.File) }
func (f osFile) Allocate(size int64) error { return allocate(f.File, size) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Linked() (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	return linked(info), nil
}
