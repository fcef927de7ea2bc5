package spool_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// killAt is a disk whose process is killed at the first call that matches, after
// its effect if so asked; the caller hears that the call failed.
func killAt(base *crashdisk.Disk, matches func(faultdisk.Call) bool) *faultdisk.Disk {
	return faultdisk.New(base, func(c faultdisk.Call) *faultdisk.Fault {
		if matches(c) {
			return &faultdisk.Fault{Err: faultdisk.ErrKilled, Kill: true}
		}
		return nil
	})
}

// TestAckAfterKillSurvivesPowerLoss kills the process between the write of a
// record and its fsync. The next process answers the sender, who sends again; then the power goes.
func TestAckAfterKillSurvivesPowerLoss(t *testing.T) {
	base := crashdisk.New()
	var armed atomic.Bool
	fd := killAt(base, func(c faultdisk.Call) bool {
		return armed.Load() && c.Op == faultdisk.Sync && strings.HasSuffix(c.Name, ".seg")
	})
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("b", "k1", []byte("one")))
	armed.Store(true)
	body := bytes.Repeat([]byte("two"), 5000)
	if _, err := s.Append(t.Context(), rec("b", "k2", body)); err == nil {
		t.Fatal("a record was acked without its fsync")
	}
	s = openOn(t, fd.Next(), spool.Options{})
	again := mustAppend(t, s, rec("b", "k2", body))
	mustAppend(t, s, rec("b", "k3", []byte("three")))
	for seed := range uint64(20) {
		r := openOn(t, base.Crash(newRand(seed), 0), spool.Options{})
		entries, gaps := all(t, r, 1)
		if len(entries) != 3 || len(gaps) != 0 || entries[again.Seq-1].Key != "k2" {
			t.Fatalf("after the power loss: %d of 3 acked records, gaps %v", len(entries), gaps)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNamesOfAKilledProcess kills the process between a rename and the sync of
// its directory, in each place where a rename publishes something. The next process must not act on the
// name before it is durable: what it removes because of it would be lost with the name.
func TestNamesOfAKilledProcess(t *testing.T) {
	for _, dir := range []string{"parked", "."} {
		t.Run(dir, func(t *testing.T) {
			for seed := range uint64(20) {
				base := crashdisk.New()
				var armed atomic.Bool
				fd := killAt(base, func(c faultdisk.Call) bool {
					return armed.Load() && c.Op == faultdisk.SyncDir && c.Name == dir
				})
				opts := spool.Options{SegmentBytes: 16 << 10}
				s := openOn(t, fd, opts)
				for i := range 12 {
					mustAppend(t, s, rec("b", fmt.Sprint("k", i), randomBody(uint64(i), 3000)))
				}
				armed.Store(true)
				_ = s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: 1}, State: record.Quarantined, Reason: "x"}) // killed in it, or behind it
				for seq := record.Seq(2); seq <= 12; seq++ {
					_ = s.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: seq, Size: 3000}, State: record.Stored})
				}
				_ = s.Release(t.Context(), 12)
				fd.Kill() // at the latest
				r := openOn(t, fd.Next(), opts)
				upto := record.Seq(1)
				if r.Stats().Quarantined > 0 { // it believes the copy: then it may release
					for seq := record.Seq(2); seq <= 11; seq++ {
						if err := r.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: seq, Size: 3000}, State: record.Stored}); err != nil {
							t.Fatal(err)
						}
					}
					upto = 11
					if err := r.Release(t.Context(), upto); err != nil {
						t.Fatal(err)
					}
				}
				z := openOn(t, base.Crash(newRand(seed), 50), opts)
				if _, ok, err := z.Lookup(t.Context(), "b", "k0"); !ok || err != nil {
					t.Fatalf("seed %d: the record that was not stored is gone after the power loss: %v", seed, err)
				}
				if st := z.Stats(); st.Gaps != 0 {
					t.Fatalf("seed %d: a gap where nothing was lost: %+v", seed, st)
				}
			}
		})
	}
}

// TestKillEverywhere kills a life at each of its calls, with and without the
// effect of that call, goes on in a second process, and cuts the power then: no acked record of
// either life is lost, and no number is given to two.
func TestKillEverywhere(t *testing.T) {
	opts := spool.Options{Log: "test", SegmentBytes: 12 << 10, InlineBytes: 4 << 10, ReserveBytes: 1}
	step := 1
	if testing.Short() || torture.Race {
		step = 7
	}
	for n := 1; ; n += step {
		reached := false
		for _, apply := range []bool{false, true} {
			base := crashdisk.New()
			calls := 0
			fd := faultdisk.New(base, func(c faultdisk.Call) *faultdisk.Fault {
				if !c.Op.Mutates() {
					return nil
				}
				if calls++; calls == n {
					reached = true
					return &faultdisk.Fault{Err: faultdisk.ErrKilled, Kill: true, Apply: apply}
				}
				return nil
			})
			o := newOracle()
			s, err := spool.Open(fd, opts)
			if err == nil {
				killedLife(t, o, s, 0)
			}
			fd.Kill() // at the latest
			s, err = spool.Open(fd.Next(), opts)
			if err != nil {
				t.Fatalf("killed at call %d: it does not open: %v", n, err)
			}
			for key := range o.started { // their senders send again what was not acked
				if err := o.append(s, key); err != nil {
					t.Fatal(err)
				}
			}
			killedLife(t, o, s, 100)
			acked, upto := o.snapshot()
			for _, percent := range []int{0, 50} {
				r := openOn(t, base.Crash(newRand(uint64(n)), percent), opts)
				o.check(t, r, acked, upto)
				if st := r.Stats(); st.Gaps != 0 {
					t.Errorf("killed at call %d (applied: %v), %d %% of the unsynced survive: %+v", n, apply, percent, st)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			if t.Failed() {
				t.Fatalf("killed at call %d, applied: %v", n, apply)
			}
		}
		if !reached {
			break
		}
	}
}

// killedLife appends, and settles and releases some, as far as the process lives.
func killedLife(t *testing.T, o *oracle, s *spool.Spool, from int) {
	t.Helper()
	for i := range 8 {
		key := fmt.Sprintf("k%d-%d", from+i, i*800)
		if err := o.append(s, key); err != nil {
			return
		}
		if i%2 == 0 { // the sender repeats itself: the answer must be as durable
			if err := o.append(s, key); err != nil {
				return
			}
		}
		if i%3 != 2 {
			continue
		}
		upto := s.Released() + 2
		for seq := s.Released() + 1; seq <= upto; seq++ {
			e, ok, err := s.Entry(t.Context(), seq)
			if err != nil || !ok {
				return
			}
			o.mu.Lock()
			o.stored[seq] = true
			o.mu.Unlock()
			if s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}) != nil {
				return
			}
		}
		o.mu.Lock()
		o.upto = max(o.upto, upto)
		o.mu.Unlock()
		if s.Release(t.Context(), upto) != nil {
			return
		}
	}
}
