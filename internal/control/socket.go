package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// SocketFile is the Unix socket on which a running daemon answers the command
// line.
const SocketFile = "indelible.sock"

// maxSocketPath is how long a socket's path may be on every system (macOS: 104
// bytes with the zero at its end; Linux and Windows: 108).
const maxSocketPath = 103

// ListenSocket opens the socket in dataDir, readable for this user alone. What
// is there under its name is stale: the caller holds the lock.
func ListenSocket(dataDir string) (net.Listener, error) {
	full := filepath.Join(dataDir, SocketFile)
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the socket: %w", err)
	}
	path, done, err := shortPath(dataDir)
	if err != nil {
		return nil, fmt.Errorf("open the socket: %w", err)
	}
	defer done()
	ln, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("open the socket %s: %w: have room there and the right to write, or choose another data directory with --data, on a file system that has Unix sockets", full, err)
	}
	if err := os.Chmod(full, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the socket: %w", err), ln.Close())
	}
	return ln, nil
}

// listenUnix opens a socket that nobody else can connect to from its first moment on, where the system can do that.
func listenUnix(path string) (net.Listener, error) {
	c := net.ListenConfig{Control: closedSocket}
	ln, err := c.Listen(context.Background(), "unix", path)
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its path may be a short-lived one; serve removes the file
	}
	return ln, err
}

// dialSocket connects to the daemon that runs on dataDir.
func dialSocket(ctx context.Context, dataDir string) (net.Conn, error) {
	path, done, err := shortPath(dataDir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
