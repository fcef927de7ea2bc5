package testserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Npm returns a directory with the files of dir and the packages of npm that its package-lock.json pins, kept in the user's cache
// by the checksum of the files. It needs node and npm, and skips without.
func Npm(t testing.TB, dir string) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			Missing(t, tool, err)
		}
	}
	made, err := makeNpm(t.Context(), dir)
	if err != nil {
		Missing(t, "packages of npm", err)
	}
	return made
}

func makeNpm(ctx context.Context, dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range names { // sorted
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", filepath.Base(name), len(b))
		sum.Write(b)
		files[filepath.Base(name)] = b
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	made := filepath.Join(cache, "indelible-test", fmt.Sprintf("npm-%x", sum.Sum(nil))[:4+24])
	complete := filepath.Join(made, "complete")
	if _, err := os.Stat(complete); err == nil {
		return made, nil
	}
	unlock, err := lockDir(ctx, made+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(complete); err == nil {
		return made, nil // made meanwhile
	}
	if err := errors.Join(os.RemoveAll(made), os.MkdirAll(made, 0o700)); err != nil {
		return "", err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(made, name), b, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = made
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return made, os.WriteFile(complete, nil, 0o600)
}
