package otlp

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestHinted compares with a search for each hint in texts that are made of pieces of hints.
func TestHinted(t *testing.T) {
	var pieces []string
	for _, h := range hints {
		if len(h) > longestHint {
			t.Errorf("%q is longer than longestHint", h)
		}
		pieces = append(pieces, h, h[:len(h)/2], h[len(h)/2:], h[1:])
	}
	pieces = append(pieces, "the quick ", "k", "s", "z", "\n", "é", "SIG", "=")
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		text := ""
		for range 1 + rnd.IntN(6) {
			text += pieces[rnd.IntN(len(pieces))]
		}
		want := false
		for _, h := range hints {
			want = want || len(text) >= 24 && strings.Contains(text, h)
		}
		if hinted(text) != want {
			t.Fatalf("hinted(%q) = %v", text, !want)
		}
	}
}
