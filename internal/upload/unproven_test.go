package upload_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// damaged is a source that gives one record that is settled back wrong.
type damaged struct {
	*source
	seq record.Seq
}

func (d damaged) Entry(ctx context.Context, seq record.Seq) (record.Entry, bool, error) {
	if seq == d.seq {
		return record.Entry{}, false, &record.GapError{First: seq, Last: seq, Cause: "checksum mismatch"}
	}
	return d.source.Entry(ctx, seq)
}

// Runs without a ledger settle records out of order and are killed. A run with
// one then tells it of each of them, in its turn.
func TestLedgerHearsOfWhatWasSettledWithoutIt(t *testing.T) {
	for _, lost := range []record.Seq{0, 6} {
		t.Run(fmt.Sprint("lost=", lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { ledgerAfterNone(t, lost) })
		})
	}
}

func ledgerAfterNone(t *testing.T, lost record.Seq) {
	w := newWorld(t, "")
	w.bucket.script = func(_, key string) fault {
		if key == "k3" {
			return fault{class: store.Unreachable}
		}
		return fault{}
	}
	for i := range 9 {
		w.src.add("b", fmt.Sprint("k", i+1), fmt.Sprint(i))
	}
	w.start()
	time.Sleep(time.Second)
	w.stop()
	if n := len(w.src.settled); n != 8 || w.src.Released() != 2 {
		t.Fatalf("%d settled, %d released: the test needs 8 and 2", n, w.src.Released())
	}

	l := newLedger()
	l.next, l.covered = 3, 2 // a log begins behind what was released
	w.opts.Ledger, w.src.covered = l, l.upto
	w.opts.Source = damaged{w.src, lost}
	w.bucket.script = func(string, string) fault { return fault{} }
	began := time.Now()
	w.src.readable = func(seq record.Seq, _ bool) error {
		if seq == 5 && time.Since(began) < 3*time.Second {
			return syscall.EIO
		}
		return nil
	}
	for i := range 3 {
		w.src.add("b", fmt.Sprint("more", i), fmt.Sprint(i))
	}
	w.start()
	w.drain(time.Minute)
	time.Sleep(2 * time.Minute) // a drain may defer record 5 while it cannot be read: then its turn comes later
	w.stop()
	w.check()
	for _, lie := range l.lies {
		t.Error(lie)
	}
	for seq := record.Seq(3); seq <= 12; seq++ {
		if got := l.proven[seq]; seq != lost && got != record.Stored {
			t.Errorf("the ledger says of record %d: %q", seq, got)
		}
	}
	if n := len(w.bucket.objects); n != 12 {
		t.Errorf("%d objects for 12 records", n)
	}
	if st := w.up.Stats(); lost != 0 && st.Gaps != 1 {
		t.Errorf("stats %+v: want the gap counted", st)
	}
}
