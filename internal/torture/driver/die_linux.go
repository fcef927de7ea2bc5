package driver

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process when the tests die.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
