package control

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"indelible/internal/disk/osdisk"
)

func tokenDir(t *testing.T) (*osdisk.FS, string) {
	t.Helper()
	dir := t.TempDir()
	data, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	return data, dir
}

// A token that a failed write cut short, by whatever version, is not taken.
func TestShortTokenIsReplaced(t *testing.T) {
	data, dir := tokenDir(t)
	path := filepath.Join(dir, TokenFile)
	if err := os.WriteFile(path, []byte("ABCDE"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := MadeToken(data, dir, slog.New(slog.DiscardHandler))
	if err != nil || len(token) < 20 {
		t.Fatalf("%q, %v", token, err)
	}
	if b, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(b)) != token {
		t.Errorf("kept: %q, %v", b, err)
	}
}

// Rights of others to a token are taken away, with a word.
func TestReadableTokenIsClosed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such rights in a file's mode")
	}
	data, dir := tokenDir(t)
	path := filepath.Join(dir, TokenFile)
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	token, err := MadeToken(data, dir, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if again, err := MadeToken(data, dir, log); err != nil || again != token {
		t.Errorf("%q, %v", again, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if !strings.Contains(said.String(), path) || !strings.Contains(said.String(), "0640") {
		t.Errorf("said %q", said.String())
	}
}

// noToken fails the test where a token, or what was begun of one, is left in dir.
func noToken(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{TokenFile, TokenFile + ".new"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
