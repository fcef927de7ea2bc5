package faultdisk_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/disktest"
	"indelible/internal/disk/faultdisk"
)

func TestWithoutFaults(t *testing.T) {
	disktest.Run(t, func(*testing.T) disk.FS { return faultdisk.New(crashdisk.New(), nil) })
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		fault faultdisk.Fault
		want  string
	}{
		{"failed", 2, faultdisk.Fault{Err: syscall.EIO}, ""},
		{"failed but happened", 2, faultdisk.Fault{Err: syscall.EIO, Apply: true}, "content"},
		{"torn", 2, faultdisk.Fault{Err: syscall.ENOSPC, Keep: 3}, "con"},
		{"sync", 3, faultdisk.Fault{Err: syscall.EIO}, "content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			under := crashdisk.New()
			d := faultdisk.New(under, faultdisk.Nth(c.n, c.fault))
			f, err := d.Create("a")
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte("content"), 0)
			if err = errors.Join(err, f.Sync()); !errors.Is(err, c.fault.Err) {
				t.Errorf("got %v", err)
			}
			if got := disktest.Read(t, under, "a"); got != c.want {
				t.Errorf("the file holds %q, want %q", got, c.want)
			}
		})
	}
}

func TestTrace(t *testing.T) {
	d := faultdisk.New(crashdisk.New(), nil)
	disktest.Write(t, d, "a", "content")
	if err := errors.Join(d.Rename("a", "b"), d.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	want := []string{"create a", "write a 0+7", "sync a", "rename a b", "syncdir ."}
	if got := d.Trace(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
