package testserver

import (
	"os"
	"testing"
)

// Missing skips a test whose peer is not here, or fails it under RequirePeers=1.
func Missing(t testing.TB, peer string, err error) {
	t.Helper()
	if os.Getenv(RequirePeers) == "1" {
		t.Fatalf("%s, which %s=1 demands: %v", peer, RequirePeers, err)
	}
	t.Skipf("no %s to test against: %v", peer, err)
}
