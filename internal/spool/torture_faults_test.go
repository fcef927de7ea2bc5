package spool_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// trouble is a way in which a disk fails from its n-th call of some kind on.
type trouble struct {
	name  string
	hits  func(faultdisk.Call) bool
	err   error
	times int  // calls in a row that fail
	apply bool // the effect happens nevertheless
	keep  int  // bytes of a write that happen
}

func ops(list ...faultdisk.Op) func(faultdisk.Call) bool {
	return func(c faultdisk.Call) bool {
		return slices.Contains(list, c.Op)
	}
}

// on narrows calls to files whose name holds part.
func on(part string, hits func(faultdisk.Call) bool) func(faultdisk.Call) bool {
	return func(c faultdisk.Call) bool { return strings.Contains(c.Name, part) && hits(c) }
}

// disk fails the n-th call of the trouble's kind, and so many behind it. It also sees
// to it that no segment is synced again after a sync of it failed.
func (tr trouble) disk(base *crashdisk.Disk, n int, again *[]string) (fd *faultdisk.Disk, hit *bool) {
	seen, failed := 0, map[string]bool{}
	hit = new(bool)
	return faultdisk.New(base, func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Create {
			delete(failed, c.Name) // another file
		}
		if c.Op == faultdisk.Rename {
			delete(failed, c.To) // likewise
		}
		if c.Op == faultdisk.Sync && failed[c.Name] {
			*again = append(*again, c.Name)
		}
		if !tr.hits(c) {
			return nil
		}
		if seen++; seen < n || seen >= n+tr.times {
			return nil
		}
		*hit = true
		if c.Op == faultdisk.Sync && path.Ext(c.Name) == ".seg" {
			failed[c.Name] = true
		}
		return &faultdisk.Fault{Err: tr.err, Apply: tr.apply, Keep: tr.keep}
	}), hit
}

// TestTortureFsync fails every fsync of a life in turn, once and several times in a row,
// of files and of directories, the dirty pages dropped as Linux drops them; then the power fails,
// too. What was acked, before it or after, comes back, and no segment is synced twice after a failure.
func TestTortureFsync(t *testing.T) {
	row := torture.Report(t, "disk: fsync fails", "failures")
	var troubles []trouble
	for _, times := range []int{1, 2, 5} {
		troubles = append(troubles,
			trouble{"sync", ops(faultdisk.Sync), syscall.EIO, times, false, 0},
			trouble{"sync that works", ops(faultdisk.Sync), syscall.EIO, times, true, 0},
			trouble{"syncdir", ops(faultdisk.SyncDir), syscall.EIO, times, false, 0},
			trouble{"sync or syncdir", ops(faultdisk.Sync, faultdisk.SyncDir), syscall.EIO, times, false, 0})
	}
	for _, part := range []string{".seg", "bodies", "state", "buckets", ".idx", "parked", ".settled", "acked", "gaps", ".spare"} {
		troubles = append(troubles, trouble{part, on(part, ops(faultdisk.Sync, faultdisk.SyncDir)), syscall.EIO, 3, false, 0})
	}
	torment(t, row, troubles)
}

// TestTortureFull has the disk refuse every write, allocation and new name of a
// life in turn for want of space, for a while: senders are held or refused, what was acked is
// there, and it goes on when there is space again.
func TestTortureFull(t *testing.T) {
	row := torture.Report(t, "disk: full", "failures")
	var troubles []trouble
	for _, times := range []int{1, 4, 20} {
		troubles = append(troubles,
			trouble{"write", ops(faultdisk.Write), syscall.ENOSPC, times, false, 0},
			trouble{"torn write", ops(faultdisk.Write), syscall.ENOSPC, times, false, 100},
			trouble{"anything new", ops(faultdisk.Write, faultdisk.Allocate, faultdisk.Create, faultdisk.Rename, faultdisk.Link), syscall.ENOSPC, times, false, 0})
	}
	torment(t, row, troubles)
}

func torment(t *testing.T, row *torture.Row, troubles []trouble) {
	t.Helper()
	step := torture.Stride(9, 3, 1)
	for _, tr := range troubles {
		for n := 1; ; n += step {
			what := fmt.Sprintf("%s %d times from the %dth", tr.name, tr.times, n)
			var hit bool
			var acked int
			synctest.Test(t, func(t *testing.T) { hit, acked = tormented(t, tr, n, what) }) // holds cost no time
			if !hit {
				break
			}
			row.Ran(1, acked)
			if t.Failed() {
				row.FailedAt(what)
				t.Fatal(what)
			}
		}
	}
}

// tormented is one life with one trouble, and three ends: going on, and a power cut with little or much of what was not synced.
func tormented(t *testing.T, tr trouble, n int, what string) (hit bool, acked int) {
	t.Helper()
	opts := spool.Options{Log: "test", SegmentBytes: 12 << 10, InlineBytes: 4 << 10, ReserveBytes: 1}
	base := crashdisk.New()
	var again []string
	fd, was := tr.disk(base, n, &again)
	o := newOracle()
	s, err := spool.Open(fd, opts)
	for tries := 0; err != nil; tries++ {
		if tries > tr.times {
			t.Fatalf("%s: it does not open: %v", what, err)
		}
		s, err = spool.Open(fd, opts)
	}
	for i := range 10 {
		size := i * 700
		key := fmt.Sprintf("k%d-%d", i, size)
		for tries := 0; ; tries++ {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := o.appendIn(ctx, s, key)
			cancel()
			if err == nil {
				break
			}
			if tries > 2*tr.times {
				t.Fatalf("%s: append of %s: %v", what, key, err)
			}
		}
		if i%3 == 2 {
			tormentedSettle(t, s, o, tr, record.Seq(i-1))
		}
	}
	ackedNow, upto := o.snapshot()
	o.check(t, s, ackedNow, upto)
	disks := []*crashdisk.Disk{}
	for _, percent := range []int{0, 50, 100} {
		disks = append(disks, base.Crash(newRand(uint64(n)), percent))
	}
	if err := s.Close(); err != nil && !errors.Is(err, tr.err) {
		t.Errorf("%s: close: %v", what, err)
	}
	for _, d := range append(disks, base) {
		r := openOn(t, d, spool.Options{})
		o.check(t, r, ackedNow, upto)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(again) > 0 {
		t.Errorf("%s: synced again after a sync failed: %v", what, again)
	}
	return *was, len(ackedNow)
}

// tormentedSettle parks one record or settles it as stored, and releases up to it, as often as it takes.
func tormentedSettle(t *testing.T, s *spool.Spool, o *oracle, tr trouble, seq record.Seq) {
	t.Helper()
	persist := func(what string, op func() error) {
		for tries := 0; ; tries++ {
			err := op()
			if err == nil {
				return
			}
			if !errors.Is(err, tr.err) || tries > 2*tr.times {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	for at := s.Released() + 1; at <= seq; at++ {
		e, ok, err := s.Entry(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		o.mu.Lock()
		o.stored[at], o.upto = true, at
		o.mu.Unlock()
		persist("settle", func() error { return s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}) })
	}
	persist("release", func() error { return s.Release(t.Context(), seq) })
}
