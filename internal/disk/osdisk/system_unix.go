//go:build unix

package osdisk

import (
	"errors"
	"os"
	"syscall"
)

const nonblock = syscall.O_NONBLOCK

func free(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}

// lockDir locks a directory. Some network file systems cannot: there the lock's file has to do.
func lockDir(dir *os.File) error {
	if err := lock(dir); errors.Is(err, errHeld) {
		return err
	}
	return nil
}

// linked reads the number of names from the result of fstat(2).
func linked(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || s.Nlink > 0
}
