package daemon

import (
	"errors"
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
		sync   error
		want   control.DiskState
		reason string
	}{
		{"well", 1000, fine, doctor.Limits{}, nil, control.DiskOK, ""},
		{"slow", 1000, spool.Stats{SyncTook: time.Second}, doctor.Limits{}, nil, control.DiskSlow, "1.0 s"},
		{"inodes", 1000, fine, doctor.Limits{NoInodes: true}, nil, control.DiskInodes, "inode"},
		{"full", 99, fine, doctor.Limits{NoInodes: true}, nil, control.DiskFull, "99 B free"},
		{"reads fail", 99, spool.Stats{Unread: 3, ReadErrors: 9, LastReadError: "EIO"}, doctor.Limits{}, nil, control.DiskFailing, "3 acknowledged records cannot be read now, and are tried again: EIO"},
		{"reads failed, and do not any more", 1000, spool.Stats{ReadErrors: 9, LastReadError: "EIO"}, doctor.Limits{}, nil, control.DiskOK, ""},
		{"syncs fail", 1000, fine, doctor.Limits{}, errors.New("EIO"), control.DiskFailing, "the last sync failed: EIO"},
		{"read-only", 1000, fine, doctor.Limits{ReadOnly: true}, errors.New("EROFS"), control.DiskReadOnly, "takes no writes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &diskWatch{reserve: 100}
			w.synced(tt.sync)
			s := control.DiskStatus{State: control.DiskOK, FreeBytes: tt.free}
			takeSpool(&s, tt.spool)
			w.judge(&s, tt.limits, true)
			if s.State != tt.want || !strings.Contains(s.Reason, tt.reason) || s.ReadErrors != tt.spool.ReadErrors || s.Unread != tt.spool.Unread {
				t.Errorf("%+v, want %s: %s", s, tt.want, tt.reason)
			}
			if w.synced(nil); w.syncError() != "" {
				t.Error("a sync that works does not end it")
			}
		})
	}
}
