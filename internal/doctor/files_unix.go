//go:build unix

package doctor

import (
	"fmt"
	"os"
	"syscall"

	"indelible/internal/engine"
)

func quote(path string) string { return engine.ShellQuote(path) }

// closedTo says why the owner of one directory may not read and write a file; "" if it may.
func closedTo(owner, file os.FileInfo) string {
	o, ok := owner.Sys().(*syscall.Stat_t)
	f, fok := file.Sys().(*syscall.Stat_t)
	if !ok || !fok || o.Uid == 0 || file.Mode()&os.ModeSymlink != 0 {
		return ""
	}
	if f.Uid != o.Uid {
		return fmt.Sprintf("belongs to user %d, the directory to user %d", f.Uid, o.Uid)
	}
	want := os.FileMode(0o600)
	if file.IsDir() {
		want = 0o700
	}
	if perm := file.Mode().Perm(); perm&want != want {
		return fmt.Sprintf("its mode is %#o", perm)
	}
	return ""
}
