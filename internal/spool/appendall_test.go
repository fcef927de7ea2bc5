package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// batch is n records whose bodies are read in place.
func batch(name string, n int) []record.Record {
	rs := make([]record.Record, n)
	for i := range rs {
		body := fmt.Appendf(nil, "%s body %d", name, i)
		rs[i] = record.Record{Door: "http", Key: fmt.Sprintf("%s/%d", name, i), Body: bytes.NewBuffer(body), Size: int64(len(body))}
	}
	return rs
}

// A batch of records that fit together is one fsync, consecutive and in order.
func TestAppendAllIsOneCommit(t *testing.T) {
	var synced []int
	s := openDir(t, t.TempDir(), spool.Options{Events: spool.Events{Synced: func(n int, _ int64, _ time.Duration, _ error) { synced = append(synced, n) }}})
	receipts, err := s.AppendAll(t.Context(), batch("a", 500))
	if err != nil {
		t.Fatal(err)
	}
	if len(synced) != 1 || synced[0] != 500 {
		t.Errorf("batches synced: %v; want one of 500", synced)
	}
	entries, _ := all(t, s, 1)
	if len(entries) != 500 {
		t.Fatalf("%d entries", len(entries))
	}
	for i, e := range entries {
		want := fmt.Sprintf("a body %d", i)
		if r := receipts[i]; r.Seq != record.Seq(i+1) || r.Resent || r.Digest != e.Digest || e.Seq != r.Seq || string(bodyOf(t, e)) != want {
			t.Fatalf("record %d: receipt %v, entry %d %q", i, r, e.Seq, bodyOf(t, e))
		}
	}
}

// Known records, long ones, ones from readers and two that are the same get what Append gives them.
func TestAppendAllMixed(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{InlineBytes: 1 << 10})
	known := mustAppend(t, s, rec("", "known", []byte("known")))
	long := randomBody(1, 5000)
	list := func() []record.Record {
		return []record.Record{
			{Door: "http", Key: "new", Body: bytes.NewBuffer([]byte("new")), Size: 3},
			{Door: "http", Key: "known", Body: bytes.NewBuffer([]byte("known")), Size: -1},
			{Door: "http", Key: "long", Body: bytes.NewBuffer(long), Size: 5000},
			{Door: "http", Key: "twice", Body: bytes.NewBuffer([]byte("twice")), Size: 5},
			{Door: "http", Key: "twice", Body: bytes.NewBuffer([]byte("twice")), Size: 5},
			{Door: "http", Key: "reader", Body: bytes.NewReader([]byte("reader")), Size: 6},
			{Door: "http", Key: "twice", Body: bytes.NewBuffer([]byte("other")), Size: 5},
		}
	}
	for round, want := range []string{"[2 1r 3 4 4r 5 6]", "[2r 1r 3r 7 7r 5r 8]"} {
		receipts, err := s.AppendAll(t.Context(), list())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range receipts {
			mark := ""
			if r.Resent {
				mark = "r"
			}
			got = append(got, fmt.Sprintf("%d%s", r.Seq, mark))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("round %d: %v, want %s", round, got, want)
		}
	}
	if known.Seq != 1 {
		t.Fatal(known)
	}
	e, ok, err := s.Lookup(t.Context(), "", "long")
	if err != nil || !ok || !bytes.Equal(bodyOf(t, e), long) {
		t.Errorf("the long body: %v %v", ok, err)
	}
}

// One bad record fails the whole, before anything is committed.
func TestAppendAllRefuses(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{})
	for _, bad := range []struct {
		r    record.Record
		want error
	}{
		{record.Record{Door: "http", Key: "", Body: bytes.NewBuffer(nil)}, record.ErrInvalid},
		{record.Record{Door: "http", Key: "k", Body: bytes.NewBufferString("abc"), Size: 4}, record.ErrSize},
		{record.Record{Door: "http", Key: "k", Body: errReader{io.ErrUnexpectedEOF}, Size: -1}, io.ErrUnexpectedEOF},
	} {
		if _, err := s.AppendAll(t.Context(), append(batch("a", 3), bad.r)); !errors.Is(err, bad.want) {
			t.Errorf("%v, want %v", err, bad.want)
		}
	}
	if entries, _ := all(t, s, 1); len(entries) != 0 {
		t.Errorf("%d records of refused batches", len(entries))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendAll(t.Context(), batch("a", 1)); !errors.Is(err, record.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Batches and single appends, some given up, from many goroutines: what was acked is there once, no append hangs.
func TestAppendAllConcurrently(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, spool.Options{SegmentBytes: 64 << 10})
	var mu sync.Mutex
	acked := map[string]record.Seq{}
	ack := func(key string, r record.Receipt) {
		mu.Lock()
		defer mu.Unlock()
		if seq, ok := acked[key]; ok && seq != r.Seq {
			t.Errorf("%s has the numbers %d and %d", key, seq, r.Seq)
		}
		acked[key] = r.Seq
	}
	var wg sync.WaitGroup
	var given atomic.Int64
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if i%3 == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(i*20)*time.Microsecond)
				}
				rs := batch(fmt.Sprint("b", (g*30+i)/2), 20) // every batch comes twice, often at once
				receipts, err := s.AppendAll(ctx, rs)
				cancel()
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					given.Add(1)
					continue
				}
				for j, r := range receipts {
					ack(rs[j].Key, r)
				}
				r := mustAppend(t, s, rec("", fmt.Sprint("single", g, i), []byte("x")))
				ack(fmt.Sprint("single", g, i), r)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	entries, gaps := all(t, s, 1)
	for i, e := range entries {
		seen[e.Key]++
		if e.Seq != record.Seq(i+1) {
			t.Fatalf("entry %d has the number %d", i, e.Seq)
		}
	}
	for key := range acked {
		if seen[key] != 1 {
			t.Errorf("%s is there %d times", key, seen[key])
		}
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", key, n)
		}
	}
	if len(gaps) != 0 || given.Load() == 0 {
		t.Logf("gaps %v, given up %d", gaps, given.Load())
	}
}

// What AppendAll acked survives a crash, whatever the disk keeps of the rest; what its
// fsyncs did not make durable is not acked, and is taken when it comes again.
func TestAppendAllCrash(t *testing.T) {
	base := crashdisk.New()
	fd := faultdisk.New(base, nil)
	s := openOn(t, fd, spool.Options{})
	if _, err := s.AppendAll(t.Context(), batch("a", 100)); err != nil {
		t.Fatal(err)
	}
	check := func(want int) {
		t.Helper()
		for i := range 20 {
			r := openOn(t, base.Crash(newRand(uint64(i)), 50), spool.Options{})
			if entries, gaps := all(t, r, 1); len(entries) != want || len(gaps) != 0 {
				t.Errorf("after a crash: %d entries, want %d, gaps %v", len(entries), want, gaps)
			}
		}
	}
	check(100)
	var failing atomic.Bool // a side file may be on its way to the disk yet
	failing.Store(true)
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if failing.Load() && c.Op == faultdisk.Sync && strings.HasSuffix(c.Name, ".seg") {
			return &faultdisk.Fault{Err: syscall.EIO}
		}
		return nil
	})
	if receipts, err := s.AppendAll(t.Context(), batch("b", 50)); !errors.Is(err, syscall.EIO) || receipts != nil {
		t.Errorf("with a disk that does not sync: %d receipts, %v", len(receipts), err)
	}
	failing.Store(false)
	receipts, err := s.AppendAll(t.Context(), batch("b", 50))
	if err != nil || receipts[0].Seq != 101 || receipts[49].Seq != 150 {
		t.Errorf("again: %v %v", receipts, err)
	}
	check(150)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A batch for which there is no room is held, then pushed back whole.
func TestAppendAllPushback(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{MaxBytes: 4 << 20})
	for i := range 32 { // pending
		mustAppend(t, s, rec("b", fmt.Sprint("before", i), randomBody(uint64(i), 64<<10)))
	}
	big := make([]record.Record, 30)
	for i := range big {
		body := randomBody(uint64(i), 64<<10)
		big[i] = record.Record{Door: "http", Key: fmt.Sprint(i), Body: bytes.NewBuffer(body), Size: -1}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.AppendAll(ctx, big); !errors.Is(err, record.ErrPushback) {
		t.Errorf("%v, want %v", err, record.ErrPushback)
	}
	if entries, _ := all(t, s, 1); len(entries) != 32 {
		t.Errorf("%d records of a batch that was pushed back", len(entries)-32)
	}
}
