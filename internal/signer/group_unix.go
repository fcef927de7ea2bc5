//go:build unix

package signer

import (
	"os/exec"
	"syscall"
)

// killGroup has the program in a process group of its own, which ends whole where it is given up: a script's children
// would otherwise hang on, some more each minute. A terminal's Ctrl-C, which is for this process, does not reach it.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
