package osdisk

import (
	"errors"
	"os"
	"syscall"
)

// datasync is fdatasync(2): content and size, without the times.
func datasync(f *os.File) error {
	return control(f, "fdatasync", func(fd int) error { return syscall.Fdatasync(fd) })
}

// syncDir is fsync(2) of a directory: its names.
func syncDir(f *os.File) error { return f.Sync() }

// allocate is fallocate(2). File systems that have none do without.
func allocate(f *os.File, size int64) error {
	err := control(f, "fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// control runs a system call on f's descriptor, again when a signal interrupts it.
func control(f *os.File, op string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var cause error
	err = conn.Control(func(fd uintptr) {
		for {
			if cause = call(int(fd)); cause != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && cause != nil {
		err = os.NewSyscallError(op, cause)
	}
	return err
}
