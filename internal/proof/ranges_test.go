package proof

import (
	"math/rand/v2"
	"testing"

	"indelible/internal/record"
)

// A set of ranges is what a map of its records is.
func TestRangeSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var s, other rangeSet
		want, without := map[record.Seq]bool{}, map[record.Seq]bool{}
		for range 60 {
			first := record.Seq(1 + rng.IntN(80))
			last := first + record.Seq(rng.IntN(6))
			switch rng.IntN(4) {
			case 0:
				s.remove(first)
				delete(want, first)
			case 1:
				other.add(first, last)
				for q := first; q <= last; q++ {
					without[q] = true
				}
			default:
				s.add(first, last)
				for q := first; q <= last; q++ {
					want[q] = true
				}
			}
			rest := s.minus(&other)
			n := 0
			for q := range record.Seq(100) {
				if s.has(q) != want[q] || rest.has(q) != (want[q] && !without[q]) {
					t.Fatalf("record %d: in %v: %v, without %v: %v", q, s.list, s.has(q), other.list, rest.has(q))
				}
				if want[q] {
					n++
				}
			}
			if s.count() != uint64(n) {
				t.Fatalf("%v counts %d, want %d", s.list, s.count(), n)
			}
			for i := 1; i < len(s.list); i++ {
				if s.list[i].First <= s.list[i-1].Last+1 {
					t.Fatalf("%v is not in its shortest form", s.list)
				}
			}
		}
	}
}
