package layout

import (
	"strings"
	"testing"
	"time"
)

// The short way to a file name gives what the long one does, up to the longest name.
func TestFileNames(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	for _, id := range []string{"", "a", "a/b:c", "\x00\x1f\x7f", "\xff", "é", "a.b-c_d", strings.Repeat("0", 229), strings.Repeat("0", 230), strings.Repeat("0", 228) + "/", strings.Repeat("x", 5000)} {
		if got, want := string(appendFileName(nil, at, id)), fileName("time-03-04-05-678901_"+id); got != want {
			t.Errorf("%.40q: %s, want %s", id, got, want)
		}
	}
}

// TestKeysAreFormatted compares with what time.Format makes.
func TestKeysAreFormatted(t *testing.T) {
	for i, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1764000000, 123456789), time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), time.Date(1999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(12026, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(-5, 1, 2, 3, 4, 5, 6, time.UTC),
	} {
		at = at.UTC()
		want := "d/" + at.Format("2006-01-02/15/") + "time-" + strings.Replace(at.Format("15-04-05.000000"), ".", "-", 1) + "_x.json"
		if got := DoorKey("d", at, "x"); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
}
