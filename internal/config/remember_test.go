package config

import (
	"os"
	"path/filepath"
	"testing"
)

// A data directory that is moved or copied takes its own store with it.
func TestRememberedDefaultMovesWithTheData(t *testing.T) {
	nothing := func(string) (string, bool) { return "", false }
	dir := t.TempDir()
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	if err := os.Mkdir(before, 0o700); err != nil {
		t.Fatal(err)
	}
	serve, err := Load(Input{Env: nothing, Flags: map[string]string{"data": before}})
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Remember(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Input{Env: nothing, Flags: map[string]string{"data": after}, Remember: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Config.Destination.URL, StoreURL(fileURL(filepath.Join(after, "store"))); got != want {
		t.Errorf("after the move commands read %s, want %s", got, want)
	}
}
