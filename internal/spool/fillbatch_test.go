package spool_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/spool"
)

// slowSync is a disk whose fsync of a file takes a millisecond.
func slowSync() *faultdisk.Disk {
	return faultdisk.New(crashdisk.NewPlain(), func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Sync {
			return &faultdisk.Fault{Delay: time.Millisecond}
		}
		return nil
	})
}

// TestFsyncIsShared has 64 senders that come back a moment after their ack: they share one
// fsync each time, and do not fall into two groups that take turns.
func TestFsyncIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders, records = 64, 64 * 30
		var fsyncs, sent atomic.Int64
		s := openOn(t, slowSync(), spool.Options{Events: spool.Events{Synced: func(int, int64, time.Duration, error) { fsyncs.Add(1) }}})
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for n := sent.Add(1); n <= records; n = sent.Add(1) {
					time.Sleep(time.Duration(100+3*i) * time.Microsecond)
					if _, err := s.Append(t.Context(), rec("b", fmt.Sprint(n), []byte("body"))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := fsyncs.Load(); n > records/senders*4/3 {
			t.Errorf("%d fsyncs for %d records of %d senders", n, records, senders)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestBatchWaitsForReturningSendersOnly has senders that come together and pause: a single record that comes
// right after them waits for its own fsync, and only rarely for them.
func TestBatchWaitsForReturningSendersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rounds = 200
		s := openOn(t, slowSync(), spool.Options{})
		late := 0
		for round := range rounds {
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					if _, err := s.Append(t.Context(), rec("b", fmt.Sprint(round, "/", i), []byte("body"))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			begun := time.Now()
			if _, err := s.Append(t.Context(), rec("b", fmt.Sprint(round, "/single"), []byte("body"))); err != nil {
				t.Error(err)
			}
			switch took := time.Since(begun); {
			case took > 6*time.Millisecond:
				t.Errorf("round %d: a record waited %v", round, took)
			case took > time.Millisecond:
				late++
			}
			time.Sleep(50 * time.Millisecond)
		}
		if late > rounds/10 {
			t.Errorf("%d of %d records waited for others", late, rounds)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
