package daemon

import (
	"fmt"
	"math"
	"os"
	"time"

	"indelible/internal/engine"
	"indelible/internal/upload"
)

// Status is what `status --json` and /api/status say. Totals are durable: they
// count over the life of the spool.
type Status struct {
	Running              bool                  `json:"running"` // false: read from the data directory, no daemon runs
	PID                  int                   `json:"pid,omitempty"`
	Version              string                `json:"version"`
	Acked                uint64                `json:"acked"`
	Stored               uint64                `json:"stored"`
	Proven               uint64                `json:"proven"`
	Pending              uint64                `json:"pending"`
	PendingBytes         int64                 `json:"pending_bytes"`
	OldestPendingSeconds int64                 `json:"oldest_pending_seconds"`
	Quarantined          uint64                `json:"quarantined"`
	Deferred             uint64                `json:"deferred"`
	Collisions           uint64                `json:"collisions"`
	Resent               uint64                `json:"resent"`
	Gaps                 uint64                `json:"gaps"`
	Log                  LogStatus             `json:"log"`
	Destination          DestinationStatus     `json:"destination"`
	Disk                 DiskStatus            `json:"disk"`
	Doors                map[string]DoorStatus `json:"doors"`
}

// LogStatus is about the transparency log.
type LogStatus struct {
	Name string `json:"name"`
	Size uint64 `json:"size"` // leaves in the tree
	// CheckpointAgeSeconds is null until there is a checkpoint.
	CheckpointAgeSeconds *int64 `json:"checkpoint_age_seconds"`
}

// DestinationStatus is what the store says.
type DestinationStatus struct {
	URL       string    `json:"url"`
	State     string    `json:"state"` // ok, throttled, credentials, configuration or unreachable
	Since     time.Time `json:"since"`
	Retries   uint64    `json:"retries"` // since the daemon started
	InFlight  int       `json:"in_flight"`
	LastError string    `json:"last_error"`
}

// DiskStatus is about the data directory's disk.
type DiskStatus struct {
	FreeBytes  int64 `json:"free_bytes"`
	SpoolBytes int64 `json:"spool_bytes"`
	// SyncSeconds is how long the last sync of the spool took, or the one under
	// way has taken so far: no ack is faster.
	SyncSeconds float64 `json:"sync_seconds"`
}

// DoorStatus is about one open door; counts are since the daemon started.
type DoorStatus struct {
	Listen  string `json:"listen"`
	Acked   uint64 `json:"acked"`
	Refused uint64 `json:"refused"`
	// LastRecord is null until a record came.
	LastRecord *time.Time `json:"last_record"`
}

// statusOf is what the disk tells: everything but the destination and the doors.
func statusOf(c *engine.Components) (Status, error) {
	s := Status{Version: Version().Version, Log: LogStatus{Name: c.Name()}, Doors: map[string]DoorStatus{}}
	if data := c.Data(); data != nil {
		free, err := data.Free()
		if err != nil {
			return s, fmt.Errorf("ask for free space: %w", err)
		}
		s.Disk.FreeBytes = int64(min(free, math.MaxInt64))
	}
	size, _, err := c.Published()
	if err != nil {
		return s, err
	}
	s.Log.Size = size
	if c.Spool() == nil {
		return s, nil
	}
	st := c.Spool().Stats()
	s.Acked, s.Stored, s.Resent = st.Acked, st.Stored, st.Resent
	s.Proven = st.Stored // the spool is told of a record only when it is proven
	s.Collisions, s.Gaps, s.Quarantined, s.Deferred = st.Collisions, st.Gaps, st.Quarantined, st.Deferred
	s.Pending, s.PendingBytes, s.Disk.SpoolBytes = st.Pending, st.PendingBytes, st.SpoolBytes
	s.Disk.SyncSeconds = st.SyncTook.Seconds()
	if !st.OldestPending.IsZero() {
		s.OldestPendingSeconds = int64(max(0, time.Since(st.OldestPending)) / time.Second)
	}
	return s, nil
}

// unproven counts n records as stored that the spool is not yet told of: they
// wait for the next checkpoint.
func (s *Status) unproven(n uint64) {
	n = min(n, s.Pending)
	s.Stored += n
	s.Pending -= n
	if s.Pending == 0 {
		s.PendingBytes, s.OldestPendingSeconds = 0, 0
	}
}

// status is the whole of it, in the daemon.
func (d *daemon) status() (Status, error) {
	s, err := statusOf(&d.engine.Components)
	if err != nil {
		return s, err
	}
	s.Running, s.PID = true, os.Getpid()
	stats := d.engine.Stats()
	u := stats.Upload
	s.unproven(u.Unproven)
	if st := stats.Log; st.Log != "" {
		s.Log.Size = st.Size
		if !st.Checkpoint.IsZero() {
			s.Log.CheckpointAgeSeconds = new(int64(max(0, time.Since(st.Checkpoint)) / time.Second))
		}
	}
	s.Destination = DestinationStatus{
		URL: d.config.Destination.URL, State: string(u.State), Since: u.Since.UTC(),
		Retries: u.Retries, InFlight: u.InFlight, LastError: u.LastError,
	}
	for name, t := range d.tallies {
		s.Doors[name] = t.status()
	}
	return s, nil
}

// states are the labels of the destination's state.
func (d *daemon) states() []string {
	var states []string
	for _, s := range upload.States() {
		states = append(states, string(s))
	}
	return states
}
