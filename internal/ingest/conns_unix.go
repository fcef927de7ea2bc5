//go:build unix

package ingest

import "syscall"

// DefaultConns is how many connections one listener holds at a time: a quarter
// of the file descriptors that this process may have, so that delivery and the
// spool always find some.
func DefaultConns() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConns
	}
	return int(min(max(limit.Cur/4, 16), mostConns))
}
