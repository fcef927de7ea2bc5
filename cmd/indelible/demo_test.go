package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/demo"
)

// startDemo starts demo with a directory for its temporary files.
func startDemo(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string, stdout *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp, stdout = t.TempDir(), new(bytes.Buffer)
	cmd = exec.Command(self, append([]string{"demo"}, args...)...)
	// What is set for another daemon must not reach the demo's.
	cmd.Env = append(os.Environ(), asMain+"=1", "TMPDIR="+tmp, "INDELIBLE_TO=s3://not-this-one", "AWS_ACCESS_KEY_ID=not-this-one")
	cmd.Stdout, cmd.Stderr = stdout, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, tmp, stdout
}

// leftBehind fails the test for every file and process that belongs to a demo with its files in tmp.
func leftBehind(t *testing.T, tmp string) {
	t.Helper()
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left behind", e.Name())
	}
	for _, pid := range processesOf(t, tmp) {
		t.Errorf("process %s is left behind", pid)
	}
}

// processesOf are the processes whose command line names a directory (Linux).
func processesOf(t *testing.T, dir string) (pids []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), dir) { // else it has gone
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

func TestDemo(t *testing.T) {
	t.Parallel() // it waits
	cmd, tmp, stdout := startDemo(t, "--fast", "--json")
	if err := cmd.Wait(); err != nil {
		t.Errorf("demo: %v", err)
	}
	var r demo.Result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if !r.OK || !r.Verified || !r.Named || r.Waiting == 0 || len(r.Senders) != 3 {
		t.Fatalf("%+v", r)
	}
	we, three, one := r.Senders[0], r.Senders[1], r.Senders[2]
	if we.Sent == 0 || we.Missing != 0 || we.Twice != 0 || r.Acked != uint64(we.Sent) {
		t.Errorf("Indelible: %+v, %d in the log", we, r.Acked)
	}
	// The same faults must have been faults: without them the demo shows nothing.
	if three.Missing == 0 || one.Missing < three.Missing || three.Attempts != 3 || one.Attempts != 1 {
		t.Errorf("three attempts: %+v; one: %+v", three, one)
	}
	leftBehind(t, tmp)
}

// Ctrl-C ends the demo and its daemon at once, and nothing is left behind.
func TestDemoInterrupted(t *testing.T) {
	cmd, tmp, _ := startDemo(t)
	waitForDaemon(t, tmp)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.ExitCode() != exitWrong {
		t.Errorf("it ended with %v, want status %d", exit, exitWrong)
	}
	leftBehind(t, tmp)
}

// A demo that is killed takes its daemon with it.
func TestDemoKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills a child with its parent")
	}
	cmd, tmp, _ := startDemo(t)
	waitForDaemon(t, tmp)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for end := time.Now().Add(patience); len(processesOf(t, tmp)) > 0; time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("processes %v live on", processesOf(t, tmp))
		}
	}
}

func waitForDaemon(t *testing.T, tmp string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		if found, _ := filepath.Glob(filepath.Join(tmp, "indelible-demo-*", "data", "run.json")); len(found) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the demo has started no daemon")
		}
	}
}
