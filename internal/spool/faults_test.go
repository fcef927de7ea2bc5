package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/disktest"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// onFile faults every call of op on a file whose name has that end.
func onFile(op faultdisk.Op, suffix string, err error) func(faultdisk.Call) *faultdisk.Fault {
	return func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == op && strings.HasSuffix(c.Name, suffix) {
			return &faultdisk.Fault{Err: err}
		}
		return nil
	}
}

// TestNoReceiptForAFailedCopy sends the same bytes many times at once while the
// disk refuses to write: none may be answered with the receipt of a copy that failed.
func TestNoReceiptForAFailedCopy(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("", "before", []byte("1")))
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if (c.Op == faultdisk.Write || c.Op == faultdisk.Create) && strings.HasSuffix(c.Name, ".seg") {
			time.Sleep(time.Millisecond) // the copies gather
			return &faultdisk.Fault{Err: syscall.ENOSPC}
		}
		return nil
	})
	for round := range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				r := rec("", fmt.Sprint("same", round), []byte("2"))
				var err error
				if i%2 == 0 {
					_, err = s.Append(ctx, r)
				} else {
					_, err = s.AppendAll(ctx, []record.Record{r})
				}
				if !errors.Is(err, record.ErrPushback) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("append on a full disk: %v", err)
				}
			})
		}
		wg.Wait()
		cancel()
	}
	fd.SetDecide(nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnreadableHeader has the disk fail to read the beginning of a segment at
// the start: nothing that was acked may be removed for that.
func TestUnreadableHeader(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	for i := range 3 {
		mustAppend(t, s, rec("", fmt.Sprint(i), []byte("x")))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Read && strings.HasSuffix(c.Name, ".seg") && c.Off < 4096 {
			return &faultdisk.Fault{Err: syscall.EIO}
		}
		return nil
	})
	if _, err := spool.Open(fd, spool.Options{Log: "test"}); !errors.Is(err, syscall.EIO) {
		t.Errorf("the header cannot be read: %v, want EIO: nothing can be concluded from that", err)
	}
	fd.SetDecide(nil)
	s = openOn(t, fd, spool.Options{})
	if entries, gaps := all(t, s, 1); len(entries) != 3 || len(gaps) != 0 {
		t.Errorf("afterwards: %d entries, gaps %v", len(entries), gaps)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestTransientReadFaults runs out of open files while records are read: they are no gap.
func TestTransientReadFaults(t *testing.T) {
	base := crashdisk.New()
	s := openOn(t, base, spool.Options{InlineBytes: 8 << 10})
	small := mustAppend(t, s, rec("", "small", []byte("x")))
	mustAppend(t, s, rec("", "large", make([]byte, 9<<10)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fd := faultdisk.New(base, nil)
	s = openOn(t, fd, spool.Options{})
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Open {
			return &faultdisk.Fault{Err: syscall.EMFILE}
		}
		return nil
	})
	for range 100 { // what is open already is used first
		for _, err := range s.Entries(t.Context(), 1) {
			if _, gap := errors.AsType[*record.GapError](err); gap {
				t.Fatalf("too many open files is no damage: %v", err)
			}
		}
	}
	if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: small.Seq}, State: record.Deferred}); err != nil {
		if _, gap := errors.AsType[*record.GapError](err); gap {
			t.Errorf("settle: %v", err)
		}
	}
	fd.SetDecide(nil)
	if entries, gaps := all(t, s, 1); len(entries)+int(s.Stats().Deferred) != 2 || len(gaps) != 0 {
		t.Errorf("afterwards %d entries, gaps %v", len(entries), gaps)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadFailsOnce fails every read of a spool in turn, once: a disk that gives
// the bytes when it is asked again has lost nothing, and nothing is a gap.
func TestReadFailsOnce(t *testing.T) {
	img, bodies := build(t, 16, false)
	for n := 1; ; n++ {
		reads := 0
		fd := faultdisk.New(img.disk(t), func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Read || c.Op == faultdisk.Open {
				if reads++; reads == n {
					return &faultdisk.Fault{Err: syscall.EIO}
				}
			}
			return nil
		})
		s, err := spool.Open(fd, spool.Options{Log: "test"})
		if err != nil {
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("the %dth read fails once: %v", n, err)
			}
			s = openOn(t, fd, spool.Options{})
		}
		read := map[record.Seq]bool{}
		for failures := 1; failures > 0; {
			failures = 0
			for e, err := range s.Entries(t.Context(), 1) {
				if err == nil {
					_, err = readBody(e)
				}
				if err == nil {
					read[e.Seq] = true
				} else if _, failed := errors.AsType[*record.ReadError](err); failed {
					failures++
				} else {
					t.Fatalf("the %dth read fails once: %v", n, err)
				}
			}
		}
		if st := s.Stats(); len(read) != len(bodies) || st.Gaps != 0 || st.Unread != 0 {
			t.Fatalf("the %dth read fails once: %d records of %d, %+v", n, len(read), len(bodies), st)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if reads < n {
			break
		}
	}
}

// TestDamagedCopyIsNoCopy sends a record again whose bytes are damaged: the
// receipt must be of one that is delivered.
func TestDamagedCopyIsNoCopy(t *testing.T) {
	for _, closed := range []bool{false, true} {
		img, bodies := build(t, 3, closed)
		at := bytes.Index(img[firstSegment], bodies[2])
		img[firstSegment][at] ^= 1
		s := openOn(t, img.disk(t), spool.Options{})
		if _, gaps := all(t, s, 1); len(gaps) != 1 {
			t.Fatalf("gaps %v", gaps)
		}
		again := mustAppend(t, s, rec("b", "k2", bodies[2]))
		if entries, _ := all(t, s, 1); again.Seq != 4 || again.Resent || len(entries) != 3 || entries[2].Seq != again.Seq {
			t.Errorf("sent again: receipt %v, entries %v", again, entries)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestParkWithDamagedIndex parks a record whose side file is damaged.
func TestParkWithDamagedIndex(t *testing.T) {
	base := crashdisk.New()
	s := openOn(t, base, spool.Options{})
	mustAppend(t, s, rec("", "key", []byte("x")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fd := faultdisk.New(base, nil)
	s = openOn(t, fd, spool.Options{})
	reads := 0
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Read && strings.HasSuffix(c.Name, ".idx") {
			if reads++; reads == 1 {
				return &faultdisk.Fault{Err: syscall.EIO}
			}
		}
		return nil
	})
	done := make(chan error, 1)
	go func() {
		done <- s.Settle(context.Background(), record.Outcome{Info: record.Info{Seq: 1}, State: record.Deferred})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("settle hangs")
	}
	if reads == 0 {
		t.Error("the side file was not asked")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnreadableParked opens a spool of which a parked copy cannot be read,
// and again when it can: the last copy of a body must have stayed.
func TestUnreadableParked(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{InlineBytes: 8 << 10})
	r := mustAppend(t, s, rec("", "large", make([]byte, 9<<10)))
	if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: r.Seq}, State: record.Deferred}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Release(t.Context(), r.Seq), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{syscall.EMFILE, syscall.EIO} {
		fd.SetDecide(onFile(faultdisk.Open, ".body", cause))
		if s, err := spool.Open(fd, spool.Options{Log: "test"}); err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		fd.SetDecide(nil)
		if f, err := fd.Open(fmt.Sprintf("parked/%020d.body", r.Seq)); err != nil {
			t.Errorf("%v: the body of a parked record: %v", cause, err)
		} else if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSpoolBytes compares what the spool believes to take with a fresh count,
// after everything that makes and removes files.
func TestSpoolBytes(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{InlineBytes: 8 << 10})
	large := rec("", "large", make([]byte, 100<<10))
	mustAppend(t, s, large)
	for s.Stats().SpoolBytes < 5<<20 { // the next segment is being made ready
		time.Sleep(time.Millisecond)
	}
	before := s.Stats().SpoolBytes
	for range 5 {
		large.Body = strings.NewReader(string(make([]byte, 100<<10)))
		if r := mustAppend(t, s, large); !r.Resent {
			t.Errorf("receipt %v", r)
		}
	}
	if after := s.Stats().SpoolBytes; after != before {
		t.Errorf("a body sent again: %d bytes, before %d", after, before)
	}
	small := mustAppend(t, s, rec("", "small", make([]byte, 4<<10)))
	before = s.Stats().SpoolBytes
	for _, state := range []record.State{record.Deferred, record.Quarantined, record.Deferred, record.Stored} {
		if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: small.Seq}, State: state}); err != nil {
			t.Fatal(err)
		}
	}
	if after := s.Stats().SpoolBytes; after != before {
		t.Errorf("parked and stored: %d bytes, before %d", after, before)
	}
	failed := false
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Sync && strings.HasSuffix(c.Name, ".seg") && !failed {
			failed = true
			return &faultdisk.Fault{Err: syscall.EIO}
		}
		return nil
	})
	rs := make([]record.Record, 100)
	for i := range rs {
		rs[i] = rec("", fmt.Sprint("many", i), make([]byte, 8<<10))
	}
	if _, err := s.AppendAll(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// Closed, nothing is being made ready: what is there is what was allocated, which this disk does not show.
	taken, there := s.Stats().SpoolBytes, int64(0)
	sizes := map[string]int64{}
	for _, line := range fd.Trace() {
		var op, name, to string
		var size int64
		switch n, _ := fmt.Sscanf(line, "allocate %s %d", &name, &size); {
		case n == 2:
			sizes[name] = size
		default:
			if n, _ := fmt.Sscan(line, &op, &name, &to); n == 3 && op == "rename" {
				sizes[to] = sizes[name]
			}
		}
	}
	for _, dir := range []string{".", "bodies"} {
		list, err := fd.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			info, err := d.Info()
			if err != nil {
				t.Fatal(err)
			}
			if dir == "bodies" {
				there += info.Size()
			} else if strings.HasSuffix(d.Name(), ".seg") {
				there += sizes[d.Name()]
			}
		}
	}
	if taken != there {
		t.Errorf("after a failed fsync: %d bytes believed, %d there", taken, there)
	}
}

// TestSegmentsComeBack undoes the removal of an old segment, as a power loss may,
// but not that of the one behind it: what was released is no gap.
func TestSegmentsComeBack(t *testing.T) {
	base := crashdisk.New()
	s := openOn(t, base, spool.Options{SegmentBytes: 16 << 10})
	for i := range 9 {
		mustAppend(t, s, rec("", fmt.Sprint(i), make([]byte, 6<<10)))
	}
	names, err := base.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	oldest := ""
	for _, d := range names {
		if strings.HasSuffix(d.Name(), ".seg") {
			oldest = d.Name()
			break
		}
	}
	if err := errors.Join(base.Link(oldest, "kept"), s.Release(t.Context(), 6), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := base.Rename("kept", oldest); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, base, spool.Options{SegmentBytes: 16 << 10})
	if st := s.Stats(); st.Gaps != 0 || st.GapRecords != 0 || st.Released != 6 || st.Acked != 9 {
		t.Errorf("an old segment came back: %+v", st)
	}
	if err := errors.Join(base.Link(oldest, "kept"), s.Release(t.Context(), 9), s.Close()); err == nil {
		t.Fatal("the segment is still there")
	}
	s = openOn(t, base, spool.Options{SegmentBytes: 16 << 10})
	if r := mustAppend(t, s, rec("", "next", []byte("x"))); r.Seq != 10 {
		t.Errorf("seq %d, want 10", r.Seq)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestResentAfterRelease sends a record three times, the first copy being
// released before the second: the third is the second's.
func TestResentAfterRelease(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{})
	first := mustAppend(t, s, rec("", "key", []byte("x")))
	mustAppend(t, s, rec("", "other", []byte("x")))
	if err := s.Release(t.Context(), first.Seq); err != nil {
		t.Fatal(err)
	}
	second := mustAppend(t, s, rec("", "key", []byte("x")))
	if third := mustAppend(t, s, rec("", "key", []byte("x"))); !third.Resent || third.Seq != second.Seq {
		t.Errorf("third %v, second %v", third, second)
	}
}

// TestNoNumberTwice: a spool that has forgotten how far its numbers went does
// not begin again at 1, where receipts have them already.
func TestNoNumberTwice(t *testing.T) {
	disk := crashdisk.New()
	s := openOn(t, disk, spool.Options{})
	for i := range 3 {
		if _, err := s.Append(t.Context(), rec("b", fmt.Sprint(i), []byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Release(t.Context(), 3), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, disk, spool.Options{}) // removes the last segment
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove("state"); err != nil {
		t.Fatal(err)
	}
	disktest.Write(t, disk, "state", "rubbish")
	s, err := spool.Open(disk, spool.Options{Log: "test"})
	if err == nil {
		receipt, err := s.Append(t.Context(), rec("b", "new", []byte("x")))
		if receipt.Seq <= 3 {
			t.Errorf("receipt %v, %v: the number was given before", receipt, err)
		}
		_ = s.Close()
	} else if !strings.Contains(err.Error(), "state") {
		t.Errorf("the error does not name the file: %v", err)
	}
}
