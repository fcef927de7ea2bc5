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
