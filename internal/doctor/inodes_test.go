package doctor

import (
	"strings"
	"syscall"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
)

func TestInodes(t *testing.T) {
	for _, c := range []struct {
		l    Limits
		room bool
		want string
	}{
		{Limits{}, true, OK},
		{Limits{Inodes: 10_000_000, FreeInodes: 9_000_000}, true, OK},
		{Limits{Inodes: 10_000_000, FreeInodes: 1000}, true, Warning},
		{Limits{Inodes: 10_000_000, NoInodes: true}, false, Failed},
		{Limits{Inodes: 10_000_000, NoInodes: true}, true, OK}, // rclone's mounts say so, always
	} {
		if got := checkInodes("/x", c.l, c.room); got.State != c.want {
			t.Errorf("%+v: %+v", c.l, got)
		}
	}
}

func TestLinks(t *testing.T) {
	none := faultdisk.New(crashdisk.New(), func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Link {
			return &faultdisk.Fault{Err: syscall.EPERM}
		}
		return nil
	})
	if got := checkLinks(none, "/x"); got.State != Failed || !strings.Contains(got.Remedy, "s3://") {
		t.Errorf("%+v", got)
	}
	if got := checkLinks(crashdisk.New(), "/x"); got.State != OK {
		t.Errorf("%+v", got)
	}
}
