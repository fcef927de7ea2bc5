package upload

import "time"

// pacer is how many attempts may be in flight: additive increase,
// multiplicative decrease. It is a pure state machine.
type pacer struct {
	limit float64
	max   float64
	good  int    // successes since the limit last changed
	epoch uint64 // counts the cuts: a burst of failures that began together cuts once
}

const (
	paceStart = 8   // attempts in flight at the beginning and after an outage
	paceCut   = 0.7 // what a throttled answer leaves of the limit
)

func newPacer(maxInFlight int) pacer {
	return pacer{limit: min(paceStart, float64(maxInFlight)), max: float64(maxInFlight)}
}

// allowed is the number of attempts that may be in flight now.
func (p *pacer) allowed() int { return max(1, int(p.limit)) }

// succeeded takes a success. Only a saturated pacer grows: an idle one learns
// nothing about what the store would bear.
func (p *pacer) succeeded(saturated bool) {
	if !saturated {
		return
	}
	if p.good++; p.good >= p.allowed() {
		p.good = 0
		p.limit = min(p.max, p.limit+1)
	}
}

// throttled takes a failure of an attempt that began in the given epoch.
func (p *pacer) throttled(epoch uint64) {
	if epoch != p.epoch {
		return // it began before the last cut and tells nothing new
	}
	p.epoch++
	p.good = 0
	p.limit = max(1, p.limit*paceCut)
}

// restart starts over after an outage.
func (p *pacer) restart() {
	p.epoch++
	p.good = 0
	p.limit = min(paceStart, p.max)
}

// backoff is how long to wait after the n-th failure in a row (n from 1): full
// jitter over an exponentially growing span. r is drawn from [0, 1). What the
// store asked for is honoured up to the longest wait.
func backoff(n int, least, most, asked time.Duration, r float64) time.Duration {
	span := most
	if shift := n - 1; shift < 30 && least<<shift < most && least<<shift > 0 {
		span = least << shift
	}
	return max(time.Duration(r*float64(span)), min(asked, most))
}
