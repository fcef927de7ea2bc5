package daemon

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"indelible/internal/config"
)

// The unit waits longer than a stop with the default settings can take: requests in flight, exchanges of the
// recording proxy, delivery.
func TestUnitWaitsForTheStop(t *testing.T) {
	text, err := os.ReadFile("../../packaging/linux/indelible.service")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the unit has no TimeoutStopSec in seconds")
	}
	seconds, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	longest := time.Duration(max(c.Doors.S3.MaxHold, c.Doors.HTTP.MaxHold)+c.Shutdown.Drain) + stopSlack + stopSlack
	if unit := time.Duration(seconds) * time.Second; unit <= longest {
		t.Errorf("the unit kills the daemon after %s, and a stop takes up to %s", unit, longest)
	}
}
