package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
)

// ReplacedError says that the directory of a store is not the one at its path
// any more: it was renamed or removed, or a volume was mounted over it. Nothing is
// stored or confirmed until the path leads to a store again.
type ReplacedError struct {
	Dir string
	Err error // nil: there is another directory, which holds no store
}

func (e *ReplacedError) Error() string {
	const remedy = "put the directory back, or mount its volume; to begin in the directory that is there now, restart"
	if e.Err != nil {
		return fmt.Sprintf("the directory %s is gone (%v): %s", e.Dir, e.Err, remedy)
	}
	return fmt.Sprintf("the directory %s was replaced by another one, which holds no store: %s", e.Dir, remedy)
}

// Unwrap is the cause.
func (e *ReplacedError) Unwrap() error { return e.Err }

// errReopened says that what was done went into a directory that is not the store any more.
var errReopened = errors.New("the store's directory was replaced by another store, which is used from now on")

// OpenPath is the store in the directory at path, which is made where it is
// missing. Unlike an open directory, a path can come to lead elsewhere: each
// operation makes sure that it still leads to the directory that it worked in. Where it leads to
// another one that holds a store, as when a copy was put in its place, that one is used from then on.
func OpenPath(path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	r := &rootFS{path: abs}
	if err := r.open(); err != nil {
		return nil, err
	}
	s := Open(r)
	s.root = r
	return s, nil
}

// Close lets go of the directory that OpenPath opened.
func (s *Store) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.current().Close()
}

// sameRoot returns nil if the store is still the one at its path.
func (s *Store) sameRoot() error {
	if s.root == nil {
		return nil
	}
	err := s.root.check()
	if errors.Is(err, errReopened) {
		s.mu.Lock()
		clear(s.made)
		clear(s.doubts)
		s.mu.Unlock()
	}
	return err
}

// opened is the directory that an operation begins in; nil: the file system is nobody's path.
func (s *Store) opened() *osdisk.FS {
	if s.root == nil {
		return nil
	}
	return s.root.current()
}

// stillIn returns nil if the store is still the one at its path, and its directory the one that an operation began in:
// another operation may have opened the store that came in its place meanwhile.
func (s *Store) stillIn(begun *osdisk.FS) error {
	if err := s.sameRoot(); err != nil {
		return err
	}
	if s.root != nil && s.root.current() != begun {
		return errReopened
	}
	return nil
}

// rootFS is the directory at a path, whichever that is.
type rootFS struct {
	path string

	mu   sync.RWMutex
	fs   *osdisk.FS
	info os.FileInfo // of the directory that is open
}

func (r *rootFS) open() error {
	fsys, err := osdisk.Open(r.path)
	if err != nil {
		return err
	}
	info, err := os.Stat(r.path)
	if err != nil {
		return errors.Join(err, fsys.Close())
	}
	r.fs, r.info = fsys, info
	return nil
}

func (r *rootFS) current() *osdisk.FS {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.fs
}

// check compares the directory at the path with the one that is open, and opens that instead if it is a store.
func (r *rootFS) check() error {
	r.mu.RLock()
	info := r.info
	r.mu.RUnlock()
	now, err := os.Stat(r.path)
	if err != nil {
		return &ReplacedError{Dir: r.path, Err: err}
	}
	if os.SameFile(info, now) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(r.path, ownDir)); err != nil {
		return &ReplacedError{Dir: r.path}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.info != info {
		return errReopened // by another operation
	}
	before := r.fs
	if err := r.open(); err != nil {
		return err
	}
	return errors.Join(errReopened, before.Close())
}

var (
	_ disk.FS   = (*rootFS)(nil)
	_ dirOpener = (*rootFS)(nil)
	_ lister    = (*rootFS)(nil)
)

// Names is osdisk's.
func (r *rootFS) Names(name string) ([]fs.DirEntry, error) { return r.current().Names(name) }

// OpenDir is osdisk's: what is opened stays in the directory that is the store now.
func (r *rootFS) OpenDir(name string) (read func(name string, buf []byte, limit int64) ([]byte, error), close func() error, err error) {
	return r.current().OpenDir(name)
}

func (r *rootFS) Create(name string) (disk.File, error)      { return r.current().Create(name) }
func (r *rootFS) Open(name string) (disk.File, error)        { return r.current().Open(name) }
func (r *rootFS) OpenWrite(name string) (disk.File, error)   { return r.current().OpenWrite(name) }
func (r *rootFS) Rename(oldname, newname string) error       { return r.current().Rename(oldname, newname) }
func (r *rootFS) Link(oldname, newname string) error         { return r.current().Link(oldname, newname) }
func (r *rootFS) Remove(name string) error                   { return r.current().Remove(name) }
func (r *rootFS) MkdirAll(name string) error                 { return r.current().MkdirAll(name) }
func (r *rootFS) ReadDir(name string) ([]fs.DirEntry, error) { return r.current().ReadDir(name) }
func (r *rootFS) SyncDir(name string) error                  { return r.current().SyncDir(name) }
func (r *rootFS) Free() (uint64, error)                      { return r.current().Free() }
func (r *rootFS) Lock(name string) (io.Closer, error)        { return r.current().Lock(name) }
