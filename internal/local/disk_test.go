package local

import (
	"strings"
	"testing"
	"time"

	"indelible/internal/control"
	"indelible/internal/doctor"
	"indelible/internal/spool"
)

// Of all that is the matter with a disk the worst is told.
func TestDiskState(t *testing.T) {
	fine := spool.Stats{SyncTook: time.Millisecond}
	tests := []struct {
		name   string
		free   int64
		spool  spool.Stats
		limits doctor.Limits
		want   control.DiskState
		reason string
	}{
		{"well", 1000, fine, doctor.Limits{}, control.DiskOK, ""},
		{"slow", 1000, spool.Stats{SyncTook: time.Second}, doctor.Limits{}, control.DiskSlow, "1.0 s"},
		{"inodes", 1000, fine, doctor.Limits{NoInodes: true}, control.DiskInodes, "inode"},
		{"full", 99, fine, doctor.Limits{NoInodes: true}, control.DiskFull, "99 B free"},
		{"reads fail", 99, spool.Stats{Unread: 3, ReadErrors: 9, LastReadError: "EIO"}, doctor.Limits{}, control.DiskFailing, "3 acknowledged records cannot be read now, and are tried again: EIO"},
		{"reads failed, and do not any more", 1000, spool.Stats{ReadErrors: 9, LastReadError: "EIO"}, doctor.Limits{}, control.DiskOK, ""},
		{"writes fail", 1000, spool.Stats{WriteError: "EIO"}, doctor.Limits{}, control.DiskFailing, "tried again every five seconds: EIO"},
		{"read-only", 1000, spool.Stats{WriteError: "EROFS"}, doctor.Limits{ReadOnly: true}, control.DiskReadOnly, "takes no writes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := DiskWatch{Reserve: 100}
			s := control.DiskStatus{State: control.DiskOK, FreeBytes: tt.free}
			takeSpool(&s, tt.spool)
			w.judge(&s, tt.limits, true)
			if s.State != tt.want || !strings.Contains(s.Reason, tt.reason) || s.ReadErrors != tt.spool.ReadErrors || s.Unread != tt.spool.Unread {
				t.Errorf("%+v, want %s: %s", s, tt.want, tt.reason)
			}
		})
	}
}
