package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/config"
	"indelible/internal/setup"
)

// A data directory that was renamed under the process is named, with what to do.
func TestStatusOfARenamedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := config.Load(config.Input{Flags: map[string]string{"data": dir}, Env: func(string) (string, bool) { return "", false }})
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
	if err := os.Rename(dir, dir+"-moved"); err != nil {
		t.Fatal(err)
	}
	_, err = statusOf(&e.Components, DiskWatch{Dir: dir})
	if err == nil || !strings.HasPrefix(err.Error(), "the data directory "+dir+" is not there any more") || !strings.Contains(err.Error(), "put it back") || strings.Contains(err.Error(), "statfs") {
		t.Errorf("%v", err)
	}
	if err := os.Rename(dir+"-moved", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := statusOf(&e.Components, DiskWatch{Dir: dir}); err != nil {
		t.Errorf("back in its place: %v", err)
	}
}

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
