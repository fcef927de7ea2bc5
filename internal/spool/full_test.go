package spool_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// TestFullDiskDrains fills a disk to the last byte, with a backlog on it: the
// spool opens, reads, settles and releases all the same, a restart in the middle included, and takes
// records again when there is room.
func TestFullDiskDrains(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		for _, killed := range []bool{false, true} {
			base := crashdisk.New()
			fd := faultdisk.New(base, nil)
			opts := spool.Options{SegmentBytes: 64 << 10, ReserveBytes: 1, InlineBytes: 8 << 10}
			s := openOn(t, fd, opts)
			const n = 100
			for i := range n {
				size := 4000
				if i%20 == 0 {
					size = 10 << 10
				}
				mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), size)))
			}
			fd.SetFull(cause)
			if killed {
				fd.Kill()
				fd = fd.Next()
			} else if err := s.Close(); err != nil && !errors.Is(err, cause) {
				t.Error(err)
			}
			s, err := spool.Open(fd, spool.Options{Log: "test", SegmentBytes: opts.SegmentBytes, ReserveBytes: 1})
			if err != nil {
				t.Fatalf("%v: it does not open on a full disk: %v", cause, err)
			}
			entries, gaps := all(t, s, 1)
			if len(entries) != n || len(gaps) != 0 {
				t.Fatalf("%v: %d entries, gaps %v", cause, len(entries), gaps)
			}
			for i, e := range entries {
				bodyOf(t, e)
				state := record.Stored
				if i == 10 {
					state = record.Deferred // there is no room for a copy
				}
				if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: state, Reason: "x"}); err != nil {
					t.Fatalf("%v: settle: %v", cause, err)
				}
				if i%30 == 29 {
					if err := s.Release(t.Context(), e.Seq); err != nil {
						t.Fatalf("%v: release: %v", cause, err)
					}
				}
			}
			if err := s.Release(t.Context(), n); err != nil {
				t.Fatalf("%v: release: %v", cause, err)
			}
			if st := s.Stats(); st.Stored != n-1 || st.Deferred != 1 || st.Pending != 1 || st.Segments != 1 {
				t.Errorf("%v: %+v", cause, st)
			}
			fd.SetFull(nil)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s = openOn(t, fd, opts)
			if st := s.Stats(); st.Stored != n-1 || st.Deferred != 1 || st.Gaps != 0 {
				t.Errorf("%v: after a restart: %+v", cause, st)
			}
			mustAppend(t, s, rec("b", "after", []byte("x")))
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSideFilesAreWrittenLater refuses side files for a while: the next ones
// bring those that are missing, so that indexes do not stay in memory.
func TestSideFilesAreWrittenLater(t *testing.T) {
	var full atomic.Bool
	fd := faultdisk.New(crashdisk.NewPlain(), func(c faultdisk.Call) *faultdisk.Fault {
		if full.Load() && c.Op == faultdisk.Create && strings.HasSuffix(c.Name, ".idx.tmp") {
			return &faultdisk.Fault{Err: syscall.ENOSPC}
		}
		return nil
	})
	s := openOn(t, fd, spool.Options{SegmentBytes: 64 << 10})
	put := func(from int) {
		for i := range 200 {
			mustAppend(t, s, rec("b", fmt.Sprint("k", from+i), randomBody(1, 4096)))
		}
	}
	full.Store(true)
	put(0)
	full.Store(false)
	put(1000)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	list, err := fd.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seg, idx := 0, 0
	for _, d := range list {
		if strings.HasSuffix(d.Name(), ".seg") {
			seg++
		}
		if strings.HasSuffix(d.Name(), ".idx") {
			idx++
		}
	}
	if seg < 10 || idx != seg {
		t.Errorf("%d segments, %d side files", seg, idx)
	}
}
