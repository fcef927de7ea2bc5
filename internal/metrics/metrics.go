// Package metrics shows a daemon to Prometheus. All names are promises, and no
// label ever holds a key, an id, a prompt or a secret.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"indelible/internal/control"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// Metrics are what moves one by one, and, from Watch on, the rest. They are safe for
// concurrent use.
type Metrics struct {
	registry     *prometheus.Registry
	ackSeconds   prometheus.Histogram
	fsyncSeconds prometheus.Histogram
	attempts     *prometheus.CounterVec
	retries      *prometheus.CounterVec
}

// latencies are bucket bounds from a fast disk's sync to a hold at the door.
var latencies = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}

// New makes metrics of nothing yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "indelible_ack_seconds", Help: "From the beginning of a record's body at the door to its acknowledgement.", Buckets: latencies,
		}),
		fsyncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "indelible_fsync_seconds", Help: "Syncs of the spool.", Buckets: latencies,
		}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_upload_attempts_total", Help: "Attempts to store a record since the start, by how they ended.",
		}, []string{"result"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "indelible_upload_retries_total", Help: "Attempts that will be repeated since the start, by what went wrong.",
		}, []string{"cause"}),
	}
	m.registry.MustRegister(
		m.ackSeconds, m.fsyncSeconds, m.attempts, m.retries,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Watch adds the numbers of a status, which is asked at each scrape.
func (m *Metrics) Watch(status func() (control.Status, error)) {
	var states []string // that a destination can be in
	for _, s := range upload.States() {
		states = append(states, string(s))
	}
	m.registry.MustRegister(newSnapshot(status, states))
}

// Handler serves them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Acked takes how long a record waited for its acknowledgement.
func (m *Metrics) Acked(took time.Duration) { m.ackSeconds.Observe(took.Seconds()) }

// SpoolEvents are what the spool tells as it happens.
func (m *Metrics) SpoolEvents() spool.Events {
	return spool.Events{Synced: func(_ int, _ int64, took time.Duration, err error) {
		if err == nil {
			m.fsyncSeconds.Observe(took.Seconds())
		}
	}}
}

// UploadEvents are what the uploader tells as it happens.
func (m *Metrics) UploadEvents() upload.Events {
	return upload.Events{
		Attempt: func(result string, _ time.Duration) { m.attempts.WithLabelValues(result).Inc() },
		Retry:   func(cause store.Class) { m.retries.WithLabelValues(cause.String()).Inc() },
	}
}
