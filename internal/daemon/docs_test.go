package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"indelible/internal/config"
	"indelible/internal/control"
)

// noEnv is an empty environment.
func noEnv(string) (string, bool) { return "", false }

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// docs/operations.md has every metric, and they have the promised names.
func TestMetricsAreDocumented(t *testing.T) {
	doc := readDoc(t, "operations.md")
	m := newMetrics()
	m.attempts.WithLabelValues("x")
	m.retries.WithLabelValues("x")
	age := int64(1)
	s := control.Status{Log: control.LogStatus{CheckpointAgeSeconds: &age}, Doors: map[string]control.DoorStatus{"s3": {Since: birth, RefusedBy: map[string]uint64{"x": 1}}}}
	m.registry.MustRegister(newSnapshot(func() (control.Status, error) { return s, nil }, []string{"ok"}))
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
		"records_acked_total", "records_stored_total", "records_proven_total", "records_refused_total", "pending_records", "pending_bytes",
		"oldest_pending_seconds", "ack_seconds", "fsync_seconds", "upload_attempts_total", "upload_retries_total", "upload_in_flight",
		"destination_state", "key_collisions_total", "quarantined_records", "gaps_total", "checkpoint_age_seconds", "last_record_seconds",
	} {
		if !got["indelible_"+name] {
			t.Errorf("indelible_%s is promised and missing", name)
		}
	}
}

// Every line that the doctor can write has its row.
func TestChecksAreDocumented(t *testing.T) {
	doc := readDoc(t, "operations.md")
	l, err := config.Load(config.Input{Flags: map[string]string{"data": filepath.Join(t.TempDir(), "data"), "s3": "127.0.0.1:0", "http": "127.0.0.1:0", "admin": "127.0.0.1:0"}, Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	Doctor(t.Context(), l, func(c Check) {
		n++
		if !strings.Contains(doc, "`"+c.Name+"`") {
			t.Errorf("the line %q is not documented", c.Name)
		}
		if c.State == CheckFailed {
			t.Errorf("%s failed: %s", c.Name, c.Found)
		}
	})
	if n < 11 {
		t.Errorf("only %d checks", n)
	}
}
