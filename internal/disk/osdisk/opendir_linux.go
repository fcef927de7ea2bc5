package osdisk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openedDir is a directory in which files are opened by its descriptor: three calls for a short file, where os.File
// makes five.
type openedDir struct {
	dir  *os.File
	conn syscall.RawConn
}

func reader(root *os.Root) (openedDir, error) {
	dir, err := root.Open(".")
	if err != nil {
		return openedDir{}, err
	}
	conn, err := dir.SyscallConn()
	if err != nil {
		return openedDir{}, errors.Join(err, dir.Close())
	}
	return openedDir{dir, conn}, nil
}

func (d openedDir) close() error { return d.dir.Close() }

func (d openedDir) append(name string, buf []byte, limit int64) ([]byte, error) {
	fd, err := -1, error(nil)
	// Control keeps the directory's descriptor from being closed, and given to another file, meanwhile.
	cerr := d.conn.Control(func(dir uintptr) {
		// O_NONBLOCK: a pipe that somebody put there holds nobody up.
		fd, err = again(func() (int, error) {
			return syscall.Openat(int(dir), name, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		})
	})
	if err = errors.Join(cerr, err); err != nil {
		return buf, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	buf, err = fill(buf, limit, func(p []byte) (int, error) {
		return again(func() (int, error) { return syscall.Read(fd, p) })
	})
	if cerr := syscall.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return buf, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return buf, nil
}

// again calls until no signal interrupts.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
