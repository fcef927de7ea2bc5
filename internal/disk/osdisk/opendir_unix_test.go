//go:build unix

package osdisk

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// A file is read as it is, up to the limit; nothing leads out of the directory, and a pipe holds nobody up.
func TestOpenDir(t *testing.T) {
	top := t.TempDir()
	f, err := Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	body := bytes.Repeat([]byte("0123456789"), 2000)
	for name, data := range map[string][]byte{"d/file": body, "d/empty": nil, "d/sub/x": body, "secret": body} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(top, "d/link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(top, "d/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	read, done, err := f.OpenDir("d")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read("file", []byte("before"), 1<<20); err != nil || string(got) != "before"+string(body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := read("file", make([]byte, 0, 7), 5000); err != nil || string(got) != string(body[:5000]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := read("empty", nil, 10); err != nil || len(got) != 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	names := []string{"none", "sub/x", "../secret", "..", ".", "", "sub", "/etc/passwd"}
	if runtime.GOOS == "linux" { // elsewhere os.Root opens them
		names = append(names, "link")
		if got, err := read("pipe", nil, 10); err == nil && len(got) > 0 {
			t.Errorf("a pipe gave %d bytes", len(got))
		}
	}
	for _, name := range names {
		if got, err := read(name, nil, 10); err == nil {
			t.Errorf("%q was read: %q", name, got)
		}
	}
	// To close it while others read is safe: they fail, and read nothing else.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				got, err := read("file", nil, 1<<20)
				if err != nil {
					return
				}
				if !bytes.Equal(got, body) {
					t.Error("other bytes")
				}
			}
		})
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
