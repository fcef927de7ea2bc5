package s3

import (
	"errors"
	"fmt"
	"syscall"
)

// localLimits are the errors by which this process or machine, and not the store or
// the way to it, keeps a call from being made, each with what to do.
var localLimits = []struct {
	errno syscall.Errno
	say   string
}{
	{syscall.EMFILE, "this process has no file descriptor left: raise its limit (ulimit -n, LimitNOFILE=)"},
	{syscall.ENFILE, "this machine has no file descriptor left: raise fs.file-max"},
	{syscall.EADDRNOTAVAIL, "this machine has no local port left for another connection: lower max_concurrency, or widen net.ipv4.ip_local_port_range"},
	{syscall.ENOBUFS, "this machine has no memory left for sockets"},
	{syscall.ENOMEM, "this machine has no memory left"},
}

// localLimit gives err the words of the limit that it is about, or false.
func localLimit(err error) (error, bool) {
	for _, l := range localLimits {
		if errors.Is(err, l.errno) {
			return fmt.Errorf("%s: %w", l.say, err), true
		}
	}
	if _, creds := errors.AsType[*credentialsError](err); creds && errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("this process may start no other: raise its limit (pids.max, TasksMax=): %w", err), true
	}
	return err, false
}
