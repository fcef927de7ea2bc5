package osdisk

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// renameat2 is the call's number; package syscall has none.
var renameat2 = map[string]uintptr{"amd64": 316, "arm64": 276}[runtime.GOARCH]

const renameExchange = 2 // RENAME_EXCHANGE of renameat2(2)

func exchange(dir *os.File, a, b string) error {
	if renameat2 == 0 {
		return errors.ErrUnsupported
	}
	pa, err := syscall.BytePtrFromString(a)
	if err != nil {
		return err
	}
	pb, err := syscall.BytePtrFromString(b)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(renameat2, dir.Fd(), uintptr(unsafe.Pointer(pa)), dir.Fd(), uintptr(unsafe.Pointer(pb)), renameExchange, 0)
	if errno != 0 {
		return os.NewSyscallError("renameat2", errno)
	}
	return nil
}
