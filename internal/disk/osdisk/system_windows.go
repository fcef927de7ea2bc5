package osdisk

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

const (
	nonblock = 0 // a file of a directory is no pipe

	lockfileFailImmediately = 1
	lockfileExclusiveLock   = 2
	errorLockViolation      = syscall.Errno(33)
)

func free(dir string) (uint64, error) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var available uint64
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW")
	ok, _, err := proc.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&available)), 0, 0)
	if ok == 0 {
		return 0, os.NewSyscallError("GetDiskFreeSpaceEx", err)
	}
	return available, nil
}

// lock locks one byte far behind the content, so that the next process can
// still read who holds it: on Windows locks are mandatory.
func lock(f *os.File) error {
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")
	where := syscall.Overlapped{Offset: 1 << 30}
	ok, _, err := proc.Call(f.Fd(), lockfileExclusiveLock|lockfileFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&where)))
	if ok != 0 {
		return nil
	}
	if errors.Is(err, errorLockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING) {
		return errHeld
	}
	return os.NewSyscallError("LockFileEx", err)
}

// linked says true: a file that is open keeps its name.
func linked(os.FileInfo) bool { return true }

// lockDir does nothing: a file that is open cannot be removed.
func lockDir(*os.File) error { return nil }
