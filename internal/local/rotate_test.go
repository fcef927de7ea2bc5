package local

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/config"
	"indelible/internal/setup"
)

// A change of key beside no daemon is no crash: the log must not say so for ever.
func TestRotateAloneLeavesNoCrash(t *testing.T) {
	dir := t.TempDir()
	c := config.Default()
	c.Data, c.Destination.URL = filepath.Join(dir, "data"), config.StoreURL("file://"+filepath.Join(dir, "store"))
	l := &config.Loaded{Config: c}
	live := func() {
		e, err := setup.Engine(t.Context(), l, nil, setup.Events{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Match(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.Stop(t.Context())
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	live()
	if _, err := rotateAlone(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	live()
	keys := 0
	err := filepath.WalkDir(filepath.Join(dir, "store"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(`"kind":"recovered"`)) {
			t.Errorf("%s tells of a crash", name)
		}
		keys += bytes.Count(b, []byte(`"kind":"key"`))
		return err
	})
	if err != nil || keys == 0 {
		t.Errorf("%d leaves of the change of key, %v", keys, err)
	}
}
