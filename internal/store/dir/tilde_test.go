package dir_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
)

func absent(t *testing.T, s *dir.Store, prefix string) bool {
	t.Helper()
	ok, err := s.Absent(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// Whatever is said to be absent is in no list.
func TestAbsent(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	if absent(t, s, "a~") {
		t.Error("a store of which nothing is known says that something is absent")
	}
	for _, key := range []string{"day/a.json", "day/a~7.json", "x~y/a.json", "x~y/b~1~2", "~", "day/c", "_indelible/.tilde/whole"} {
		storetest.MustPut(t, s, described(key, "{}"))
	}
	for _, s := range []*dir.Store{s, open(t, root)} {
		for prefix, want := range map[string]bool{
			"day/a~": false, "day/a~7": false, "day/b~": true, "day/c~": true, "day/c": false, "x~y/zz~": false, "x~y/b~": false, "~": false, "y~": true, "": false,
		} {
			if got := absent(t, s, prefix); got != want {
				t.Errorf("%q is absent: %v", prefix, got)
			}
			for info, err := range s.List(t.Context(), store.ListOptions{Prefix: prefix}) {
				if err != nil || want {
					t.Errorf("%q: %s is listed, %v", prefix, info.Key, err)
				}
			}
		}
	}
}

// Of a store that had objects before they were noted nothing is said.
func TestAbsentInAnOldStore(t *testing.T) {
	root := t.TempDir()
	storetest.MustPut(t, open(t, root), described("a~1", "{}"))
	if err := os.RemoveAll(filepath.Join(root, "_indelible", ".tilde")); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	storetest.MustPut(t, s, described("b~1", "{}"))
	if absent(t, s, "a~") || absent(t, s, "c~") {
		t.Error("what was there before is said to be absent")
	}
}

// However the machine or the disk fails, an object that is there is never said to be absent.
func TestAbsentAfterAFailure(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		for n := 1; ; n++ {
			mem := crashdisk.New()
			var crashed *crashdisk.Disk
			seen := 0
			storetest.MustPut(t, dir.Open(faultdisk.New(mem, func(c faultdisk.Call) *faultdisk.Fault {
				if seen++; c.Op.Mutates() && seen >= n && crashed == nil {
					crashed = mem.Crash(rand.New(rand.NewPCG(uint64(n), uint64(percent))), percent)
				}
				return nil
			})), described("a~1", "{}"))
			if crashed == nil {
				break
			}
			wantNoted(t, fmt.Sprintf("crash %d%%/%d", percent, n), dir.Open(crashed))
		}
	}
	for n := 1; ; n++ {
		mem := crashdisk.New()
		storetest.MustPut(t, dir.Open(mem), described("a~1", "{}"))
		forgetNotes(t, mem, "_indelible/.tilde") // as an older version left it
		calls := 0
		nth := func(faultdisk.Call) *faultdisk.Fault {
			if calls++; calls == n {
				return &faultdisk.Fault{Err: syscall.EMFILE}
			}
			return nil
		}
		_, _ = dir.Open(faultdisk.New(mem, nth)).Put(t.Context(), described("b~1", "{}")) // stored or not
		wantNoted(t, fmt.Sprintf("fault %d", n), dir.Open(mem))
		if calls < n {
			break
		}
	}
}

func forgetNotes(t *testing.T, d *crashdisk.Disk, name string) {
	t.Helper()
	list, err := d.ReadDir(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.IsDir() {
			forgetNotes(t, d, name+"/"+e.Name())
		}
		if err := d.Remove(name + "/" + e.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// wantNoted looks for an object that is there and said to be absent.
func wantNoted(t *testing.T, when string, s *dir.Store) {
	t.Helper()
	for _, prefix := range []string{"a~", "b~"} {
		for info, err := range s.List(t.Context(), store.ListOptions{Prefix: prefix}) {
			if err != nil || absent(t, s, prefix) {
				t.Errorf("%s: %s is there and said to be absent, %v", when, info.Key, err)
			}
		}
	}
}

// Nor of a copy of a bucket that another tool made: it has objects, and none of their attributes.
func TestAbsentInACopy(t *testing.T) {
	for _, key := range []string{"a~1", "_indelible/x/a~1", "_indelible/.other"} {
		root := t.TempDir()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(root, key)), 0o700), os.WriteFile(filepath.Join(root, key), []byte("{}"), 0o600)); err != nil {
			t.Fatal(err)
		}
		s := open(t, root)
		storetest.MustPut(t, s, described("b", "{}"))
		storetest.MustPut(t, s, described("c", "{}"))
		if absent(t, s, "a~") || absent(t, s, key[:len(key)-1]+"~") {
			t.Errorf("%s was there before, and something is said to be absent", key)
		}
	}
}
