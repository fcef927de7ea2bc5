package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// TestClosedIsClosed asks everything of a closed spool while the next owner has the directory.
func TestClosedIsClosed(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	first := mustAppend(t, s, rec("b", "k1", []byte("one")))
	last := mustAppend(t, s, rec("b", "k2", []byte("two")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := openOn(t, fd, spool.Options{})
	fd.Trace()
	_, appended := s.Append(t.Context(), rec("b", "k3", nil))
	_, all1 := s.AppendAll(t.Context(), []record.Record{rec("b", "k4", nil)})
	_, redriven := s.Redrive(t.Context(), 0)
	_, _, entry := s.Entry(t.Context(), first.Seq)
	_, _, found := s.Lookup(t.Context(), "b", "k1")
	var listed, keys error
	for _, err := range s.Entries(t.Context(), 1) {
		listed = err
	}
	for _, err := range s.Keys(t.Context(), "b", "", "") {
		keys = err
	}
	for what, err := range map[string]error{
		"Append": appended, "AppendAll": all1, "Entry": entry, "Lookup": found, "Entries": listed, "Keys": keys,
		"Settle":  s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: first.Seq}, State: record.Stored}),
		"Defer":   s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: first.Seq}, State: record.Deferred}),
		"Release": s.Release(t.Context(), last.Seq),
		"Sync":    s.Sync(),
	} {
		if !errors.Is(err, record.ErrClosed) {
			t.Errorf("%s of a closed spool: %v, want %v", what, err, record.ErrClosed)
		}
	}
	if redriven != nil {
		t.Errorf("Redrive with nothing parked: %v", redriven)
	}
	if trace := fd.Trace(); len(trace) > 0 {
		t.Errorf("a closed spool wrote into a directory whose lock it gave back: %v", trace)
	}
	if entries, gaps := all(t, next, 1); len(entries) != 2 || len(gaps) != 0 {
		t.Errorf("the next owner sees %d entries, gaps %v", len(entries), gaps)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

// TestLongBodiesDoNotBlock has two long bodies that fit one at a time: one is
// acked, the other waits without holding anything, and small records pass.
func TestLongBodiesDoNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openOn(t, crashdisk.New(), spool.Options{MaxBytes: 16 << 20, InlineBytes: 64 << 10})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		var acked, refused atomic.Int64
		for i := range 2 {
			wg.Go(func() {
				_, err := s.Append(ctx, rec("b", fmt.Sprint("big", i), randomBody(uint64(i), 10<<20)))
				switch {
				case err == nil:
					acked.Add(1)
				case errors.Is(err, record.ErrPushback):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		begun := time.Now()
		for i := range 20 {
			if _, err := s.Append(ctx, rec("b", fmt.Sprint("small", i), []byte("small"))); err != nil {
				t.Errorf("a small record beside long ones: %v", err)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("small records waited %v", took)
		}
		wg.Wait()
		if acked.Load() != 1 || refused.Load() != 1 {
			t.Errorf("%d long bodies acked, %d pushed back", acked.Load(), refused.Load())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestBodyThatCanNeverFit is refused at once, before a byte of it is read, and holds nothing.
func TestBodyThatCanNeverFit(t *testing.T) {
	s := openOn(t, crashdisk.NewPlain(), spool.Options{MaxBytes: 8 << 20})
	before := s.Stats().SpoolBytes
	read := false
	r := record.Record{Door: "s3", Key: "huge", Size: 64 << 20, Body: readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF })}
	if _, err := s.Append(t.Context(), r); !errors.Is(err, record.ErrInvalid) || !strings.Contains(err.Error(), "max_bytes") {
		t.Errorf("%v", err)
	}
	if read || s.Stats().SpoolBytes != before {
		t.Errorf("read %v, %d bytes taken", read, s.Stats().SpoolBytes-before)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestReaderThatGivesNothing fails the append of a body that never comes.
func TestReaderThatGivesNothing(t *testing.T) {
	s := openOn(t, crashdisk.NewPlain(), spool.Options{})
	r := record.Record{Door: "lib", Key: "k", Size: -1, Body: readerFunc(func([]byte) (int, error) { return 0, nil })}
	if _, err := s.Append(t.Context(), r); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v, want %v", err, io.ErrNoProgress)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNewestOfAKey puts A, B and A under one key: the newest that was sent is A.
func TestNewestOfAKey(t *testing.T) {
	s := openOn(t, crashdisk.New(), spool.Options{})
	want := func(body string, resent bool) {
		t.Helper()
		r := mustAppend(t, s, rec("b", "k", []byte(body)))
		e, ok, err := s.Lookup(t.Context(), "b", "k")
		if err != nil || !ok || string(bodyOf(t, e)) != body || r.Resent != resent || e.Seq != r.Seq {
			t.Errorf("after PUT %s: %v %v, receipt %+v", body, ok, err, r)
		}
	}
	want("A", false)
	want("B", false)
	want("A", false)
	want("A", true)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Acked; n != 3 {
		t.Errorf("%d records", n)
	}
}

// TestSyncWaitsForAPosition calls Sync while records come without a pause: it
// waits for those that came before it, not for silence.
func TestSyncWaitsForAPosition(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{})
	var stop atomic.Bool
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := 0; !stop.Load(); j++ {
				mustAppend(t, s, rec("b", fmt.Sprintf("%d-%d", i, j), []byte("x")))
				n.Add(1)
			}
		})
	}
	for n.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Sync(); err != nil { // a Sync that waits for silence never returns
		t.Error(err)
	}
	stop.Store(true)
	wg.Wait()
}

// TestRemovedSegment removes the active segment, and then the whole directory,
// under the running spool: nothing is acked into a file without a name, what was in it is still
// delivered, and a restart names it instead of giving its numbers again.
func TestRemovedSegment(t *testing.T) {
	dir := t.TempDir()
	fs, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	fd := faultdisk.New(fs, nil)
	s := openOn(t, fd, spool.Options{})
	for i := range 5 {
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), []byte("before")))
	}
	if err := os.Remove(filepath.Join(dir, firstSegment)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustAppend(t, s, rec("b", fmt.Sprint("l", i), []byte("after")))
	}
	if entries, gaps := all(t, s, 1); len(entries) != 10 || len(gaps) != 0 {
		t.Errorf("in the process: %d entries, gaps %v", len(entries), gaps)
	}
	fd.Kill()
	s = openOn(t, fd.Next(), spool.Options{})
	entries, gaps := all(t, s, 1)
	if len(entries) != 5 || len(gaps) != 1 || gaps[0].First != 1 || gaps[0].Last != 5 || s.Stats().Gaps != 1 {
		t.Errorf("after a restart: %d entries, gaps %v", len(entries), gaps)
	}
	// The newest one: only the high-water mark knows how far the numbers went.
	name := fmt.Sprintf("%020d.seg", mustAppend(t, s, rec("b", "m", nil)).Seq)
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = openOn(t, fs, spool.Options{})
	if r := mustAppend(t, s, rec("b", "n", nil)); r.Seq != 12 || s.Stats().Gaps != 2 {
		t.Errorf("the next number is %d, %d gaps", r.Seq, s.Stats().Gaps)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Append(t.Context(), rec("b", "o", nil)); err == nil {
		t.Errorf("record %d was acked into a directory that is gone", r.Seq)
	}
	_ = s.Close() // there is nothing left to close into
}

// TestGapsAreDurable damages records behind an open spool: what was counted as
// a gap is counted after each restart, and after the release.
func TestGapsAreDurable(t *testing.T) {
	d := crashdisk.New()
	opts := spool.Options{SegmentBytes: 16 << 10}
	s := openOn(t, d, opts)
	for i := range 40 {
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 2000)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{3, 4, 9, 25} {
		flip(t, d, randomBody(uint64(i), 2000))
	}
	s = openOn(t, d, opts)
	_, gaps := all(t, s, 1)
	before := s.Stats()
	if before.GapRecords != 4 || len(gaps) == 0 {
		t.Fatalf("%+v, gaps %v", before, gaps)
	}
	for round := range 3 {
		s = openOn(t, d.Crash(rand.New(rand.NewPCG(1, 1)), 0), opts) // killed: without a Close
		if st := s.Stats(); st.Gaps != before.Gaps || st.GapRecords != 4 {
			t.Errorf("restart %d: %d gaps of %d records, before %d of %d", round, st.Gaps, st.GapRecords, before.Gaps, before.GapRecords)
		}
	}
	if err := errors.Join(s.Release(t.Context(), 40), s.Close()); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Gaps != before.Gaps || st.GapRecords != 4 {
		t.Errorf("released: %+v", st)
	}
}

// flip damages the file that holds these bytes.
func flip(t *testing.T, d disk.FS, body []byte) {
	t.Helper()
	list, err := d.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".seg") {
			continue
		}
		f, err := d.OpenWrite(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		b := make([]byte, size)
		_, _ = f.ReadAt(b, 0)
		if at := bytes.Index(b, body); at >= 0 {
			_, err = f.WriteAt([]byte{b[at+7] ^ 1}, int64(at+7))
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
			return
		}
		_ = f.Close()
	}
	t.Fatal("the body is in no segment")
}

// TestOtherVersion opens a spool that a newer program wrote, and one that the first one did: it says
// what it met, and touches nothing.
func TestOtherVersion(t *testing.T) {
	for _, digits := range []string{"01", "03"} {
		d := crashdisk.New()
		s := openOn(t, d, spool.Options{})
		mustAppend(t, s, rec("b", "k", nil))
		img := readImage(t, d)
		for _, at := range []int{0, 4096} {
			copy(img[firstSegment][at+6:], digits)
		}
		changed := img.disk(t)
		_, err := spool.Open(changed, spool.Options{Log: "test"})
		v, ok := errors.AsType[*spool.VersionError](err)
		if !ok || v.Version != digits || v.File != firstSegment {
			t.Errorf("version %s: %v", digits, err)
		}
		if after := readImage(t, changed); !bytes.Equal(after[firstSegment], img[firstSegment]) {
			t.Errorf("version %s: the segment was touched", digits)
		}
	}
}

// TestCheapAppends counts the calls of an append in states that once made it dearer.
func TestCheapAppends(t *testing.T) {
	fd := faultdisk.New(crashdisk.NewPlain(), nil)
	s := openOn(t, fd, spool.Options{SegmentBytes: 64 << 10, FilterBytes: 1})
	put := func(bucket, key string) { mustAppend(t, s, rec(bucket, key, randomBody(1, 200))) }
	for i := range 300 {
		put("b", fmt.Sprint("held", i))
		if err := s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: record.Seq(i + 1)}, State: record.Deferred, Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; s.Stats().Segments < 30; i++ {
		put("b", fmt.Sprint("k", i))
	}
	reads := 0
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op.Reads() {
			reads++
		}
		return nil
	})
	fd.Trace()
	for i := range 50 {
		put(fmt.Sprint("tenant", i), "k")
	}
	writes, syncs := 0, 0
	for _, line := range fd.Trace() {
		if strings.Contains(line, ".spare") || strings.Contains(line, "ballast") || strings.Contains(line, ".idx") || strings.Contains(line, "buckets") || strings.HasPrefix(line, "syncdir") {
			continue // once a segment, in the background
		}
		if strings.HasPrefix(line, "write") {
			writes++
		}
		if strings.HasPrefix(line, "sync ") {
			syncs++
		}
	}
	if reads != 0 || syncs != 50 || writes > 2*50 {
		t.Errorf("50 appends of new buckets behind 30 segments and 300 records parked: %d reads, %d writes, %d syncs", reads, writes, syncs)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestManyProducersStayInline has more bodies in flight than the memory holds:
// they wait for memory, which costs less than a file of their own.
func TestManyProducersStayInline(t *testing.T) { synctest.Test(t, manyProducersStayInline) } // so that a busy machine makes nobody wait too long

func manyProducersStayInline(t *testing.T) {
	var files atomic.Int64
	fd := faultdisk.New(crashdisk.NewPlain(), func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Create && strings.HasPrefix(c.Name, "bodies/") {
			files.Add(1)
		}
		return nil
	})
	s := openOn(t, fd, spool.Options{MemoryBytes: 1 << 20})
	body := randomBody(1, 20<<10)
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 200 {
		wg.Go(func() {
			for i := n.Add(1); i <= 1000; i = n.Add(1) {
				mustAppend(t, s, rec("b", fmt.Sprint("k", i), body))
			}
		})
	}
	wg.Wait()
	if files.Load() > 0 {
		t.Errorf("%d of 1000 short bodies became files", files.Load())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRecycledSegments writes, releases and writes on: segments are used again,
// and nothing of their first use is ever taken for something of the second.
func TestRecycledSegments(t *testing.T) {
	base := crashdisk.New()
	fd := faultdisk.New(base, nil)
	opts := spool.Options{SegmentBytes: 32 << 10}
	s := openOn(t, fd, opts)
	seq := record.Seq(0)
	for round := range 40 {
		from := seq
		for i := range 10 {
			seq = mustAppend(t, s, rec("b", fmt.Sprintf("k%d-%d", round, i), randomBody(uint64(round), 2500+i))).Seq
		}
		crashed := openOn(t, base.Crash(newRand(uint64(round)), 50), opts)
		if entries, gaps := all(t, crashed, 1); len(entries) != int(seq-from) || len(gaps) != 0 {
			t.Fatalf("round %d, after a power loss: %d entries, gaps %v", round, len(entries), gaps)
		}
		if err := crashed.Close(); err != nil {
			t.Error(err)
		}
		entries, _ := all(t, s, 1)
		for _, e := range entries {
			bodyOf(t, e)
			if err := s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Release(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		// Who held an entry of a segment that is used again reads its body, or that it is not here: never another.
		for _, e := range entries {
			r, err := e.Open()
			if err != nil {
				if _, gap := errors.AsType[*record.GapError](err); gap {
					t.Fatalf("round %d: a record that was released is called damaged: %v", round, err)
				}
				continue
			}
			if b, err := io.ReadAll(r); err == nil && !bytes.Equal(b, randomBody(uint64(round), len(b))) {
				t.Fatalf("round %d: record %d has another body", round, e.Seq)
			}
			_ = r.Close()
		}
	}
	recycled := 0
	for _, line := range fd.Trace() {
		if strings.HasPrefix(line, "rename") && strings.HasSuffix(line, ".spare") {
			recycled++
		}
	}
	if recycled < 20 {
		t.Errorf("%d segments were used again", recycled)
	}
	if st := s.Stats(); st.Gaps != 0 || st.Acked != 400 {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenSyncsFirst has the disk fail a sync at the start: Open fails, because nothing unsynced is believed.
func TestOpenSyncsFirst(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("b", "k", nil))
	fd.Kill()
	for _, op := range []faultdisk.Op{faultdisk.SyncDir, faultdisk.Sync} {
		next := fd.Next()
		next.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == op {
				return &faultdisk.Fault{Err: syscall.EIO}
			}
			return nil
		})
		if _, err := spool.Open(next, spool.Options{Log: "test"}); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: %v, want EIO", op, err)
		}
	}
}

// TestGapsAreListed damages records: their ranges are listed after a restart, with the cause, and stay listed
// after their release, until the next start, which only counts them.
func TestGapsAreListed(t *testing.T) {
	d := crashdisk.New()
	opts := spool.Options{SegmentBytes: 16 << 10}
	s := openOn(t, d, opts)
	for i := range 40 {
		mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 2000)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{3, 9, 25} {
		flip(t, d, randomBody(uint64(i), 2000))
	}
	s = openOn(t, d, opts)
	all(t, s, 1)
	listed := func(when string, n, others int, want ...record.Seq) {
		t.Helper()
		list, more := s.Gaps(n)
		var got []record.Seq
		for _, g := range list {
			if g.Cause == "" {
				t.Errorf("%s: no cause: %+v", when, g)
			}
			for seq := g.First; seq <= g.Last; seq++ {
				got = append(got, seq)
			}
		}
		if !slices.Equal(got, want) || more != uint64(others) {
			t.Errorf("%s: %v and %d more, want %v and %d", when, got, more, want, others)
		}
	}
	listed("found", 100, 0, 4, 10, 26)
	listed("two of them", 2, 1, 10, 26)
	if err := s.Release(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	listed("released", 100, 0, 4, 10, 26)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, d, opts)
	listed("after a restart", 100, 2, 26)
	if err := errors.Join(s.Release(t.Context(), 40), s.Close()); err != nil {
		t.Fatal(err)
	}
	listed("all released", 100, 2, 26)
	s = openOn(t, d, opts)
	listed("after another restart", 100, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
