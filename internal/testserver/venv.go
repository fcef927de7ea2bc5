package testserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Python returns the interpreter of a virtual environment with exactly the
// packages that the requirements file pins, made once per machine and pins.
// Without RequirePeers the test is skipped.
func Python(t testing.TB, requirements string) string {
	t.Helper()
	NeedsPeers(t)
	python, err := MakePython(t.Context(), requirements)
	if err != nil {
		Missing(t, "Python packages", err)
	}
	return python
}

// MakePython is Python without a test. It makes the environment again where a making was cut short.
func MakePython(ctx context.Context, requirements string) (string, error) {
	pins, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "indelible-test", fmt.Sprintf("venv-%x", sha256.Sum256(pins))[:5+24])
	python := filepath.Join(dir, "bin", "python")
	if runtime.GOOS == "windows" {
		python = filepath.Join(dir, "Scripts", "python.exe")
	}
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return python, nil
	}
	unlock, err := lockDir(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return python, nil // made meanwhile
	}
	// A virtual environment cannot be moved: it is made in place and marked when it is whole.
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-deps", "--requirement", requirements},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return python, os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600)
}

// A lock is touched by whoever holds it; one that is older than staleLock was left by a process that died.
const (
	touchLock = 30 * time.Second
	staleLock = 10 * time.Minute
)

// lockDir keeps other test processes out, however long the holder takes.
func lockDir(ctx context.Context, name string) (func(), error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	for {
		err := os.Mkdir(name, 0o700)
		if err == nil {
			return holdDir(name, touchLock), nil
		}
		if !os.IsExist(err) {
			return nil, err
		}
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > staleLock {
			_ = os.Remove(name)
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// holdDir touches a lock at times until the function that it returns is called, which removes it.
func holdDir(name string, every time.Duration) func() {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				_ = os.Chtimes(name, now, now) // at worst another process takes it for a dead one's
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		_ = os.Remove(name)
	}
}
