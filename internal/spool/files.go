package spool

import (
	"slices"
	"sync"

	"indelible/internal/disk"
)

// maxIdleFiles bounds the open files that nobody reads at the moment.
const maxIdleFiles = 64

// files shares open files between readers and keeps a few open that nobody
// reads. A file that was opened stays readable after its name was removed.
type files struct {
	fs   disk.FS
	hope hope

	mu     sync.Mutex
	byName map[string]*handle // guarded by mu
	idle   []*handle          // those without a reader, the longest idle first; guarded by mu
}

// handle is an open file with its readers.
type handle struct {
	files *files
	name  string
	file  disk.File
	refs  int // guarded by files.mu
}

func newFiles(fs disk.FS) *files {
	return &files{fs: fs, byName: map[string]*handle{}}
}

// open opens a file for reading, or shares it. The caller releases it.
func (f *files) open(name string) (*handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h, ok := f.byName[name]; ok {
		if h.refs == 0 {
			f.idle = slices.DeleteFunc(f.idle, func(o *handle) bool { return o == h })
		}
		h.refs++
		return h, nil
	}
	file, err := f.openPatiently(name)
	if err != nil {
		return nil, err
	}
	h := &handle{files: f, name: name, file: file, refs: 1}
	f.byName[name] = h
	return h, nil
}

// drop forgets a file that is removed or replaced; who reads it reads on.
func (f *files) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := f.byName[name]
	if !ok {
		return
	}
	delete(f.byName, name)
	if h.refs == 0 {
		f.idle = slices.DeleteFunc(f.idle, func(o *handle) bool { return o == h })
		_ = h.file.Close() // it was only read
	}
}

// close closes every file without a reader; the others close with their last one.
func (f *files) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.idle {
		_ = h.file.Close() // it was only read
	}
	f.idle, f.byName = nil, map[string]*handle{}
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
		_ = h.file.Close() // it was only read
		return
	}
	f.idle = append(f.idle, h)
	if len(f.idle) > maxIdleFiles {
		delete(f.byName, f.idle[0].name)
		_ = f.idle[0].file.Close() // it was only read
		f.idle = f.idle[1:]
	}
}
