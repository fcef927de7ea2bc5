package demo

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when this process dies, however it dies; and
// keeps the terminal's Ctrl-C, which is for this process, from it.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
