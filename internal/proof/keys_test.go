package proof

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"indelible/internal/disk/osdisk"
)

func TestParseKey(t *testing.T) {
	k, err := GenerateKey("log-1")
	if err != nil {
		t.Fatal(err)
	}
	seed := k.seeds[0]
	for name, secret := range map[string]string{"line": k.Secret() + "\n", "hex": hex.EncodeToString(seed), "base64": base64.StdEncoding.EncodeToString(seed)} {
		got, err := ParseKey(secret, "log-1")
		if err != nil || got.Public() != k.Public() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := note.NewVerifier(k.Public()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", k.Public(), k.Secret()[:60], hex.EncodeToString(seed[1:])} {
		if _, err := ParseKey(bad, "log-1"); err == nil || bad != "" && len(bad) > 20 && strings.Contains(err.Error(), bad[len(bad)-8:]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParseKey(k.Secret(), "log-2"); err == nil {
		t.Error("a key of another log is taken")
	}
}

// A key that is printed or logged by mistake shows no secret.
func TestKeyHidesItsSecret(t *testing.T) {
	k, _ := GenerateKey("log-1")
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "key", k)
	fmt.Fprint(&b, k)
	fmt.Fprintf(&b, "%v %+v %s %q", k, k, k, k)
	secret := k.Secret()
	if strings.Contains(b.String(), secret[len(secret)-20:]) || strings.Contains(b.String(), "private") {
		t.Errorf("the secret is in %s", b.String())
	}
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"", ".", "..", ".meta", "a b", "a+b", "a/b", "é", strings.Repeat("a", 201)} {
		if CheckName(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if name := NewName(); CheckName(name) != nil || name == NewName() {
		t.Errorf("made the name %q", name)
	}
}

func TestOpenKeys(t *testing.T) {
	dir := t.TempDir()
	d, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, err := OpenKeys(t.Context(), d, KeySource{Name: "log-1"})
	if err != nil || !first.Made || first.Key.Name() != "log-1" {
		t.Fatalf("%+v, %v", first, err)
	}
	if info, err := os.Stat(filepath.Join(dir, KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	again, err := OpenKeys(t.Context(), d, KeySource{})
	if err != nil || again.Made || again.Key.Public() != first.Key.Public() {
		t.Errorf("%+v, %v", again, err)
	}
	for what, from := range map[string]KeySource{"names the log log-2": {Name: "log-2"}, "by rotation only": {Secret: strings.Repeat("00", 32)}} {
		if _, err := OpenKeys(t.Context(), d, from); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(t.Context(), d, KeySource{}); err == nil || !strings.Contains(err.Error(), "can be verified for ever") {
		t.Errorf("a lost key: %v", err)
	}
	if k, err := OpenKeys(t.Context(), d, KeySource{Secret: hex.EncodeToString(first.Key.seeds[0])}); err != nil || k.Key.Public() != first.Key.Public() {
		t.Errorf("the seed from outside: %v", err)
	}
}

func TestRotateKeyFiles(t *testing.T) {
	d := tempDisk(t)
	k, err := OpenKeys(t.Context(), d, KeySource{Name: "log-1"})
	if err != nil {
		t.Fatal(err)
	}
	old := k.Key
	if err := BeginRotation(t.Context(), d, &k); err != nil {
		t.Fatal(err)
	}
	begun, err := OpenKeys(t.Context(), d, KeySource{})
	if err != nil || begun.Key.Public() != old.Public() || begun.Next.Public() != k.Next.Public() {
		t.Fatalf("%+v, %v", begun, err)
	}
	next := k.Next
	if err := writeFile(d, KeyFile, []byte(next.Secret()+"\n")); err != nil { // killed in the middle
		t.Fatal(err)
	}
	done, err := OpenKeys(t.Context(), d, KeySource{})
	if err != nil || done.Key.Public() != next.Public() || !done.Next.zero() {
		t.Fatalf("%+v, %v", done, err)
	}
	if err := BeginRotation(t.Context(), d, &done); err != nil {
		t.Fatal(err)
	}
	if err := FinishRotation(d, &done); err != nil {
		t.Fatal(err)
	}
	last, err := OpenKeys(t.Context(), d, KeySource{})
	if err != nil || last.Key.Public() != done.Key.Public() || last.Key.Public() == next.Public() {
		t.Errorf("%+v, %v", last, err)
	}
	if olds, err := readLine(d, OldFile); err != nil || !strings.Contains(olds, next.Public()) {
		t.Errorf("old keys %q, %v", olds, err)
	}
}
