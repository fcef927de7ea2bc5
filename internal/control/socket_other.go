//go:build !linux

package control

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// shortPath is a path of the socket in dir that fits a socket address: the full
// one, or the one from the working directory.
func shortPath(dir string) (path string, done func(), err error) {
	full := filepath.Join(dir, SocketFile)
	if len(full) <= maxSocketPath {
		return full, func() {}, nil
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, full); err == nil && len(rel) <= maxSocketPath {
			return rel, func() {}, nil
		}
	}
	return "", nil, fmt.Errorf("the path %s is longer than the %d bytes that a socket's may have: give --data a shorter one", full, maxSocketPath)
}

// closedSocket does nothing: these systems know the mode of a socket only by its file, which
// lies in a data directory that is this user's alone.
func closedSocket(_, _ string, _ syscall.RawConn) error { return nil }
