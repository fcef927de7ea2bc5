package faultdisk_test

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/disktest"
	"indelible/internal/disk/faultdisk"
)

// TestKill shows the whole model: what a process that was killed had written and not
// synced is there for the next process, and gone after a power cut, unless the next one synced it.
func TestKill(t *testing.T) {
	for _, synced := range []bool{false, true} {
		under := crashdisk.New()
		first := faultdisk.New(under, func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Sync && c.Name == "a" {
				return &faultdisk.Fault{Kill: true}
			}
			return nil
		})
		if _, err := first.Lock("lock"); err != nil {
			t.Fatal(err)
		}
		f, err := first.Create("a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("content"), 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(first.SyncDir("."), f.Sync()); !errors.Is(err, faultdisk.ErrKilled) {
			t.Errorf("the sync that it is killed in: %v", err)
		}
		if _, err := f.WriteAt([]byte("late"), 0); !errors.Is(err, faultdisk.ErrKilled) {
			t.Errorf("a write after the kill: %v", err)
		}
		second := first.Next()
		if _, err := second.Lock("lock"); err != nil {
			t.Errorf("the next process: %v", err)
		}
		if got := disktest.Read(t, second, "a"); got != "content" {
			t.Errorf("the next process reads %q", got)
		}
		want := ""
		if synced {
			want = "content"
			g, err := second.Open("a")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(g.Sync(), g.Close()); err != nil {
				t.Fatal(err)
			}
		}
		after := under.Crash(rand.New(rand.NewPCG(1, 1)), 0)
		if got := disktest.Read(t, after, "a"); got != want {
			t.Errorf("after the power cut it holds %q, want %q", got, want)
		}
	}
}

func TestKillInTheMiddleOfAWrite(t *testing.T) {
	under := crashdisk.New()
	d := faultdisk.New(under, faultdisk.Nth(2, faultdisk.Fault{Kill: true, Keep: 3}))
	f, err := d.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.WriteAt([]byte("content"), 0); n != 3 || !errors.Is(err, faultdisk.ErrKilled) {
		t.Errorf("%d, %v", n, err)
	}
	if got := disktest.Read(t, under, "a"); got != "con" {
		t.Errorf("the file holds %q", got)
	}
}

func TestReadOutage(t *testing.T) {
	var sick error
	d := faultdisk.New(crashdisk.New(), faultdisk.ReadOutage(func(name string) bool { return name != "well" }, func() error { return sick }))
	disktest.Write(t, d, "a", "content")
	disktest.Write(t, d, "well", "content")
	f, err := d.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	sick = syscall.ESTALE
	if _, err := f.ReadAt(make([]byte, 3), 0); !errors.Is(err, sick) {
		t.Errorf("read: %v", err)
	}
	if _, err := d.Open("a"); !errors.Is(err, sick) {
		t.Errorf("open: %v", err)
	}
	if _, err := d.ReadDir("."); !errors.Is(err, sick) {
		t.Errorf("list: %v", err)
	}
	if got := disktest.Read(t, d, "well"); got != "content" {
		t.Errorf("another file reads as %q", got)
	}
	disktest.Write(t, d, "b", "written meanwhile")
	sick = nil
	if got := disktest.Read(t, d, "b"); got != "written meanwhile" {
		t.Errorf("after the outage: %q", got)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faultdisk.New(crashdisk.New(), nil)
		disktest.Write(t, d, "a", "content")
		d.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Read {
				return &faultdisk.Fault{Delay: time.Second}
			}
			return nil
		})
		begun := time.Now()
		if got := disktest.Read(t, d, "a"); got != "content" {
			t.Errorf("it reads %q", got)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestFull(t *testing.T) {
	d := faultdisk.New(crashdisk.New(), nil)
	f, err := d.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Allocate(8); err != nil {
		t.Fatal(err)
	}
	if err := d.MkdirAll("there"); err != nil {
		t.Fatal(err)
	}
	d.SetFull(syscall.EDQUOT)
	d = d.Next()
	if err := d.MkdirAll("there"); err != nil {
		t.Errorf("a directory that is there: %v", err)
	}
	for what, err := range map[string]error{
		"create":   second(d.Create("b")),
		"allocate": f.Allocate(9),
		"mkdir":    d.MkdirAll("dir"),
	} {
		if !errors.Is(err, syscall.EDQUOT) {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
	if _, err := f.WriteAt([]byte("12345678"), 0); err != nil {
		t.Errorf("a write within what was allocated: %v", err)
	}
	if n, err := f.WriteAt([]byte("89"), 7); n != 1 || !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("a write beyond it: %d, %v", n, err)
	}
	if err := d.Rename("a", "b"); err != nil {
		t.Errorf("rename: %v", err)
	}
	d.SetFull(nil)
	if _, err := d.Create("c"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func second(_ disk.File, err error) error { return err }
