package daemon

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"indelible/internal/control"
	"indelible/internal/record"
)

// tally is what one door has done since the daemon started. Its methods may be
// called concurrently.
type tally struct {
	door, listen   string
	metrics        *metrics
	ackedTotal     prometheus.Counter
	acks, refusals atomic.Uint64
	last           atomic.Int64 // UnixNano of the newest ack; 0: none
}

func newTally(door, listen string, m *metrics) *tally {
	return &tally{door: door, listen: listen, metrics: m, ackedTotal: m.acked.WithLabelValues(door)}
}

// acked takes a record that was acknowledged; a copy of one known before is no new record.
func (t *tally) acked(r record.Receipt, took time.Duration) {
	t.last.Store(time.Now().UnixNano())
	t.metrics.ackSeconds.Observe(took.Seconds())
	if !r.Resent {
		t.acks.Add(1)
		t.ackedTotal.Inc()
	}
}

// refused takes a record that was not acknowledged.
func (t *tally) refused(reason string) {
	t.refusals.Add(1)
	t.metrics.refused.WithLabelValues(t.door, reason).Inc()
}

func (t *tally) status() control.DoorStatus {
	s := control.DoorStatus{Listen: t.listen, Acked: t.acks.Load(), Refused: t.refusals.Load()}
	if last := t.last.Load(); last != 0 {
		s.LastRecord = new(time.Unix(0, last).UTC())
	}
	return s
}
