package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"indelible/internal/disk"
	"indelible/internal/record"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// errShort says that a file ends before what should be in it: damage, not a failed read.
var errShort = io.ErrUnexpectedEOF

// maxIdleFiles bounds the open files that nobody reads at the moment.
const maxIdleFiles = 64

// files shares open files between readers and keeps a few open that nobody
// reads. A file that was opened stays readable after its name was removed. It is safe for concurrent use.
//
// It draws the line between a failed read and damage: an open or a read that
// fails gives a *record.ReadError, whatever the cause; that a name does not exist or a
// file ends too early is told as fs.ErrNotExist and errShort.
type files struct {
	fs     disk.FS
	health *readHealth

	mu        sync.Mutex
	closed    bool               // guarded by mu
	forgotten uint64             // calls of forget; guarded by mu
	byName    map[string]*handle // guarded by mu
	idle      []*handle          // those without a reader, the longest idle first; guarded by mu
}

// handle is an open file with its readers.
type handle struct {
	files *files
	name  string
	file  disk.File
	refs  int // guarded by files.mu
}

func newFiles(fs disk.FS, health *readHealth) *files {
	return &files{fs: fs, health: health, byName: map[string]*handle{}}
}

// open opens a file for reading, or shares it. The caller releases it. No lock is held while
// the disk opens it: one that hangs must not hold up the write loop.
func (f *files) open(name string) (*handle, error) {
	h, forgotten, err := f.opened(name)
	if h != nil || err != nil {
		return h, err
	}
	file, err := f.fs.Open(name)
	if err != nil {
		return nil, f.failed("open", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = file.Close() // it was not read
		return nil, record.ErrClosed
	}
	if h, ok := f.byName[name]; ok { // somebody was faster
		_ = file.Close() // it was not read
		f.take(h)
		return h, nil
	}
	h = &handle{files: f, name: name, file: file, refs: 1}
	if f.forgotten == forgotten { // else the name may be another file's by now, and this one is for its reader alone
		f.byName[name] = h
	}
	return h, nil
}

// opened shares a file that is open already, nil if it is not, and counts the names that were forgotten so far.
func (f *files) opened(name string) (h *handle, forgotten uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, 0, record.ErrClosed
	}
	if h = f.byName[name]; h != nil {
		f.take(h)
	}
	return h, f.forgotten, nil
}

// share makes a file that is open already readable under its name. The handle is the
// caller's, who releases it instead of closing the file.
func (f *files) share(name string, file disk.File) *handle {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &handle{files: f, name: name, file: file, refs: 1}
	f.byName[name] = h
	return h
}

// addReader gives another reader the same file.
func (f *files) addReader(h *handle) *handle {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(h)
	return h
}

// take counts one more reader. The caller holds f.mu.
func (f *files) take(h *handle) {
	if h.refs == 0 {
		f.idle = slices.DeleteFunc(f.idle, func(o *handle) bool { return o == h })
	}
	h.refs++
}

// forget drops a file that was removed, renamed or replaced; who reads it reads
// on. It reports whether nobody does.
func (f *files) forget(name string) (unread bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten++
	h, ok := f.byName[name]
	if !ok {
		return true
	}
	delete(f.byName, name)
	if h.refs > 0 {
		return false
	}
	f.idle = slices.DeleteFunc(f.idle, func(o *handle) bool { return o == h })
	_ = h.file.Close() // it was only read
	return true
}

// close closes every file without a reader; the others close with their last
// one. Nothing opens afterwards.
func (f *files) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.idle {
		_ = h.file.Close() // it was only read
	}
	f.closed, f.idle, f.byName = true, nil, map[string]*handle{}
}

// release ends one reader's use.
func (h *handle) release() {
	f := h.files
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.refs--; h.refs > 0 {
		return
	}
	if f.byName[h.name] != h {
		_ = h.file.Close() // what was written to it was synced, or is not wanted
		return
	}
	f.idle = append(f.idle, h)
	if len(f.idle) > maxIdleFiles {
		delete(f.byName, f.idle[0].name)
		_ = f.idle[0].file.Close() // it was only read
		f.idle = f.idle[1:]
	}
}

// readFull fills b with what stands at off.
func (h *handle) readFull(b []byte, off int64) error {
	got, err := h.file.ReadAt(b, off)
	switch {
	case got == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%s ends at %d: %w", h.name, off+int64(got), errShort)
	}
	return h.files.failed("read", h.name, err)
}

// readSome fills b as far as the file goes from off.
func (h *handle) readSome(b []byte, off int64) (int, error) {
	got, err := h.file.ReadAt(b, off)
	if got == len(b) || err == nil || errors.Is(err, io.EOF) {
		return got, nil
	}
	return got, h.files.failed("read", h.name, err)
}

func (h *handle) size() (int64, error) {
	n, err := h.file.Size()
	if err != nil {
		return 0, h.files.failed("stat", h.name, err)
	}
	return n, nil
}

// readAll reads a whole small file.
func (f *files) readAll(name string) ([]byte, error) {
	h, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer h.release()
	size, err := h.size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	return b, h.readFull(b, 0)
}

// failed is the error of an operation that the disk failed.
func (f *files) failed(op, name string, err error) error {
	if isNotExist(err) {
		return err
	}
	err = fmt.Errorf("%s %s: %w", op, name, err)
	f.health.failed(err)
	return &record.ReadError{Err: err}
}

// exists asks the directory, not the file: an open that fails with "does not
// exist" alone is no proof that a file is gone.
func (f *files) exists(name string) (bool, error) {
	list, err := f.fs.ReadDir(path.Dir(name))
	if err != nil {
		if isNotExist(err) {
			return false, nil
		}
		return false, f.failed("list", path.Dir(name), err)
	}
	return slices.ContainsFunc(list, func(d fs.DirEntry) bool { return d.Name() == path.Base(name) }), nil
}
