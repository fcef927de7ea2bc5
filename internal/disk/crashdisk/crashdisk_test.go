package crashdisk_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/disktest"
)

func TestDisk(t *testing.T) {
	disktest.Run(t, func(*testing.T) disk.FS { return crashdisk.New() })
	disktest.Run(t, func(*testing.T) disk.FS { return crashdisk.NewPlain() })
}

func TestCrashForgetsWhatWasNotSynced(t *testing.T) {
	d := crashdisk.New()
	if err := d.MkdirAll("dir"); err != nil {
		t.Fatal(err)
	}
	disktest.Write(t, d, "dir/named", "durable")
	if err := d.SyncDir("dir"); err != nil {
		t.Fatal(err)
	}
	disktest.Write(t, d, "dir/unnamed", "content synced, name not")
	f, err := d.Create("dir/lazy")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SyncDir("dir"); err != nil {
		t.Fatal(err)
	}
	disktest.Write(t, d, "dir/later", "x")
	if _, err := f.WriteAt([]byte("never synced"), 0); err != nil {
		t.Fatal(err)
	}

	after := d.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	if got := disktest.Read(t, after, "dir/named"); got != "durable" {
		t.Errorf("synced: %q", got)
	}
	if got := disktest.Read(t, after, "dir/lazy"); got != "" {
		t.Errorf("unsynced content survived: %q", got)
	}
	if _, err := after.Open("dir/later"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unsynced name survived: %v", err)
	}
	if got := disktest.Read(t, d.Crash(rand.New(rand.NewPCG(1, 1)), 100), "dir/lazy"); got != "never synced" {
		t.Errorf("by chance all survives: %q", got)
	}
}
