package testserver

import (
	"errors"
	"os"
	"testing"
)

// errNotMade says that a peer is not here, and that this run makes none: go test ./...
// needs nothing but Go, and makes nothing that takes minutes.
var errNotMade = errors.New("it has not been made here: go run ./test/peers makes it, and test/all does that first")

// required says that peers are made where they are not here, and that a test fails without.
func required() bool { return os.Getenv(RequirePeers) == "1" }

// Missing skips a test whose peer is not here, or fails it under RequirePeers=1.
func Missing(t testing.TB, peer string, err error) {
	t.Helper()
	if required() {
		t.Fatalf("%s, which %s=1 demands: %v", peer, RequirePeers, err)
	}
	t.Skipf("no %s to test against: %v", peer, err)
}
