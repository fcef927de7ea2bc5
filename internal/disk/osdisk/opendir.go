package osdisk

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// OpenDir keeps a directory open: read then appends the bytes of a file in it, by its plain
// name, to buf, up to limit of them, in one step, however deep the directory lies. It may stop early where the file system
// gives a file in pieces, and follows no symbolic link. The directory goes on to be that one when another
// takes its name. close lets go of it; read and close may be called at the same time.
func (f *FS) OpenDir(name string) (read func(name string, buf []byte, limit int64) ([]byte, error), close func() error, err error) {
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, nil, err
	}
	from, err := reader(root)
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	read = func(name string, buf []byte, limit int64) ([]byte, error) {
		if !filepath.IsLocal(name) || filepath.Base(name) != name {
			return buf, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
		}
		return from.append(name, buf, limit)
	}
	return read, func() error { return errors.Join(from.close(), root.Close()) }, nil
}

// fill appends what read gives, up to limit bytes, until it gives less than there is room for.
func fill(buf []byte, limit int64, read func([]byte) (int, error)) ([]byte, error) {
	for from := len(buf); ; {
		if cap(buf) == len(buf) {
			buf = append(buf, make([]byte, max(4096, len(buf)))...)[:len(buf)]
		}
		room := int(min(int64(cap(buf)-len(buf)), limit-int64(len(buf)-from)))
		if room == 0 {
			return buf, nil
		}
		n, err := read(buf[len(buf) : len(buf)+room])
		buf = buf[:len(buf)+max(n, 0)]
		if err != nil || n < room {
			return buf, err
		}
	}
}

// Names is ReadDir, not sorted, for directories with very many entries, of which nothing but name and kind is asked.
// A directory that was opened in an os.Root stats each of its entries (Go 1.26), one that was opened by its path does not;
// so that is done, where the path leads to the same directory.
func (f *FS) Names(name string) ([]fs.DirEntry, error) {
	dir, err := os.Open(filepath.Join(f.root.Name(), filepath.FromSlash(name)))
	if err != nil {
		return f.ReadDir(name)
	}
	defer func() { _ = dir.Close() }() // it was only read
	byPath, err := dir.Stat()
	if err != nil {
		return nil, err
	}
	if inRoot, err := f.root.Stat(path.Clean(name)); err != nil || !os.SameFile(byPath, inRoot) {
		return f.ReadDir(name)
	}
	return dir.ReadDir(-1)
}
