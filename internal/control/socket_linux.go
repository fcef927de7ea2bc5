package control

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// shortPath is a path of the socket in dir that fits a socket address. A long
// one is reached through the open directory's entry in /proc; done closes it.
func shortPath(dir string) (path string, done func(), err error) {
	if full := filepath.Join(dir, SocketFile); len(full) <= maxSocketPath {
		return full, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + SocketFile, func() { _ = d.Close() }, nil
}

// closedSocket gives a socket its mode before it has a name: Linux makes the file with it.
// Where it cannot, the mode that the file gets afterwards has to do.
func closedSocket(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}
