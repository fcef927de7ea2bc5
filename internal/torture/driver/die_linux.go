package driver

import (
	"os/exec"
	"syscall"
)

// DieWithParent has the kernel kill the process when the tests die.
func DieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
