package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A proof is checked where there is no network at all, no daemon and no data directory.
func TestProofWithoutNetwork(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a network namespace")
	}
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %v %s", err, out)
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	p := start(t, data)
	body := []byte(`{"id":"abc"}`)
	if err := put(t.Context(), http.DefaultClient, p.at.S3, "2026-11-24/time-1_abc.json", body); err != nil {
		t.Fatal(err)
	}
	proofFile := filepath.Join(dir, "abc.tlog-proof")
	var complaints bytes.Buffer
	for end := time.Now().Add(patience); run([]string{"prove", "abc", "--data", data, "-o", proofFile}, &complaints, &complaints) != exitOK; time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("no proof after %s\n%s", patience, &complaints)
		}
	}
	p.stop(t)
	if info, err := os.Stat(proofFile); err != nil || info.Size() > 2<<10 {
		t.Errorf("the proof: %v, %v", info, err)
	}
	far := t.TempDir()
	for name, from := range map[string]string{"vkey": filepath.Join(data, "log.vkey"), "proof": proofFile} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(far, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(far, "record"), body, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--net", self, "verify", "--proof", "proof", "--record", "record", "--vkey", "vkey")
	cmd.Dir = far
	cmd.Env = append(os.Environ(), asMain+"=1", "INDELIBLE_CONFIG=")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "is the record that was logged") {
		t.Errorf("%v\n%s", err, out)
	}
}
