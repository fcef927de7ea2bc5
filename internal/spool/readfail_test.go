package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// readOutage fails reads of a kind of files while err is set.
type readOutage struct{ err atomic.Pointer[error] }

func (o *readOutage) begin(err error) { o.err.Store(&err) }
func (o *readOutage) end()            { o.err.Store(nil) }

func (o *readOutage) rule(part string) func(faultdisk.Call) *faultdisk.Fault {
	return faultdisk.ReadOutage(func(name string) bool { return strings.Contains(name, part) }, func() error {
		if err := o.err.Load(); err != nil {
			return *err
		}
		return nil
	})
}

// TestReadOutageLosesNothing has every read of the segments fail for a while: no
// record is a gap for that, before or after, and nothing is put away.
func TestReadOutageLosesNothing(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EMFILE} {
		var outage readOutage
		base := crashdisk.NewPlain()
		s := openOn(t, faultdisk.New(base, outage.rule(".seg")), spool.Options{SegmentBytes: 64 << 10})
		const n = 500
		for i := range n {
			mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 1000)))
		}
		outage.begin(cause)
		unread := 0
		for range 3 {
			for _, err := range s.Entries(t.Context(), 1) {
				failed, ok := errors.AsType[*record.ReadError](err)
				if !ok || !errors.Is(err, cause) || failed.Seq == 0 {
					t.Fatalf("%v: during the outage: %v", cause, err)
				}
				unread++
			}
			if _, _, err := s.Lookup(t.Context(), "b", "k7"); !errors.Is(err, cause) {
				t.Fatalf("%v: lookup during the outage: %v", cause, err)
			}
		}
		if st := s.Stats(); unread != 3*n || st.Gaps != 0 || st.Unread != n || st.ReadErrors == 0 || st.LastReadError == "" {
			t.Errorf("%v: %d reads failed, %+v", cause, unread, st)
		}
		outage.end()
		entries, gaps := all(t, s, 1)
		if st := s.Stats(); len(entries) != n || len(gaps) != 0 || st.Unread != 0 {
			t.Errorf("%v: afterwards %d of %d, gaps %v, %+v", cause, len(entries), n, gaps, st)
		}
		for _, e := range entries {
			bodyOf(t, e)
		}
		if err := errors.Join(s.Release(t.Context(), n), s.Close()); err != nil {
			t.Error(err)
		}
		list, err := base.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if strings.Contains(d.Name(), ".damaged") {
				t.Errorf("%v: %s was put away", cause, d.Name())
			}
		}
	}
}

// TestOpenDoesNotConcludeFromFailedReads opens a spool whose tail cannot be read
// from some place on: Open fails, and once the disk is well again nothing was cut and no number given again.
func TestOpenDoesNotConcludeFromFailedReads(t *testing.T) {
	for _, from := range []int64{0, 4096, 8192, 9000, 17000, 18000, 20480, 24576} {
		base := crashdisk.New()
		fd := faultdisk.New(base, nil)
		s := openOn(t, fd, spool.Options{})
		mustAppend(t, s, rec("b", "k1", make([]byte, 9000)))
		last := mustAppend(t, s, rec("b", "k2", make([]byte, 9000)))
		fd.Kill()
		sick := fd.Next()
		sick.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Read && strings.HasSuffix(c.Name, ".seg") && c.Off+int64(c.Len) > from {
				return &faultdisk.Fault{Err: syscall.EIO}
			}
			return nil
		})
		if _, err := spool.Open(sick, spool.Options{Log: "test"}); !errors.Is(err, syscall.EIO) {
			t.Errorf("unreadable from %d on: %v, want EIO", from, err)
		}
		sick.SetDecide(nil)
		s = openOn(t, sick, spool.Options{})
		if entries, gaps := all(t, s, 1); len(entries) != 2 || len(gaps) != 0 {
			t.Errorf("unreadable from %d on, then well: %d entries, gaps %v", from, len(entries), gaps)
		}
		if next := mustAppend(t, s, rec("b", "k3", nil)); next.Seq != last.Seq+1 {
			t.Errorf("unreadable from %d on: the next number is %d after %d", from, next.Seq, last.Seq)
		}
	}
}

// TestOpenFailsOnEveryFailedRead fails each read, open and listing of Open in
// turn: Open fails, or it was one that does not matter, and nothing is lost either way.
func TestOpenFailsOnEveryFailedRead(t *testing.T) {
	for _, closed := range []bool{false, true} {
		img, bodies := build(t, 16, closed)
		for n := 1; ; n++ {
			calls := 0
			fd := faultdisk.New(img.disk(t), nil)
			fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
				if c.Op.Reads() {
					if calls++; calls >= n && calls < n+20 {
						return &faultdisk.Fault{Err: syscall.EIO}
					}
				}
				return nil
			})
			if s, err := spool.Open(fd, spool.Options{Log: "test"}); err == nil {
				fd.SetDecide(nil)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			fd.SetDecide(nil)
			s := openOn(t, fd, spool.Options{})
			if entries, gaps := all(t, s, 1); len(entries) != len(bodies) || len(gaps) != 0 || s.Stats().Gaps != 0 {
				t.Fatalf("reads fail from the %dth on: %d of %d, gaps %v", n, len(entries), len(bodies), gaps)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if calls < n {
				break
			}
		}
	}
}

// TestDeferredInPlace defers a record that cannot be read: it stays where it is,
// also when all around it is released and the process restarts, and is delivered once it can be read.
func TestDeferredInPlace(t *testing.T) {
	base := crashdisk.New()
	sick := func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Read && strings.HasSuffix(c.Name, ".seg") {
			return &faultdisk.Fault{Err: syscall.EIO}
		}
		return nil
	}
	fd := faultdisk.New(base, nil)
	opts := spool.Options{SegmentBytes: 16 << 10}
	s := openOn(t, fd, opts)
	for i := range 20 {
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 3000)))
	}
	fd.SetDecide(sick)
	settle := func(s *spool.Spool, seq record.Seq, state record.State) {
		t.Helper()
		if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: seq, Size: 3000}, State: state, Reason: "unread"}); err != nil {
			t.Fatal(err)
		}
	}
	for seq := record.Seq(1); seq <= 20; seq++ {
		state := record.Stored
		if seq == 2 {
			state = record.Deferred
		}
		settle(s, seq, state)
	}
	if err := s.Release(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	held := func(s *spool.Spool) (list []record.ParkedEntry) {
		t.Helper()
		for a, err := range s.Parked(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, a)
		}
		return list
	}
	list := held(s)
	if len(list) != 1 || list[0].Seq != 2 || list[0].State != record.Deferred || s.Stats().Deferred != 1 {
		t.Fatalf("held: %+v", list)
	}
	if _, err := list[0].Open(); !errors.Is(err, syscall.EIO) {
		t.Errorf("open: %v", err)
	}
	fd.SetDecide(nil)
	fd.Kill()
	s = openOn(t, fd.Next(), opts)
	list = held(s)
	if len(list) != 1 || list[0].Key != "k1" {
		t.Fatalf("after a restart: %+v", list)
	}
	r, err := list[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) != 3000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Segments != 1 || st.Gaps != 0 {
		t.Errorf("%+v, want the one segment that holds it", st)
	}
	settle(s, 2, record.Stored)
	if st := s.Stats(); st.Segments != 0 || st.Deferred != 0 || st.Stored != 20 {
		t.Errorf("stored: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadAlarmIsOne counts the log lines of an outage.
func TestReadAlarmIsOne(t *testing.T) {
	var outage readOutage
	var lines strings.Builder
	s := openOn(t, faultdisk.New(crashdisk.New(), outage.rule(".seg")), spool.Options{Logger: textLogger(&lines)})
	for i := range 50 {
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), nil))
	}
	outage.begin(syscall.EIO)
	for range s.Entries(context.Background(), 1) {
		continue
	}
	outage.end()
	all(t, s, 1)
	if n := strings.Count(lines.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d alarms for one outage:\n%s", n, lines.String())
	}
	if !strings.Contains(lines.String(), "was read again") {
		t.Errorf("nothing says that it is over:\n%s", lines.String())
	}
}

// hangingFS is a disk on which the opens of segments hang for a while.
type hangingFS struct {
	disk.FS
	hang  atomic.Bool
	begun chan struct{}
	end   chan struct{}
}

func (h *hangingFS) Open(name string) (disk.File, error) {
	if h.hang.Load() && strings.HasSuffix(name, ".seg") {
		h.begun <- struct{}{}
		<-h.end
	}
	return h.FS.Open(name)
}

// TestHangingOpenHoldsUpNoAck reads a segment whose open hangs, and goes on appending into new ones.
func TestHangingOpenHoldsUpNoAck(t *testing.T) {
	h := &hangingFS{FS: crashdisk.NewPlain(), begun: make(chan struct{}, 1), end: make(chan struct{})}
	opts := spool.Options{SegmentBytes: 64 << 10}
	s := openOn(t, h, opts)
	for i := 0; s.Stats().Segments < 80; i++ { // more than are kept open
		mustAppend(t, s, rec("b", fmt.Sprint("before", i), randomBody(uint64(i), 4096)))
	}
	all(t, s, 1)
	h.hang.Store(true)
	read := make(chan error, 1)
	go func() {
		_, _, err := s.Entry(context.Background(), 1)
		read <- err
	}()
	select {
	case <-h.begun:
	case err := <-read:
		t.Fatalf("the segment was open: %v", err)
	}
	for i := range 60 { // several segments are begun and sealed
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 4096)))
	}
	close(h.end)
	if err := <-read; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
