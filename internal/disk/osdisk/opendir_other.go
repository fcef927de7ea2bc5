//go:build !linux

package osdisk

import (
	"errors"
	"io"
	"os"
)

// openedDir is a directory in which files are opened.
type openedDir struct{ root *os.Root }

func reader(root *os.Root) (openedDir, error) { return openedDir{root}, nil }

func (openedDir) close() error { return nil }

func (d openedDir) append(name string, buf []byte, limit int64) ([]byte, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return buf, err
	}
	buf, err = fill(buf, limit, f.Read)
	if err == io.EOF {
		err = nil
	}
	return buf, errors.Join(err, f.Close())
}
