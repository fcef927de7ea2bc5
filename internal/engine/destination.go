package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// Destination is the store that records end up in, and the names of its objects.
type Destination struct {
	Store  store.Store
	Layout layout.Objects
	Sweep  func(time.Time) error // removes what a crashed writer left behind; nil: there is nothing to do
	// Remove removes an object for good; nil: this process removes none, as in a bucket, where a lifecycle rule does.
	Remove func(ctx context.Context, key string) error
	Close  func() error // nil: there is nothing to close
}

// Directory is the destination in a directory. The directory is made, durably, unless readOnly.
func Directory(root string, objects layout.Objects, readOnly bool) (*Destination, error) {
	if readOnly {
		if _, err := os.Stat(root); err != nil {
			return nil, fmt.Errorf("open the destination: %w", err)
		}
	} else if err := MakeDir(root); err != nil {
		return nil, fmt.Errorf("open the destination: %w", err)
	}
	s, err := dir.OpenPath(root)
	if err != nil {
		return nil, fmt.Errorf("open the destination: %w", err)
	}
	return &Destination{Store: s, Layout: objects, Sweep: s.Sweep, Remove: s.Remove, Close: s.Close}, nil
}

// MakeDir makes a directory, and makes its name durable and those of the parents
// that it made: what is synced in a directory that a power loss takes away is
// lost with it.
func MakeDir(path string) error {
	// A link to a directory may lead anywhere; osdisk follows none that leaves its root.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	parent := existing(filepath.Dir(path))
	fsys, err := osdisk.Open(parent)
	if err != nil {
		if info, serr := os.Stat(path); serr == nil && info.IsDir() {
			return nil // made by somebody else, in a parent that we cannot open
		}
		return err
	}
	defer func() { _ = fsys.Close() }()
	rel, err := filepath.Rel(parent, path)
	if err != nil {
		return err
	}
	err = fsys.MkdirAll(filepath.ToSlash(rel))
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "mkdir", Path: path, Err: inner.Err} // its path is relative to parent
	}
	return err
}

// existing is dir, or the nearest directory above it that is there.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
