package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// writeJSON writes one value on one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeFile has a file written: a regular one is put in place, durably, once all of
// it is written, with the permissions that it had, or those that the umask leaves. A
// link is followed, and what is no regular file, such as a FIFO or a device, is written to.
func writeFile(name string, write func(io.Writer) error) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("write %s: it is a link to a file that is not there", name)
		}
		return replaceFile(name, 0o666, write)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("write %s: it is a directory: name a file in it", name)
	case !info.Mode().IsRegular() || isDevicePath(name):
		return writeThrough(name, write)
	}
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	return replaceFile(target, info.Mode().Perm(), write)
}

// isDevicePath says whether a name stands for something open, such as /dev/stdout.
func isDevicePath(name string) bool {
	return strings.HasPrefix(name, "/dev/") || strings.HasPrefix(name, "/proc/")
}

func writeThrough(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// replaceFile writes a new file beside name, and renames it once it is whole and durable.
func replaceFile(name string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(name)
	f, err := createBeside(dir, filepath.Base(name), mode)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err // the file beside is ours to know of
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// createBeside makes a new file whose name nobody uses; the umask takes from mode what it takes.
func createBeside(dir, base string, mode fs.FileMode) (*os.File, error) {
	for n := range 1000 {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf(".%.40s.%d-%d", base, os.Getpid(), n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("no name is free in %s", dir)
}

// syncDir makes names in a directory durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil // a directory that may be written but not read
	}
	_ = d.Sync() // Windows and some file systems cannot; the file itself is synced
	return d.Close()
}
