//go:build !linux

package driver

import "os/exec"

// DieWithParent does nothing where no system call does it.
func DieWithParent(*exec.Cmd) {}
