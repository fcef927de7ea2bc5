package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// cleanFS is a disk whose sync, after one that failed, succeeds and does nothing for what was
// written before, as Linux has it: the pages count as clean.
type cleanFS struct {
	disk.FS
	fail  *atomic.Bool
	clean *sync.Map // names whose pages count as clean
}

type cleanFile struct {
	disk.File
	fs   *cleanFS
	name string
}

func (l *cleanFS) wrap(f disk.File, name string, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return &cleanFile{f, l, name}, nil
}

func (l *cleanFS) Create(name string) (disk.File, error) {
	f, err := l.FS.Create(name)
	return l.wrap(f, name, err)
}

func (l *cleanFS) OpenWrite(name string) (disk.File, error) {
	f, err := l.FS.OpenWrite(name)
	return l.wrap(f, name, err)
}

func (f *cleanFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.clean.Delete(f.name)
	return f.File.WriteAt(b, off)
}

func (f *cleanFile) Sync() error {
	if f.fs.fail.Load() && (strings.HasSuffix(f.name, ".seg") || strings.HasSuffix(f.name, ".tmp")) {
		f.fs.clean.Store(f.name, true)
		return syscall.EIO
	}
	if _, clean := f.fs.clean.Load(f.name); clean {
		return nil
	}
	return f.File.Sync()
}

// TestRestartAfterAFailedSync kills the process after an fsync that failed. The next one reads the record
// from memory, answers its sender, and the power goes: a sync alone would not have made it durable.
func TestRestartAfterAFailedSync(t *testing.T) {
	base := crashdisk.New()
	var fail atomic.Bool
	clean := &sync.Map{}
	fd := faultdisk.New(&cleanFS{base, &fail, clean}, nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("b", "a", []byte("a")))
	fail.Store(true)
	if _, err := s.Append(t.Context(), rec("b", "x", []byte("x"))); !errors.Is(err, syscall.EIO) {
		t.Fatalf("append while fsync fails: %v", err)
	}
	fd.Kill()
	fail.Store(false)
	s = openOn(t, faultdisk.New(&cleanFS{base, &fail, clean}, nil), spool.Options{})
	mustAppend(t, s, rec("b", "x", []byte("x")))
	r := openOn(t, base.Crash(newRand(1), 0), spool.Options{})
	if entries, gaps := all(t, r, 1); len(entries) != 2 || len(gaps) != 0 {
		t.Errorf("after the power loss: %d of 2 acked records, gaps %v", len(entries), gaps)
	}
}

// TestDamagedFrame damages the commit frame of the batch before the last one: both
// batches were acked, and what is whole of them counts.
func TestDamagedFrame(t *testing.T) {
	base := crashdisk.New()
	s := openOn(t, base, spool.Options{})
	mustAppend(t, s, rec("b", "a", []byte("a")))
	last := mustAppend(t, s, rec("b", "b", []byte("b")))
	img := readImage(t, base)
	delete(img, "acked") // the power loss took it
	seg := img[firstSegment]
	for off := 8192; ; off += 8 {
		if seg[off+12] == 3 && string(seg[off:off+8]) == string(seg[8192:8200]) {
			seg[off+20] ^= 1
			break
		}
	}
	s = openOn(t, img.disk(t), spool.Options{})
	entries, gaps := all(t, s, 1)
	if next := mustAppend(t, s, rec("b", "c", []byte("c"))); next.Seq != last.Seq+1 || len(entries) != 2 || len(gaps) != 0 {
		t.Errorf("the next number is %d after %d; %d entries, gaps %v", next.Seq, last.Seq, len(entries), gaps)
	}
}

// TestMissingNamesAreAskedFor has every open of a segment or a body say that it does not
// exist, while the directory lists it: that is a failed read, and no gap.
func TestMissingNamesAreAskedFor(t *testing.T) {
	base := crashdisk.New()
	opts := spool.Options{SegmentBytes: 16 << 10, InlineBytes: 1 << 10}
	s := openOn(t, base, opts)
	const n = 60
	for i := range n {
		mustAppend(t, s, rec("b", fmt.Sprint(i), randomBody(uint64(i), 900+200*(i%2))))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fd := faultdisk.New(base, nil)
	s = openOn(t, fd, opts)
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Open && (strings.HasSuffix(c.Name, ".seg") || strings.HasPrefix(c.Name, "bodies/")) {
			return &faultdisk.Fault{Err: &fs.PathError{Op: "open", Path: c.Name, Err: syscall.ENOENT}}
		}
		return nil
	})
	look := func() (read, failed int) {
		for e, err := range s.Entries(t.Context(), 1) {
			if err == nil {
				_, err = readBody(e)
			}
			if _, ok := errors.AsType[*record.ReadError](err); ok {
				failed++
			} else if err != nil {
				t.Fatalf("%v", err)
			} else {
				read++
			}
		}
		return read, failed
	}
	if read, failed := look(); failed != n-read {
		t.Errorf("%d read, %d failed", read, failed)
	}
	fd.SetDecide(nil)
	if read, failed := look(); read != n || failed != 0 || s.Stats().Gaps != 0 {
		t.Errorf("afterwards: %d read, %d failed, %d gaps", read, failed, s.Stats().Gaps)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestBucketsThatCannotBeRead fails Open: the names of what was released are nowhere else.
func TestBucketsThatCannotBeRead(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("old", "a", []byte("a")))
	if err := errors.Join(s.Release(t.Context(), 1), s.Close()); err != nil {
		t.Fatal(err)
	}
	fd.SetDecide(onFile(faultdisk.Read, "buckets", syscall.EIO))
	if _, err := spool.Open(fd, spool.Options{Log: "test"}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v, want EIO", err)
	}
	fd.SetDecide(nil)
	s = openOn(t, fd, spool.Options{})
	var names []string
	for b, err := range s.Buckets(t.Context()) {
		names = append(names, b.Name)
		if err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(names, []string{"old"}) {
		t.Errorf("buckets %v", names)
	}
}

// TestCloseBesideASeal closes the spool while the Seal of an append looks keys up: the append
// must not wait for the Close that waits for it.
func TestCloseBesideASeal(t *testing.T) {
	for range 200 {
		s := openOn(t, crashdisk.NewPlain(), spool.Options{})
		in := make(chan struct{})
		r := rec("b", "a", []byte("a"))
		r.Seal = func(record.Digest, int64) (record.Attrs, error) {
			close(in)
			for {
				if _, _, err := s.Lookup(context.Background(), "b", "z"); err != nil {
					return nil, err
				}
			}
		}
		done := make(chan error, 1)
		go func() {
			_, err := s.Append(context.Background(), r)
			done <- err
		}()
		<-in
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, record.ErrClosed) {
			t.Fatalf("append: %v", err)
		}
	}
}

// TestParkedInPlaceIsFoundAndNamed holds a record in place, restarts, and damages it then.
func TestParkedInPlaceIsFoundAndNamed(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	opts := spool.Options{SegmentBytes: 64 << 10}
	s := openOn(t, fd, opts)
	for i := range 3 {
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 3000)))
	}
	fd.SetDecide(onFile(faultdisk.Read, ".seg", syscall.EIO))
	for seq := record.Seq(1); seq <= 3; seq++ {
		state := record.Stored
		if seq == 2 {
			state = record.Deferred
		}
		if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: seq, Size: 3000, Bucket: "b", Key: fmt.Sprint("k", seq-1)}, State: state}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Release(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	fd.SetDecide(nil)
	fd.Kill()
	fd = fd.Next()
	s = openOn(t, fd, opts)
	if _, ok, err := s.Lookup(t.Context(), "b", "k1"); !ok || err != nil {
		t.Errorf("lookup after a restart: %v, %v", ok, err)
	}
	var keys []string
	for i, err := range s.Keys(t.Context(), "b", "", "") {
		keys = append(keys, i.Key)
		if err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(keys, []string{"k1"}) {
		t.Errorf("keys %v", keys)
	}
	flip(t, fd, randomBody(1, 3000))
	for a, err := range s.Parked(t.Context()) {
		if err != nil || a.Seq != 2 || a.Open == nil {
			t.Fatalf("parked: %+v, %v", a, err)
		}
		_, err := readBody(a.Entry)
		if lost, ok := errors.AsType[*record.GapError](err); !ok || lost.First != 2 {
			t.Errorf("its damaged body: %v, want a gap at 2", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReleaseWithManyParkedInPlace has more records that cannot be copied than the state file can
// name: the others go back into delivery, and Release works.
func TestReleaseWithManyParkedInPlace(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	for i := range 400 {
		mustAppend(t, s, rec("b", fmt.Sprint(i), []byte("x")))
	}
	fd.SetDecide(onFile(faultdisk.Read, ".seg", syscall.EIO))
	held := record.Seq(0)
	for seq := record.Seq(1); seq <= 400; seq++ {
		err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: seq, Size: 1}, State: record.Deferred, Reason: strings.Repeat("r", 2000)})
		if err != nil {
			break
		}
		held = seq
	}
	if held == 0 || held == 400 {
		t.Fatalf("%d parked in place", held)
	}
	if err := s.Release(t.Context(), held); err != nil {
		t.Errorf("release: %v", err)
	}
	fd.SetDecide(nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSpaceOfWhatIsReleased needs the space of spare segments and of an active one whose records are all released.
func TestSpaceOfWhatIsReleased(t *testing.T) {
	s := openOn(t, crashdisk.NewPlain(), spool.Options{MaxBytes: 8 << 20})
	release := func() {
		t.Helper()
		if err := s.Release(t.Context(), record.Seq(s.Stats().Acked)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		mustAppend(t, s, rec("b", fmt.Sprint(i), randomBody(uint64(i), 100<<10)))
	}
	release()
	for i, size := range []int{4<<20 + 512<<10, 5<<20 + 512<<10} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := s.Append(ctx, rec("b", fmt.Sprint("long", i), randomBody(9, size))); err != nil {
			t.Fatalf("a body of %d bytes in an empty spool: %v", size, err)
		}
		cancel()
		release()
	}
	big := make([]record.Record, 8)
	for i := range big {
		big[i] = rec("b", fmt.Sprint("all", i), randomBody(uint64(i), 1<<20))
	}
	if _, err := s.AppendAll(t.Context(), big); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("a batch that can never fit: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReaderWritesNothing asks a spool that was opened for reading, and one that is closed, for changes.
func TestReaderWritesNothing(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{InlineBytes: 1 << 10})
	mustAppend(t, s, rec("b", "a", randomBody(1, 200<<10)))
	reader := openOn(t, fd, spool.Options{ReadOnly: true})
	fd.Trace()
	for what, err := range map[string]error{
		"settle":  reader.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: 1}, State: record.Stored}),
		"release": reader.Release(t.Context(), 1),
	} {
		if !errors.Is(err, record.ErrClosed) {
			t.Errorf("%s of a reader: %v", what, err)
		}
	}
	if trace := fd.Trace(); len(trace) > 0 {
		t.Errorf("a reader writes: %v", trace)
	}
	e, ok, err := s.Entry(t.Context(), 1)
	if !ok {
		t.Fatal(err)
	}
	body, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reader.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	list, err := fd.ReadDir("bodies")
	if err != nil {
		t.Fatal(err)
	}
	f, err := fd.OpenWrite("bodies/" + list[0].Name())
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("xxxx"), 70<<10)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	fd.Trace()
	if _, err := io.ReadAll(body); !errors.Is(err, record.ErrClosed) {
		t.Errorf("a damaged body, read behind Close: %v", err)
	}
	if trace := fd.Trace(); len(trace) > 0 {
		t.Errorf("a closed spool writes: %v", trace)
	}
	if _, err := s.Wait(t.Context(), 1); !errors.Is(err, record.ErrClosed) {
		t.Errorf("wait: %v", err)
	}
}

// TestFailedBatchLeavesNoGap has a long body fail, whose file goes, and kills the process:
// nobody has an ack for it, so it is no gap.
func TestFailedBatchLeavesNoGap(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	opts := spool.Options{InlineBytes: 1 << 10}
	s := openOn(t, fd, opts)
	mustAppend(t, s, rec("b", "a", []byte("a")))
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Sync && !strings.HasPrefix(c.Name, "bodies/") {
			return &faultdisk.Fault{Err: syscall.EIO}
		}
		return nil
	})
	if _, err := s.Append(t.Context(), rec("b", "long", randomBody(1, 20<<10))); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	fd.Kill()
	s = openOn(t, fd.Next(), opts)
	entries, gaps := all(t, s, 1)
	for _, e := range entries {
		if _, err := readBody(e); err != nil {
			t.Error(err)
		}
	}
	if len(entries) != 1 || len(gaps) != 0 || s.Stats().Gaps != 0 {
		t.Errorf("%d entries, gaps %v", len(entries), gaps)
	}
}

// TestPowerLossesPutNothingAway cuts the power around the second use of segments.
func TestPowerLossesPutNothingAway(t *testing.T) {
	for seed := range uint64(torture.RaceShare(60)) {
		base := crashdisk.New()
		rng := newRand(seed)
		stop := rng.IntN(60)
		var armed atomic.Bool
		var after *crashdisk.Disk
		n := 0
		fd := faultdisk.New(base, func(c faultdisk.Call) *faultdisk.Fault {
			if armed.Load() && c.Op.Mutates() && after == nil {
				if n++; n > stop {
					after = base.Crash(rng, 50)
				}
			}
			return nil
		})
		opts := spool.Options{SegmentBytes: 16 << 10}
		s := openOn(t, fd, opts)
		put := func(from int) {
			for i := range 8 {
				mustAppend(t, s, rec("b", fmt.Sprint(from+i), randomBody(uint64(from+i), 4<<10)))
			}
		}
		put(0)
		armed.Store(true)
		if err := s.Release(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		put(100)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if after == nil {
			continue
		}
		s = openOn(t, after, opts)
		list, err := after.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if strings.Contains(d.Name(), ".damaged") {
				t.Errorf("seed %d: %s", seed, d.Name())
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestBallastAfterARestart fills the disk after a restart: the space that was kept is given back.
func TestBallastAfterARestart(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("b", "a", []byte("a")))
	has := func() bool {
		f, err := fd.Open("ballast")
		if err == nil {
			_ = f.Close()
		}
		return err == nil
	}
	if err := s.Close(); err != nil || !has() {
		t.Fatalf("no ballast: %v", err)
	}
	fd.SetFull(syscall.ENOSPC)
	s = openOn(t, fd, spool.Options{})
	if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: 1, Size: 1}, State: record.Quarantined, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if has() {
		t.Error("the disk is full and the ballast is there")
	}
	_ = s.Close() // on a full disk
}
