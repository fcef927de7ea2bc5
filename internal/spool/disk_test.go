package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// TestDiskOperations is the golden list of what two appends do to the disk.
func TestDiskOperations(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{InlineBytes: 8 << 10})
	fd.Trace()
	id := regexp.MustCompile(`bodies/[0-9a-f]{16}`)
	want := func(what string, lines ...string) {
		t.Helper()
		got := fd.Trace()
		got = slices.DeleteFunc(got, func(line string) bool { // what the background makes ready
			return strings.Contains(line, "ballast") || strings.Contains(line, "2.spare")
		})
		for i := range got {
			got[i] = id.ReplaceAllString(got[i], "bodies/ID")
		}
		if !slices.Equal(got, lines) {
			t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
		}
	}
	const seg = "00000000000000000001.seg"
	acked := func(r record.Record) { mustAppend(t, s, r) }
	acked(rec("", "first", []byte("one")))
	const spare = "00000000000000000001.spare"
	want("the first append: the segment's name is durable before the ack",
		"create "+spare, "allocate "+spare+" 1048576", "write "+spare+" 0+8192", "rename "+spare+" "+seg,
		"write "+seg+" 8192+248", "sync "+seg, "syncdir .", "write acked 0+12")
	acked(rec("", "second", []byte("two")))
	want("an append: write, sync, the high-water mark, which needs no sync, ack",
		"write "+seg+" 8440+248", "sync "+seg, "write acked 512+12")
	acked(rec("new", "third", []byte("three")))
	want("an append to a new bucket costs nothing more", "write "+seg+" 8688+248", "sync "+seg, "write acked 0+12")
	acked(rec("", "large", make([]byte, 9<<10)))
	want("a body file is durable before its entry", "create bodies/ID", "write bodies/ID 0+9216", "write bodies/ID 9216+4", "sync bodies/ID", "syncdir bodies",
		"write "+seg+" 8936+240", "sync "+seg, "write acked 512+12")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFsyncFails fails one fsync of a segment: its file is never synced again,
// and the append is acked from a new one.
func TestFsyncFails(t *testing.T) {
	base := crashdisk.New()
	failed := ""
	fd := faultdisk.New(base, nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("", "before", []byte("1")))
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Sync && strings.HasSuffix(c.Name, ".seg") {
			if failed == c.Name {
				t.Errorf("%s is synced again", c.Name)
			}
			if failed == "" {
				failed = c.Name
				return &faultdisk.Fault{Err: syscall.EIO}
			}
		}
		return nil
	})
	mustAppend(t, s, rec("", "during", []byte("2")))
	mustAppend(t, s, rec("", "after", []byte("3")))
	if st := s.Stats(); failed == "" || st.FsyncFailures != 1 || st.Segments != 2 {
		t.Errorf("failed %q, %+v", failed, st)
	}
	for i := range 20 {
		r := openOn(t, base.Crash(newRand(uint64(i)), 50), spool.Options{})
		if entries, gaps := all(t, r, 1); len(entries) != 3 || len(gaps) != 0 {
			t.Errorf("after a crash: %d entries, gaps %v", len(entries), gaps)
		}
	}
	// Two in a row: nothing is acked, and the next append has a new file.
	n := 0
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Sync && strings.HasSuffix(c.Name, ".seg") {
			if n++; n <= 2 {
				return &faultdisk.Fault{Err: syscall.EIO}
			}
		}
		return nil
	})
	if _, err := s.Append(t.Context(), rec("", "lost", []byte("4"))); !errors.Is(err, syscall.EIO) {
		t.Errorf("append: %v, want EIO", err)
	}
	if r := mustAppend(t, s, rec("", "next", []byte("5"))); r.Seq != 4 {
		t.Errorf("seq %d after a failed append, want 4", r.Seq)
	}
	if entries, gaps := all(t, s, 1); len(entries) != 4 || len(gaps) != 0 {
		t.Errorf("%d entries, gaps %v", len(entries), gaps)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNoSpace fills the disk: appends hold, then push back; a Release lets those that hold go on.
func TestNoSpace(t *testing.T) {
	d := crashdisk.New()
	s := openOn(t, d, spool.Options{ReserveBytes: 1 << 20})
	first := mustAppend(t, s, rec("", "first", []byte("1")))
	d.SetFree(1 << 20)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	for i := 0; err == nil; i++ { // there is room in the segments that were made ready
		short, stop := context.WithTimeout(ctx, 2*time.Second)
		_, err = s.Append(short, rec("", fmt.Sprint("more", i), make([]byte, 200<<10)))
		stop()
	}
	if !errors.Is(err, record.ErrPushback) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append on a full disk: %v", err)
	}
	held := make(chan error)
	go func() {
		_, err := s.Append(t.Context(), rec("", "held", make([]byte, 200<<10)))
		held <- err
	}()
	d.SetFree(1 << 30)
	if err := s.Release(t.Context(), first.Seq); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Errorf("append after a release: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestWritesFail has the disk answer ENOSPC to every write of a segment for a while.
func TestWritesFail(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("", "before", []byte("1")))
	full := func(c faultdisk.Call) *faultdisk.Fault {
		if (c.Op == faultdisk.Write || c.Op == faultdisk.Create || c.Op == faultdisk.Allocate) && strings.HasSuffix(c.Name, ".seg") {
			return &faultdisk.Fault{Err: syscall.ENOSPC}
		}
		return nil
	}
	fd.SetDecide(full)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Append(ctx, rec("", "held", []byte("2"))); !errors.Is(err, record.ErrPushback) {
		t.Errorf("append: %v, want ErrPushback", err)
	}
	fd.SetDecide(nil)
	if r := mustAppend(t, s, rec("", "after", []byte("3"))); r.Seq != 2 {
		t.Errorf("seq %d, want 2", r.Seq)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestMaxBytes(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{MaxBytes: 1 << 20})
	done := make(chan error, 1)
	go func() {
		for i := range 100 {
			if _, err := s.Append(t.Context(), rec("", fmt.Sprint(i), randomBody(uint64(i), 40<<10))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	seen, most := record.Seq(0), int64(0)
	for seen < 100 {
		upto, err := s.Wait(t.Context(), seen)
		if err != nil {
			t.Fatal(err)
		}
		entries, _ := all(t, s, seen+1)
		for _, e := range entries {
			if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, s.Stats().SpoolBytes)
		seen = max(upto, seen)
		if err := s.Release(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if most > 1<<20+256<<10 {
		t.Errorf("the spool took %d bytes", most)
	}
}

// TestLock has a second spool on one directory.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, spool.Options{})
	mustAppend(t, s, rec("", "k", []byte("1")))
	fs, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close() // nothing was written by it
	_, err = spool.Open(fs, spool.Options{Log: "test"})
	if held, ok := errors.AsType[*disk.LockedError](err); !ok || held.PID != os.Getpid() {
		t.Errorf("a second spool: %v", err)
	}
	r, err := spool.Open(fs, spool.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := all(t, r, 1); len(entries) != 1 {
		t.Errorf("a reader beside the spool sees %d records", len(entries))
	}
	if _, err := r.Append(t.Context(), rec("", "x", nil)); err == nil {
		t.Error("a reader appends")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// image is the files of a directory.
type image map[string][]byte

func readImage(t testing.TB, d disk.FS) image {
	t.Helper()
	m := image{}
	for _, dir := range []string{".", "bodies", "parked"} {
		list, err := d.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.IsDir() || e.Name() == "lock" {
				continue
			}
			name := path.Join(dir, e.Name())
			f, err := d.Open(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the spool is at work and has removed it
			}
			if err != nil {
				t.Fatal(err)
			}
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, size)
			if n, err := f.ReadAt(b, 0); n != len(b) {
				t.Fatal(err)
			}
			m[name] = b
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// disk is a disk with these files.
func (m image) disk(t testing.TB) disk.FS {
	t.Helper()
	d := crashdisk.New()
	for name, b := range m {
		if dir := path.Dir(name); dir != "." {
			if err := d.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		f, err := d.Create(name)
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// build makes an image of a spool with records k1.. of 40 bytes and more, killed or closed.
func build(t testing.TB, n int, closed bool) (image, map[record.Seq][]byte) {
	t.Helper()
	d := crashdisk.New()
	s := openOn(t, d, spool.Options{SegmentBytes: 12 << 10, InlineBytes: 2 << 10})
	bodies := map[record.Seq][]byte{}
	for i := 1; i <= n; i++ {
		body := randomBody(uint64(i), 40+i*10)
		if i%7 == 0 {
			body = randomBody(uint64(i), 3<<10)
		}
		bodies[mustAppend(t, s, rec("b", fmt.Sprintf("k%d", i), body)).Seq] = body
	}
	if closed {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return readImage(t, d), bodies
}

// damage opens a damaged image and checks that each record is whole, or in a gap.
func (m image) check(t *testing.T, what string, bodies map[record.Seq][]byte) (lost int) {
	t.Helper()
	s := openOn(t, m.disk(t), spool.Options{SegmentBytes: 12 << 10})
	entries, gaps := all(t, s, 1)
	seen := map[record.Seq]bool{}
	for _, e := range entries {
		seen[e.Seq] = true
		body, err := readBody(e)
		if lost, ok := errors.AsType[*record.GapError](err); ok { // a body file is checked as it is read
			delete(seen, e.Seq)
			gaps = append(gaps, *lost)
			continue
		}
		if err != nil || !bytes.Equal(body, bodies[e.Seq]) || e.Key != fmt.Sprintf("k%d", e.Seq) {
			t.Errorf("%s: record %d is another", what, e.Seq)
		}
	}
	for _, g := range gaps {
		for seq := g.First; seq <= g.Last; seq++ {
			if seen[seq] {
				t.Errorf("%s: record %d twice", what, seq)
			}
			seen[seq] = true
			lost++
		}
	}
	for seq := range bodies {
		if !seen[seq] {
			t.Errorf("%s: record %d was acked and is neither there nor in a gap (%d entries, gaps %v)", what, seq, len(entries), gaps)
		}
		_, _, err := s.Lookup(t.Context(), "b", fmt.Sprintf("k%d", seq))
		if _, gap := errors.AsType[*record.GapError](err); err != nil && !gap {
			t.Errorf("%s: lookup of %d: %v", what, seq, err)
		}
	}
	if len(seen) != len(bodies) {
		t.Errorf("%s: %d records of %d", what, len(seen), len(bodies))
	}
	if next := mustAppend(t, s, rec("b", "next", []byte("next"))); int(next.Seq) != len(bodies)+1 {
		t.Errorf("%s: the next seq is %d", what, next.Seq)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return lost
}

// TestBitFlips flips a bit in every stretch of every file: no record is lost
// without a word, none is another, and one flip costs one record at most.
func TestBitFlips(t *testing.T) {
	for name, closed := range map[string]bool{"killed": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			img, bodies := build(t, 16, closed)
			step := 29
			if testing.Short() || torture.Race {
				step = 211
			}
			for name, b := range img {
				end := len(bytes.TrimRight(b, "\x00"))
				if strings.HasSuffix(name, ".idx") {
					step *= 3
				}
				for at := 0; at < end; at += step {
					if blank(b, at) {
						continue
					}
					b[at] ^= 1 << (at % 8)
					if lost := img.check(t, fmt.Sprintf("%s at %d", name, at), bodies); lost > 1 {
						t.Errorf("%s at %d: %d records lost", name, at, lost)
					}
					b[at] ^= 1 << (at % 8)
					if t.Failed() {
						return
					}
				}
				if strings.HasSuffix(name, ".idx") {
					step /= 3
				}
			}
		})
	}
}

// blank reports whether a byte stands in the middle of zeros, where one flip is
// as good as another: the first kibibyte of them is tried.
func blank(b []byte, at int) bool {
	return at >= 1<<10 && at+64 <= len(b) && len(bytes.TrimRight(b[at-1<<10:at+64], "\x00")) == 0
}

// TestLostFiles removes, truncates and duplicates files.
func TestLostFiles(t *testing.T) {
	img, bodies := build(t, 60, true)
	for name, b := range img {
		delete(img, name)
		img.check(t, name+" removed", bodies)
		lengths := []int{0, 1, 100, len(b) / 2, len(b) - 1}
		if torture.Race {
			lengths = lengths[3:]
		}
		for _, n := range lengths {
			img[name] = b[:max(0, min(n, len(b)))]
			img.check(t, fmt.Sprintf("%s cut at %d", name, n), bodies)
		}
		img[name] = b
		if strings.HasSuffix(name, ".seg") || strings.HasSuffix(name, ".idx") {
			other := "00000000000000000099" + path.Ext(name)
			img[other] = b
			img.check(t, name+" twice", bodies)
			delete(img, other)
		}
		if t.Failed() {
			return
		}
	}
}
