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
		for n := range 100 { // where another search takes over
			if text := "the quick brown fox jump" + strings.Repeat("z", n); !hinted(text+h) || hinted(text+h[1:]) {
				t.Errorf("%d z, then %q", n, h)
			}
		}
		pieces = append(pieces, h, h[:len(h)/2], h[len(h)/2:], h[1:])
	}
	pieces = append(pieces, strings.Repeat("z", 200), "the quick ", "k", "s", "z", "\n", "é", "SIG", "=")
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var text strings.Builder
		for range 1 + rnd.IntN(6) {
			text.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		want := false
		for _, h := range hints {
			want = want || len(text.String()) >= 24 && strings.Contains(text.String(), h)
		}
		if hinted(text.String()) != want {
			t.Fatalf("hinted(%q) = %v", text.String(), !want)
		}
	}
}

// BenchmarkHintedHostile looks through texts that are made of what hints begin with.
func BenchmarkHintedHostile(b *testing.B) {
	for _, piece := range []string{"z", "key", "sec"} {
		text := strings.Repeat(piece, 1<<20/len(piece))
		b.Run(piece, func(b *testing.B) {
			for b.Loop() {
				hinted(text)
			}
		})
	}
}
