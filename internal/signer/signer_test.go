package signer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"indelible/internal/proof"
	"indelible/internal/testserver"
)

// TestOpenSSL runs the program that docs/signer.md shows.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		testserver.Missing(t, "openssl", err)
	}
	dir := t.TempDir()
	newKey := func(name string) {
		if out, err := exec.Command("openssl", "genpkey", "-algorithm", "ed25519", "-out", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	newKey("1.pem")
	c := New([]string{"../../examples/signer/openssl.sh", dir})
	first, err := c.Public(t.Context())
	if err != nil || len(first) != 1 || first[0].Algorithm != proof.Ed25519 {
		t.Fatalf("%v, %v", first, err)
	}
	newKey("2.pem")
	second, err := c.Public(t.Context())
	if err != nil || string(second[0].Public) == string(first[0].Public) {
		t.Fatalf("%v, %v", second, err)
	}
	message := []byte("a\nmessage\x00")
	for _, k := range append(first, second...) {
		sig, err := c.Sign(t.Context(), k, message)
		if err != nil || !ed25519.Verify(k.Public, message, sig) {
			t.Errorf("%x: %v", k.Public, err)
		}
	}
	other := proof.SignerKey{Algorithm: proof.Ed25519, Public: make([]byte, 32)}
	if _, err := c.Sign(t.Context(), other, message); err == nil || !strings.Contains(err.Error(), "is not here") {
		t.Errorf("a key that it does not have: %v", err)
	}
}

// What a program does wrong is said, with what to do, within the time that it has.
func TestBadPrograms(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs are shell scripts")
	}
	for name, c := range map[string]struct{ script, want string }{
		"dies":            {"echo lost the token >&2; exit 3", "lost the token"},
		"says an error":   {"echo error the HSM is locked", "the HSM is locked"},
		"says nothing":    {"exit 0", "does not begin with"},
		"answers another": {"echo signature AAAA", `does not begin with "public"`},
		"no base64":       {"echo public ed25519 '!'", "in base64"},
		"another kind":    {"echo public rsa AAAA", "no ed25519 or ml-dsa-44"},
		"no key":          {"echo public", "has no key"},
		"escapes":         {`printf 'error \033[31mred\n'`, `\x1b`},
		"much":            {"yes | head -c 10000000", "does not begin with"},
		"is not there":    {"", "cannot be started"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "program")
			command := []string{file}
			if c.script != "" {
				command = []string{"/bin/sh", file} // to run a file that was just written can fail with ETXTBSY
				if err := os.WriteFile(file, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			_, err := New(command).Public(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "try it by hand") || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%v", err)
			}
		})
	}
}

// One that hangs, with a child that keeps its pipes open, is given up at the deadline.
func TestHangingProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell script")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\nsleep 600 &\necho $! > "+dir+"/pid\nsleep 20\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	_, err := New([]string{"/bin/sh", file}).Sign(ctx, proof.SignerKey{Algorithm: proof.Ed25519}, nil)
	if err == nil || !strings.Contains(err.Error(), "no answer") || time.Since(start) > 15*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	if pid, err := os.ReadFile(filepath.Join(dir, "pid")); err != nil || !gone(strings.TrimSpace(string(pid))) {
		t.Errorf("what it had started runs on: %s, %v", pid, err)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the cause is hidden: %v", err)
	}
}

// gone says whether a process ended, or does within a second; on systems without /proc it cannot tell.
func gone(pid string) bool {
	for range 100 {
		state, err := os.ReadFile("/proc/" + pid + "/stat")
		if runtime.GOOS != "linux" || err != nil || strings.Contains(string(state), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
