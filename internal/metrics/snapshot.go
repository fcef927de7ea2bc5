package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"indelible/internal/control"
)

// reading is one number of a Status as a metric.
type reading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*control.Status) float64
}

// snapshot collects a Status as metrics, when it is asked for.
type snapshot struct {
	status   func() (control.Status, error)
	states   []string // every state that the destination can be in
	readings []reading
	state    *prometheus.Desc
	age      *prometheus.Desc
	faults   *prometheus.Desc
	scrubbed *prometheus.Desc
	last     *prometheus.Desc
	acked    *prometheus.Desc
	disk     *prometheus.Desc
	refused  *prometheus.Desc
	dropped  *prometheus.Desc
	sent     *prometheus.Desc
	silence  *prometheus.Desc
}

func newSnapshot(status func() (control.Status, error), states []string) *snapshot {
	total := func(name, help string, v func(*control.Status) uint64) reading {
		return reading{desc(name, help), prometheus.CounterValue, func(s *control.Status) float64 { return float64(v(s)) }}
	}
	gauge := func(name, help string, v func(*control.Status) int64) reading {
		return reading{desc(name, help), prometheus.GaugeValue, func(s *control.Status) float64 { return float64(v(s)) }}
	}
	return &snapshot{
		status: status, states: states,
		readings: []reading{
			total("records_stored_total", "Records that the store has confirmed, over the life of the spool.", func(s *control.Status) uint64 { return s.Stored }),
			total("records_proven_total", "Records covered by a signed checkpoint in the store, over the life of the spool.", func(s *control.Status) uint64 { return s.Proven }),
			total("key_collisions_total", "Records whose key was taken by other bytes, over the life of the spool; each was kept under a name of its own.", func(s *control.Status) uint64 { return s.Collisions }),
			total("gaps_total", "Ranges of records made unreadable by damage to the disk, over the life of the spool.", func(s *control.Status) uint64 { return s.Gaps }),
			total("spool_read_errors_total", "Failed reads of the spool, since the start; each is tried again.", func(s *control.Status) uint64 { return s.Disk.ReadErrors }),
			gauge("unread_records", "Records that could not be read at the last try. They are acknowledged and not lost.", func(s *control.Status) int64 { return int64(s.Disk.Unread) }),
			gauge("pending_records", "Records acknowledged and not yet stored.", func(s *control.Status) int64 { return int64(s.Pending) }),
			gauge("pending_bytes", "Bytes of the records acknowledged and not yet stored.", func(s *control.Status) int64 { return s.PendingBytes }),
			gauge("oldest_pending_seconds", "Age of the oldest record that is not yet stored.", func(s *control.Status) int64 { return s.OldestPendingSeconds }),
			gauge("upload_in_flight", "Attempts to store a record under way.", func(s *control.Status) int64 { return int64(s.Destination.InFlight) }),
			gauge("quarantined_records", "Records that the store refuses for their own content; on disk until they are redriven.", func(s *control.Status) int64 { return int64(s.Quarantined) }),
		},
		disk:     desc("disk_state", "1 for the state that the disk of the data directory is in, 0 for the others.", "state"),
		acked:    desc("records_acked_total", "Records acknowledged since the start, re-sent copies not counted.", "door"),
		sent:     desc("sender_records_total", "Records acknowledged since the start of a sender whose credential has a name, re-sent copies included.", "door", "sender"),
		silence:  desc("sender_last_record_seconds", "Time since such a sender's last acknowledged record, or since the door was opened if it has sent none.", "door", "sender"),
		refused:  desc("records_refused_total", "Records not acknowledged since the start; their senders still have them.", "door", "reason"),
		dropped:  desc("records_dropped_total", "Spans and log records that have nothing to do with a model, since the start: counted, and not kept (doors.http.otlp.other).", "door"),
		state:    desc("destination_state", "1 for the state that the destination is in, 0 for the others.", "state"),
		age:      desc("checkpoint_age_seconds", "Age of the newest signed checkpoint in the store."),
		last:     desc("last_record_seconds", "Time since a door last acknowledged a record, or since it was opened if it has acknowledged none.", "door"),
		faults:   desc("scrub_faults_total", "What scrubs have found missing or changed in the destination, since the start."),
		scrubbed: desc("scrub_age_seconds", "Time since the last scrub that could look."),
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("indelible_"+name, help, labels, nil)
}

// Describe is prometheus.Collector's.
func (s *snapshot) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range s.readings {
		ch <- r.desc
	}
	ch <- s.state
	ch <- s.age
	ch <- s.faults
	ch <- s.scrubbed
	ch <- s.last
	ch <- s.acked
	ch <- s.disk
	ch <- s.refused
	ch <- s.sent
	ch <- s.silence
}

// Collect is prometheus.Collector's.
func (s *snapshot) Collect(ch chan<- prometheus.Metric) {
	st, err := s.status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(s.state, err)
		return
	}
	for _, r := range s.readings {
		ch <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(&st))
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, state := range s.states {
		is := 0.0
		if state == st.Destination.State {
			is = 1
		}
		gauge(s.state, is, state)
	}
	for _, state := range control.DiskStates() {
		is := 0.0
		if state == st.Disk.State {
			is = 1
		}
		gauge(s.disk, is, string(state))
	}
	if age := st.Log.CheckpointAgeSeconds; age != nil {
		gauge(s.age, float64(*age))
	}
	if scrub := st.Scrub; scrub != nil {
		ch <- prometheus.MustNewConstMetric(s.faults, prometheus.CounterValue, float64(scrub.Faults))
		if scrub.Ended != nil {
			gauge(s.scrubbed, max(0, time.Since(*scrub.Ended)).Seconds())
		}
	}
	for door, d := range st.Doors {
		ch <- prometheus.MustNewConstMetric(s.acked, prometheus.CounterValue, float64(d.Acked), door)
		if door == "otlp" || d.Dropped > 0 {
			ch <- prometheus.MustNewConstMetric(s.dropped, prometheus.CounterValue, float64(d.Dropped), door)
		}
		for reason, n := range d.RefusedBy {
			ch <- prometheus.MustNewConstMetric(s.refused, prometheus.CounterValue, float64(n), door, reason)
		}
		last := d.Since // a source that never came is silent, too
		if d.LastRecord != nil {
			last = *d.LastRecord
		}
		gauge(s.last, max(0, time.Since(last)).Seconds(), door) // the clock may have been set back
		for _, from := range d.Senders {
			last := d.Since
			if from.LastRecord != nil {
				last = *from.LastRecord
			}
			ch <- prometheus.MustNewConstMetric(s.sent, prometheus.CounterValue, float64(from.Records), door, from.Source)
			gauge(s.silence, max(0, time.Since(last)).Seconds(), door, from.Source)
		}
	}
}
