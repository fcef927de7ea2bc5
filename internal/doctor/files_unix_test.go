//go:build unix

package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A file that the service may not open is found, also by root, who may, and the printed command mends it.
func TestFilesClosedToTheService(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	dir := filepath.Join(t.TempDir(), "the data")
	name := filepath.Join(dir, "proof", "state")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Dir(name), name} {
		if err := os.Lchown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	if c := checkFiles(dir); c.State != OK {
		t.Fatalf("all is well: %+v", c)
	}
	for what, harm := range map[string]func() error{
		"owner": func() error { return os.Lchown(name, 0, 0) },
		"mode":  func() error { return os.Chmod(name, 0o400) },
		"dir":   func() error { return os.Lchown(filepath.Dir(name), 0, 0) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		c := checkFiles(dir)
		if c.State != Failed || !strings.Contains(c.Found, "proof") {
			t.Errorf("%s: %+v", what, c)
		}
		if out, err := exec.Command("/bin/sh", "-c", c.Remedy).CombinedOutput(); err != nil {
			t.Fatalf("%s: %q: %v: %s", what, c.Remedy, err, out)
		}
		if c := checkFiles(dir); c.State != OK {
			t.Errorf("%s, after the printed command: %+v", what, c)
		}
	}
}
