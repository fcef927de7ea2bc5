package testserver

import (
	"os"
	"slices"
	"testing"
)

// RequirePeers is the environment variable under which tests run against peers. "1", which test/steps
// sets, makes "the peer cannot be had here" a failure; with "0" it is a skip.
const RequirePeers = "INDELIBLE_REQUIRE_PEERS"

func required() bool { return os.Getenv(RequirePeers) == "1" }

// NeedsPeers skips a test that runs against other programs, unless RequirePeers or another variable asks
// for it: go test ./... needs nothing but Go, and runs the same tests whatever a machine happens to have.
func NeedsPeers(t testing.TB) {
	t.Helper()
	// Whoever asks for tests that take minutes wants the peers, too.
	asks := []string{RequirePeers, "INDELIBLE_DOCS", "INDELIBLE_E2E", "INDELIBLE_OTLP", "INDELIBLE_READERS", "INDELIBLE_WIRE"}
	if !slices.ContainsFunc(asks, func(name string) bool { return os.Getenv(name) != "" }) {
		t.Skipf("runs against other programs: the steps of test/all set %s=1", RequirePeers)
	}
}

// WithPeers is the environment of tests that run against the peers that are here.
func WithPeers() []string {
	if os.Getenv(RequirePeers) != "" {
		return os.Environ()
	}
	return append(os.Environ(), RequirePeers+"=0")
}

// Missing skips a test whose peer is not here, or fails it under RequirePeers.
func Missing(t testing.TB, peer string, err error) {
	t.Helper()
	if required() {
		t.Fatalf("%s, which %s=1 demands: %v", peer, RequirePeers, err)
	}
	t.Skipf("no %s to test against: %v", peer, err)
}
