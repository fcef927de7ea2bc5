package local

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"indelible/internal/control"
	"indelible/internal/doctor"
	"indelible/internal/engine"
	"indelible/internal/spool"
	"indelible/internal/term"
)

// slowSync is what no healthy disk needs for a sync.
const slowSync = 100 * time.Millisecond

// DiskWatch says how the disk of the data directory is.
type DiskWatch struct {
	Dir     string
	Reserve int64 // bytes that the spool leaves free
}

// Status is how the disk is now.
func (w DiskWatch) Status(c *engine.Components) (control.DiskStatus, error) {
	s := control.DiskStatus{State: control.DiskOK}
	if data := c.Data(); data != nil {
		free, err := data.Free()
		if errors.Is(err, fs.ErrNotExist) {
			return s, fmt.Errorf("the data directory %s is not there any more: it was renamed or removed under this process; put it back in its place, or stop the process and start it with --data naming where it is now", w.Dir)
		}
		if err != nil {
			return s, fmt.Errorf("ask for free space: %w", err)
		}
		s.FreeBytes = int64(min(free, math.MaxInt64))
	}
	if c.Spool() != nil {
		takeSpool(&s, c.Spool().Stats())
		if s.WriteError != "" {
			c.Spool().ProbeDisk()
		}
	}
	w.judge(&s, doctor.LimitsOf(w.Dir), c.Data() != nil)
	return s, nil
}

// judge says what state the disk is in, the worst there is; known says that its free
// space is.
func (w DiskWatch) judge(s *control.DiskStatus, limits doctor.Limits, known bool) {
	switch {
	case limits.ReadOnly:
		s.State, s.Reason = control.DiskReadOnly, "its file system takes no writes: see dmesg, then mount it again"
	case s.WriteError != "":
		s.State, s.Reason = control.DiskFailing, "the last write failed, and is tried again every five seconds: "+s.WriteError
	case s.Unread > 0:
		s.State, s.Reason = control.DiskFailing, fmt.Sprintf("%d acknowledged records cannot be read now, and are tried again: %s", s.Unread, s.LastReadError)
	case known && s.FreeBytes < w.Reserve:
		s.State, s.Reason = control.DiskFull, fmt.Sprintf("%s free, and %s are kept in reserve", term.Bytes(s.FreeBytes), term.Bytes(w.Reserve))
	case limits.NoInodes:
		s.State, s.Reason = control.DiskInodes, "there is room, but no inode for another file"
	case s.SyncSeconds >= slowSync.Seconds():
		s.State, s.Reason = control.DiskSlow, fmt.Sprintf("the newest sync took %.1f s, and acks wait for syncs", s.SyncSeconds)
	}
}

func takeSpool(s *control.DiskStatus, st spool.Stats) {
	s.SpoolBytes, s.SyncSeconds = st.SpoolBytes, st.SyncTook.Seconds()
	s.WriteError = st.WriteError
	s.ReadErrors, s.Unread, s.LastReadError = st.ReadErrors, st.Unread, st.LastReadError
}
