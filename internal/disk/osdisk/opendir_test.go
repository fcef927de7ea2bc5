package osdisk

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Names has what ReadDir has, also where another directory has come to the path since.
func TestNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, dir := range []string{"a/b", "a/c"} {
		if err := f.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "a", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	same := func() {
		t.Helper()
		want, err := f.ReadDir("a")
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Names("a")
		if err != nil {
			t.Fatal(err)
		}
		text := func(list []os.DirEntry) (texts []string) {
			for _, d := range list {
				texts = append(texts, d.Type().String()+d.Name())
			}
			slices.Sort(texts)
			return texts
		}
		if !slices.Equal(text(got), text(want)) || len(got) != 3 {
			t.Errorf("%v, want %v", got, want)
		}
	}
	same()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	same()
	if err := os.MkdirAll(filepath.Join(path, "a", "other"), 0o700); err != nil {
		t.Fatal(err)
	}
	same()
	if _, err := f.Names("none"); !os.IsNotExist(err) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
