package control

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A write that fails leaves no token: half of one would be kept, and could be guessed. The limit on a
// file's size holds for a whole process, so that the test runs in its own.
func TestFailedWriteLeavesNoToken(t *testing.T) {
	if os.Getenv("INDELIBLE_TEST_TOKEN") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailedWriteLeavesNoToken$")
		cmd.Env = append(os.Environ(), "INDELIBLE_TEST_TOKEN=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	data, dir := tokenDir(t)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 5, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := MadeToken(data, dir, slog.New(slog.DiscardHandler))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("make: %v", err)
	}
	noToken(t, dir)
}

// The socket's file has its mode from the moment that it exists, whatever the umask is.
func TestSocketIsNeverOpenToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketFile)
	before := syscall.Umask(0)
	ln, err := listenUnix(path)
	syscall.Umask(before)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
