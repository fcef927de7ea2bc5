package proof

import "math"

// Confidence is what a random sample in which nothing was found says of the
// whole: with Level, at most MaxBad of all objects are bad.
type Confidence struct {
	Level  float64 `json:"level"`
	MaxBad int64   `json:"max_bad"` // objects
	Of     int64   `json:"of"`
}

// confidence is the bound at 95 %, for objects that were each chosen with equal
// chance. In a sample of n of N objects, none of k bad ones is met with a probability of at most
// (1 - n/N)^k.
func confidence(checked, all int64) *Confidence {
	c := &Confidence{Level: 0.95, MaxBad: all, Of: all}
	switch share := float64(checked) / float64(max(all, 1)); {
	case share >= 1:
		c.MaxBad = 0
	case share > 0:
		c.MaxBad = min(all, int64(math.Ceil(math.Log(0.05)/math.Log1p(-share))))
	}
	return c
}
