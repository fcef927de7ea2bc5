package setup

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"indelible/internal/config"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
)

func TestKeepName(t *testing.T) {
	dir := t.TempDir()
	data, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	// What a crash between create and rename leaves is in nobody's way.
	if err := os.WriteFile(filepath.Join(dir, "log.name.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := KeepName(data, "")
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9._-]+-[0-9a-f]{8}$`).MatchString(name) {
		t.Fatalf("first start: %q, %v", name, err)
	}
	for _, wanted := range []string{"", name} {
		if again, err := KeepName(data, wanted); err != nil || again != name {
			t.Errorf("next start wanting %q: %q, %v, want %q", wanted, again, err, name)
		}
	}
	if _, err := KeepName(data, "other"); !strings.Contains(err.Error(), name) {
		t.Errorf("another name is taken: %v", err)
	} else if _, ok := errors.AsType[*config.Error](err); !ok {
		t.Errorf("%T is no ConfigError", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log.name"), []byte("a b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, err := KeepName(data, ""); err == nil {
		t.Errorf("a damaged file gives the name %q", name)
	}
}

// A key file is there after a power cut, name and all, as soon as its public half was told; one that is there is not replaced.
func TestKeyFileIsDurable(t *testing.T) {
	d := crashdisk.New()
	vkey, err := writeKey(d, "gw", "log.key", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeKey(d, "gw", "log.key", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second key: %v", err)
	}
	after := d.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	f, err := after.Open("log.key")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	secret := make([]byte, size)
	if err == nil {
		_, err = f.ReadAt(secret, 0)
	}
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if key, err := proof.ParseKey(strings.TrimSpace(string(secret)), "gw"); err != nil || key.Public() != vkey {
		t.Errorf("%v, %s, want %s", err, key.Public(), vkey)
	}
}
