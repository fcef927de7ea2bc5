package local

import (
	"os"
	"time"

	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/version"
)

// statusOf is what the disk tells: everything but the destination and the doors.
func statusOf(c *engine.Components, w DiskWatch) (control.Status, error) {
	s := control.Status{Version: version.Of().Version, Log: control.LogStatus{Name: c.Name()}, Doors: map[string]control.DoorStatus{}}
	disk, err := w.Status(c)
	if err != nil {
		return s, err
	}
	s.Disk = disk
	if size, _, err := c.Published(); err != nil {
		s.Log.Problem = err.Error()
	} else {
		s.Log.Size = size
	}
	if c.Spool() == nil {
		return s, nil
	}
	st := c.Spool().Stats()
	s.Acked, s.Stored, s.Resent = st.Acked, st.Stored, st.Resent
	s.Proven = st.Stored // the spool is told of a record only when it is proven
	s.Collisions, s.Gaps, s.Quarantined, s.Deferred = st.Collisions, st.Gaps, st.Quarantined, st.Deferred
	gaps, others := c.Spool().Gaps(control.MaxGapRanges)
	for _, g := range gaps {
		s.GapRanges = append(s.GapRanges, control.GapRange{First: uint64(g.First), Last: uint64(g.Last), Cause: g.Cause})
	}
	s.GapsNotListed = others
	s.Pending, s.PendingBytes = st.Pending, st.PendingBytes
	if !st.OldestPending.IsZero() {
		s.OldestPendingSeconds = int64(max(0, time.Since(st.OldestPending)) / time.Second)
	}
	return s, nil
}

// countUnproven counts n records as stored that the spool is not yet told of: they
// wait for the next checkpoint.
func countUnproven(s *control.Status, n uint64) {
	n = min(n, s.Pending)
	s.Stored += n
	s.Pending -= n
	if s.Pending == 0 {
		s.PendingBytes, s.OldestPendingSeconds = 0, 0
	}
}

// EngineStatus is what a process says of the engine that it runs: everything but the doors.
func EngineStatus(e *engine.Engine, w DiskWatch, destination string) (control.Status, error) {
	s, err := statusOf(&e.Components, w)
	if err != nil {
		return s, err
	}
	s.Running, s.PID = true, os.Getpid()
	stats := e.Stats()
	u := stats.Upload
	countUnproven(&s, u.Unproven)
	if st := stats.Log; st.Log != "" {
		s.Log.Size = st.Size
		if !st.Checkpoint.IsZero() {
			s.Log.CheckpointAgeSeconds = new(int64(max(0, time.Since(st.Checkpoint)) / time.Second))
		}
	}
	s.Destination = control.DestinationStatus{
		URL: destination, State: string(u.State), Since: u.Since.UTC(),
		Retries: u.Retries, InFlight: u.InFlight, LastError: u.LastError,
	}
	s.Scrub = scrubStatus(stats.Scrub)
	return s, nil
}

func scrubStatus(st *engine.ScrubStats) *control.ScrubStatus {
	if st == nil {
		return nil
	}
	s := &control.ScrubStatus{Seconds: st.Took.Seconds(), Records: st.Records, Checked: st.Checked, Faults: st.Faults, First: st.First, Problem: st.Problem}
	if !st.Ended.IsZero() {
		s.Ended = new(st.Ended.UTC())
	}
	return s
}
