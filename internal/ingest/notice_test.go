package ingest

import (
	"testing"
	"testing/synctest"
	"time"
)

// notices runs a test with a clock of its own.
func notices(t *testing.T, f func(n *Notices, sleep func(time.Duration))) {
	synctest.Test(t, func(*testing.T) { f(new(Notices), time.Sleep) })
}
