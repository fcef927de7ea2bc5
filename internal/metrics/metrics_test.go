package metrics

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/control"
)

// docs/operations.md has every metric, and they have the promised names.
func TestMetricsAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	m := New()
	m.attempts.WithLabelValues("x")
	m.retries.WithLabelValues("x")
	age := int64(1)
	now := time.Now()
	s := control.Status{Scrub: &control.ScrubStatus{Ended: &now}, Log: control.LogStatus{CheckpointAgeSeconds: &age}, Doors: map[string]control.DoorStatus{"s3": {Since: time.Now(), RefusedBy: map[string]uint64{"x": 1}, Dropped: 1, Senders: []control.SenderStatus{{Source: "x"}}}}}
	m.Watch(func() (control.Status, error) { return s, nil })
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "indelible_") {
			got[name] = true
			if !strings.Contains(doc, "`"+name) {
				t.Errorf("%s is not documented", name)
			}
		}
	}
	for _, name := range []string{
		"records_acked_total", "records_stored_total", "records_proven_total", "records_refused_total", "records_dropped_total", "pending_records", "pending_bytes",
		"oldest_pending_seconds", "ack_seconds", "fsync_seconds", "upload_attempts_total", "upload_retries_total", "upload_in_flight",
		"destination_state", "key_collisions_total", "quarantined_records", "gaps_total", "checkpoint_age_seconds", "last_record_seconds", "disk_state", "unread_records", "scrub_faults_total", "scrub_age_seconds", "spool_read_errors_total",
	} {
		if !got["indelible_"+name] {
			t.Errorf("indelible_%s is promised and missing", name)
		}
	}
}
