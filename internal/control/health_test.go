package control

import (
	"strings"
	"testing"
)

// A directory has no network and no endpoint that somebody could check.
func TestRemedyOfADestination(t *testing.T) {
	for url, want := range map[string]string{"s3://bucket/p": "network", "file:///mnt/store": "file system"} {
		if got := (DestinationStatus{URL: url, State: "unreachable"}).Remedy(); !strings.Contains(got, want) || !strings.Contains(got, "records are kept") {
			t.Errorf("%s: %s", url, got)
		}
	}
}
