package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/config"
	"indelible/internal/setup"
)

// A damaged memory of the log takes neither status nor metrics with it, and is told with what to do.
func TestStatusWithADamagedProofState(t *testing.T) {
	dir := t.TempDir()
	l, err := config.Load(config.Input{Flags: map[string]string{"data": dir, "to": filepath.Join(t.TempDir(), "store")}, Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	e, err := setup.Engine(t.Context(), l, nil, setup.Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.MkdirAll(filepath.Join(dir, "proof"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "proof", "state"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := statusOf(&e.Components, DiskWatch{Dir: dir})
	if err != nil || !strings.Contains(s.Log.Problem, "that file away") || s.Log.Name != e.Name() {
		t.Errorf("%+v, %v", s.Log, err)
	}
}
