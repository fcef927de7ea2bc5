//go:build unix

package proof

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"indelible/internal/disk/osdisk"
)

// What a command run as root leaves in the service's data directory, the
// service can open, and what was readable by others stays so.
func TestRotationKeepsOwnerAndMode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const service = 65534
	dir := t.TempDir()
	if err := os.Chown(dir, service, service); err != nil {
		t.Fatal(err)
	}
	d, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	k, err := OpenKeys(t.Context(), d, KeySource{Name: "test-log"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, PublicFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := BeginRotation(t.Context(), d, &k); err != nil {
		t.Fatal(err)
	}
	if err := FinishRotation(d, &k); err != nil {
		t.Fatal(err)
	}
	if err := (&state{cp: Checkpoint{Log: "test-log"}, edge: &edge{}}).save(&memory{disk: d}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{KeyFile: 0o600, PublicFile: 0o644, OldFile: 0o600, stateFile: 0o600, stateDir: os.ModeDir | 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != service || info.Mode() != mode {
			t.Errorf("%s belongs to %d and has mode %v", name, uid, info.Mode())
		}
	}
}
