//go:build unix

package osdisk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// owner is whom the files of a tree belong to.
type owner struct{ uid, gid int }

// ownerOf is the owner that files made by the superuser are given, so that the
// service whose directory it is can open what a command run as root left there; nil if none is.
func ownerOf(info os.FileInfo) *owner {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || s.Uid == 0 {
		return nil
	}
	return &owner{int(s.Uid), int(s.Gid)}
}

// Inherit gives the file made the mode and, where this process may, the owner
// of the file that it is about to replace. Where there is none, it does nothing.
func (f *FS) Inherit(made, replaced string) error {
	info, err := f.root.Stat(replaced)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if o := ownerOf(info); o != nil {
		if err := f.root.Lchown(made, o.uid, o.gid); err != nil {
			return err
		}
	}
	// Root.Chmod (Go 1.26) needs fchmodat2 (Linux 6.6) or /proc, and fails where a container has neither.
	file, err := f.root.OpenFile(made, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(info.Mode().Perm()), file.Close())
}
