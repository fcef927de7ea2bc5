package upload

import (
	"time"

	"indelible/internal/store"
)

// State is what is known about the destination.
type State string

// The states of the destination, in the words that status and metrics use.
const (
	OK            State = "ok"
	Throttled     State = "throttled"     // it answers, and asks for less
	Credentials   State = "credentials"   // it refuses our credentials
	Configuration State = "configuration" // no such bucket, wrong region or endpoint
	Unreachable   State = "unreachable"   // no answer, or nothing but errors
)

// States lists all of them.
func States() []State { return []State{OK, Throttled, Credentials, Configuration, Unreachable} }

const (
	// downAfter failures in a row without one success mean an outage, whatever their class.
	downAfter = 16
	// maxProbes may hang at once while the destination is down: one that hangs
	// does not delay the next. With the usual timeouts it is two or three.
	maxProbes = 64
	// calmAfter without a throttled answer the destination is ok again.
	calmAfter = 10 * time.Second
)

// health is the state of the destination: a pure state machine. While it is
// down one record is let through as a probe at growing intervals; the others
// wait without being tried.
type health struct {
	least, most time.Duration // bounds of the interval between probes

	state     State
	since     time.Time
	successes uint64 // since the start
	fails     int    // in a row
	down      bool
	probes    int       // begun since it is down
	hanging   int       // probes that have not ended
	notBefore time.Time // no attempt before that
	throttle  time.Time // last throttled answer
}

func newHealth(least, most time.Duration, now time.Time) health {
	return health{least: least, most: most, state: OK, since: now}
}

// may says whether an attempt may begin, and if not, when to ask again (zero:
// when one in flight has ended).
func (h *health) may(now time.Time) (bool, time.Time) {
	switch {
	case h.down && h.hanging >= maxProbes:
		return false, time.Time{}
	case now.Before(h.notBefore):
		return false, h.notBefore
	}
	return true, time.Time{}
}

// began notes an attempt and says whether it is a probe. The time of the next
// probe counts from the begin of this one, so that an attempt that hangs does
// not stretch the interval.
func (h *health) began(now time.Time, r float64) (probe bool) {
	if !h.down {
		return false
	}
	h.probes++
	h.hanging++
	h.notBefore = now.Add(max(h.least, backoff(h.probes+1, h.least, h.most, 0, r)))
	return true
}

// ended notes the end of an attempt, before what became of it.
func (h *health) ended(probe bool) {
	if probe {
		h.hanging--
	}
}

// succeeded takes a record stored, and reports whether an outage ended.
func (h *health) succeeded(now time.Time) (back bool) {
	h.successes++
	return h.answered(now)
}

// answered takes any answer that only a working store gives, and reports
// whether an outage ended.
func (h *health) answered(now time.Time) (back bool) {
	h.fails = 0
	back = h.down
	if h.down {
		h.down, h.probes, h.notBefore = false, 0, time.Time{}
	}
	if back || h.state != Throttled || now.Sub(h.throttle) >= calmAfter {
		h.become(OK, now)
	}
	return back
}

// failed takes a failure that speaks of the store or the way to it. others says that some
// record was stored since the attempt began: then the failure is the record's own. It reports whether
// an outage began or changed its kind.
func (h *health) failed(class store.Class, asked time.Duration, others bool, now time.Time, r float64) (alarm bool) {
	if asked > 0 {
		h.notBefore = later(h.notBefore, now.Add(min(asked, h.most)))
	}
	if class == store.Throttled {
		h.throttle = now
	}
	if others {
		if class == store.Throttled && !h.down {
			h.become(Throttled, now)
		}
		return false
	}
	h.fails++
	before, kind := h.state, stateOf(class)
	outage := kind != Throttled && class != store.Ambiguous && class != store.Unknown
	switch {
	case h.down || outage || h.fails >= downAfter:
		if !h.down {
			h.down = true
			h.notBefore = later(h.notBefore, now.Add(max(h.least, backoff(1, h.least, h.most, 0, r))))
		}
		h.become(kind, now)
		return h.state != before
	case kind == Throttled:
		h.become(Throttled, now)
	}
	return false
}

// at is the state to show, and since when: being throttled is over after a calm while.
func (h *health) at(now time.Time) (State, time.Time) {
	if calm := h.throttle.Add(calmAfter); h.state == Throttled && !h.down && !now.Before(calm) {
		return OK, calm
	}
	return h.state, h.since
}

// idle notes that nothing is left to send: the last answer counts, and it was a success.
func (h *health) idle(now time.Time) {
	if h.state == Throttled && !h.down && h.fails == 0 {
		h.become(OK, now)
	}
}

func (h *health) become(s State, now time.Time) {
	if h.state != s {
		h.state, h.since = s, now
	}
}

func stateOf(c store.Class) State {
	switch c {
	case store.Throttled:
		return Throttled
	case store.Credentials:
		return Credentials
	case store.Configuration:
		return Configuration
	}
	return Unreachable
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
