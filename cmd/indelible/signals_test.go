//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A reader of the log lines that ends, as in "serve 2>&1 | logger", takes nothing with it.
func TestServeOutlivesItsLogger(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data, "/bin/sh", "-c", `{ "$0" "$@"; echo $? > "`+data+`.status"; } 2>&1 | head -c 1 > /dev/null`)
	putRecord(t, p.at.S3, "a", "body")
	daemonProcess, err := os.FindProcess(p.at.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemonProcess.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if status, err := os.ReadFile(data + ".status"); err != nil || strings.TrimSpace(string(status)) != "0" {
		t.Errorf("serve ended with %q, %v", status, err)
	}
}

// A terminal that is closed stops serve in good order.
func TestHangUpIsACleanStop(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	putRecord(t, p.at.S3, "a", "body")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended; err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
}

// Files that tell of the process, and were removed under it, do not spoil its stop.
func TestStopWithoutRunFileAndSocket(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data)
	for _, name := range []string{"run.json", "indelible.sock"} {
		if err := os.Remove(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	p.stop(t)
}

// A daemon that is stopped, and thus says nothing, is told as that.
func TestStatusOfAStoppedDaemon(t *testing.T) {
	t.Parallel() // it waits
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, data)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer p.stop(t)
	defer func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "status", "--data", data)
	cmd.Env = append(os.Environ(), asMain+"=1", "INDELIBLE_CONFIG=")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	if err := cmd.Wait(); err == nil || !strings.Contains(stderr.String(), "said nothing") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}
