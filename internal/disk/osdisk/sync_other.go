//go:build !linux

package osdisk

import (
	"os"
	"runtime"
)

// datasync is File.Sync: F_FULLFSYNC on macOS, FlushFileBuffers on Windows.
func datasync(f *os.File) error { return f.Sync() }

// syncDir is fsync of a directory; Windows has none and journals names itself.
func syncDir(f *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return f.Sync()
}

// allocate does nothing: these systems have no cheap portable call for it.
func allocate(*os.File, int64) error { return nil }
