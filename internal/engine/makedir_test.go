package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/engine"
)

// TestMakeDirThroughLink takes a directory behind an absolute link for the one that is wanted.
func TestMakeDirThroughLink(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Skip("no links here:", err)
	}
	for _, path := range []string{link, filepath.Join(link, "below", "it")} {
		if err := engine.MakeDir(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if info, err := os.Stat(filepath.Join(real, "below", "it")); err != nil || !info.IsDir() {
		t.Errorf("not made where the link leads: %v", err)
	}
}
