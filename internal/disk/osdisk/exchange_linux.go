package osdisk

import (
	"os"

	"golang.org/x/sys/unix"
)

func exchange(dir *os.File, a, b string) error {
	fd := int(dir.Fd())
	return os.NewSyscallError("renameat2", unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE))
}
