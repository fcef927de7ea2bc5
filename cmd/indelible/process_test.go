package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"indelible/internal/control"
)

// process is a real serve.
type process struct {
	cmd    *exec.Cmd
	at     control.Running
	stderr *bytes.Buffer
	ended  chan error
}

// start runs serve on a data directory and waits until its doors take records.
// wrap is put before the command line.
func start(t *testing.T, data string, wrap ...string) *process {
	t.Helper()
	return startServe(t, data, wrap)
}

// startServe is start with further flags.
func startServe(t *testing.T, data string, wrap []string, flags ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrap, self, "serve", "--data", data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--http", "off", "--proxy", "off")
	args = append(args, flags...)
	p := &process{cmd: exec.Command(args[0], args[1:]...), stderr: new(bytes.Buffer), ended: make(chan error, 1)}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), asMain+"=1", "INDELIBLE_CONFIG=")
	p.cmd.Stderr = p.stderr
	_ = os.Remove(filepath.Join(data, "run.json")) // of one that was killed
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		select {
		case err := <-p.ended:
			t.Fatalf("serve ended: %v\n%s", err, p.stderr)
		default:
		}
		if p.at, err = control.ReadRunning(data); err == nil && p.ready() {
			return p
		}
		if time.Now().After(end) {
			_ = p.cmd.Process.Kill()
			t.Fatalf("serve was not ready after %s\n%s", patience, p.stderr)
		}
	}
}

func (p *process) ready() bool {
	resp, err := http.Get("http://" + p.at.Admin + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends serve in order, and fails the test unless it exits with 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	daemonProcess, err := os.FindProcess(p.at.PID) // a wrapper would not pass the signal on
	if err != nil {
		t.Fatal(err)
	}
	if err := daemonProcess.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Fatalf("stop: %v\n%s", err, p.stderr)
		}
	case <-time.After(2 * patience):
		_ = p.cmd.Process.Kill()
		t.Fatalf("serve did not stop\n%s", p.stderr)
	}
}

// kill is kill -9.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}
