package testserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Python returns the bin directory of a virtual environment that holds exactly
// these pip requirements, which should pin all there is ("boto3==1.44.5"). It is made
// once per machine and set of requirements. Where it cannot be made (no Python, no
// network) the test is skipped, or fails under RequirePeers=1.
func Python(t testing.TB, requirements ...string) (bin string) {
	t.Helper()
	bin, err := venv(t.Context(), requirements)
	if err != nil {
		Missing(t, "python with "+strings.Join(requirements, " "), err)
	}
	return bin
}

// Missing skips a test whose peer is not here, or fails it under RequirePeers=1.
func Missing(t testing.TB, peer string, err error) {
	t.Helper()
	if os.Getenv(RequirePeers) == "1" {
		t.Fatalf("%s, which %s=1 demands: %v", peer, RequirePeers, err)
	}
	t.Skipf("no %s to test against: %v", peer, err)
}

// venv makes the environment in its final place, because its scripts name that place;
// a file tells that it is whole. Two makers of one environment do the same twice.
func venv(ctx context.Context, requirements []string) (bin string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(requirements, "\n")))
	dir := filepath.Join(cache, "indelible-test", "venv-"+hex.EncodeToString(sum[:8]))
	bin, whole := filepath.Join(dir, "bin"), filepath.Join(dir, "whole")
	if _, err := os.Stat(whole); err == nil {
		return bin, nil
	}
	if _, err := run(ctx, "", "python3", "-m", "venv", dir); err != nil {
		return "", err
	}
	args := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, requirements...)
	if _, err := run(ctx, "", filepath.Join(bin, "python"), args...); err != nil {
		return "", err
	}
	return bin, os.WriteFile(whole, nil, 0o600)
}
