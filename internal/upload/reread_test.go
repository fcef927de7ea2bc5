package upload_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/torture"
	"indelible/internal/upload"
)

// An outage of the spool's reads, of whatever length: nothing is given up, set
// parked or blamed on the store, one alarm is given, and all of it arrives afterwards.
func TestReadOutage(t *testing.T) {
	for name, fails := range map[string]func(body bool) bool{
		"headers": func(body bool) bool { return !body },
		"bodies":  func(body bool) bool { return body },
		"both":    func(bool) bool { return true },
	} {
		for _, proven := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s proven=%v", name, proven), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { readOutage(t, fails, proven) })
			})
		}
	}
}

func readOutage(t *testing.T, fails func(body bool) bool, proven bool) {
	w := newWorld(t, "")
	w.bucket.latency = 20 * time.Millisecond
	w.opts.MaxRecords = 500
	l := newLedger()
	if proven {
		w.opts.Ledger, w.src.covered = l, l.upto
	}
	var out atomic.Bool
	w.src.readable = func(_ record.Seq, body bool) error {
		if out.Load() && fails(body) {
			return syscall.EIO
		}
		return nil
	}
	add := func(name string, n int) {
		for i := range n {
			w.src.add("b", fmt.Sprint(name, i), fmt.Sprint(name, " body ", i))
		}
	}
	add("before", 500)
	w.start()
	time.Sleep(100 * time.Millisecond) // some are stored, some under way
	out.Store(true)
	add("during", 2500)
	time.Sleep(time.Minute)
	w.src.mu.Lock()
	reads := w.src.reads
	w.src.mu.Unlock()
	minutes := torture.RaceShare(10)
	time.Sleep(time.Duration(minutes) * time.Minute)
	w.src.mu.Lock()
	if n := w.src.reads - reads; n > 500*60*minutes/5 {
		t.Errorf("%d reads in %d minutes hammer the disk", n, minutes)
	}
	w.src.mu.Unlock()
	if st := w.up.Stats(); st.State != upload.OK || st.Retries != 0 || st.LastError != "" {
		t.Errorf("the store is blamed: %+v", st)
	}
	if st := w.up.Stats(); st.Unread == 0 || st.ReadErrors == 0 || !strings.Contains(st.LastReadError, "input/output error") {
		t.Errorf("stats say nothing of the disk: %+v", st)
	}
	if st := w.up.Stats(); st.Gaps+st.Deferred+st.Quarantined != 0 {
		t.Errorf("records were given up, or parked: %+v", st)
	}
	if n := strings.Count(w.log.String(), "level="); n != 1 || !strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("%d lines in the log, want one alarm:\n%s", n, tail(w.log.String()))
	}
	out.Store(false)
	time.Sleep(30 * time.Second) // the longest wait
	w.drain(30 * time.Second)
	if st := w.up.Stats(); st.Unread != 0 || st.Stored != 3000 || st.State != upload.OK {
		t.Errorf("stats after the outage: %+v", st)
	}
	w.stop()
	w.check()
	for _, lie := range l.lies {
		t.Error(lie)
	}
}

// Records that the disk does not give back, more than the window holds, hold up
// no other. They are parked like any other that fails alone, and delivered once they can be read.
func TestUnreadableRecordsHoldUpNoOther(t *testing.T) {
	for _, proven := range []bool{false, true} {
		t.Run(fmt.Sprintf("proven=%v", proven), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				w.opts.MaxRecords = 64
				l := newLedger()
				if proven {
					w.opts.Ledger, w.src.covered = l, l.upto
				}
				var fixed atomic.Bool
				w.src.readable = func(seq record.Seq, body bool) error {
					if seq <= 200 && body == (seq%2 == 0) && !fixed.Load() {
						return syscall.EIO
					}
					return nil
				}
				for i := range 200 {
					w.src.add("b", fmt.Sprint("unread", i), fmt.Sprint(i))
				}
				for i := range 500 {
					w.src.add("b", fmt.Sprint("good", i), fmt.Sprint(i))
				}
				w.start()
				for i := range 60 { // records go on coming
					time.Sleep(time.Minute)
					w.src.add("b", fmt.Sprint("later", i), fmt.Sprint(i))
				}
				w.drain(time.Minute)
				st := w.up.Stats()
				if st.Stored != 560 || st.Deferred != 200 || st.Gaps != 0 || st.State != upload.OK {
					t.Errorf("stats %+v: want the good ones stored, and the others kept", st)
				}
				fixed.Store(true)
				time.Sleep(24 * time.Minute) // two sweeps
				w.drain(time.Minute)
				w.stop()
				w.check()
				for _, lie := range l.lies {
					t.Error(lie)
				}
				if proven && (l.proven[1] != record.Stored || l.proven[2] != record.Stored) {
					t.Errorf("in the ledger: %s, %s", l.proven[1], l.proven[2])
				}
			})
		})
	}
}

// A restart finds records that were parked unread, with no more than a seq.
func TestParkedUnreadOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		l := newLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.src.add("b", "k", "x")
		if err := w.src.Settle(t.Context(), record.Outcome{Info: record.Info{Seq: 1}, State: record.Deferred, Reason: "unread"}); err != nil {
			t.Fatal(err)
		}
		var fixed atomic.Bool
		w.src.readable = func(record.Seq, bool) error {
			if !fixed.Load() {
				return syscall.ESTALE
			}
			return nil
		}
		w.start()
		time.Sleep(2 * time.Hour)
		if n := w.bucket.count(); n != 0 {
			t.Errorf("%d calls of the store for a record of which nothing is known", n)
		}
		fixed.Store(true)
		time.Sleep(12 * time.Minute)
		w.drain(time.Minute)
		w.stop()
		w.check()
		for _, lie := range l.lies {
			t.Error(lie)
		}
	})
}

// A short fault of a single read changes nothing, not even the order of two records of one key.
func TestShortReadFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		failed := 0
		w.src.readable = func(seq record.Seq, body bool) error {
			if seq == 1 && !body && failed < 3 {
				failed++
				return syscall.EIO
			}
			return nil
		}
		w.src.add("b", "k", "one")
		w.src.add("b", "k", "two")
		w.start()
		w.drain(10 * time.Second)
		w.stop()
		w.check()
		if got := w.src.settled[1].Stored; got != "k" {
			t.Errorf("the first record is stored as %q", got)
		}
	})
}

// unreadable is a disk whose files cannot be read for a while, whoever opened them.
type unreadable struct {
	disk.FS
	out *atomic.Bool
}

type unreadableFile struct {
	disk.File
	out *atomic.Bool
}

func (u unreadable) wrap(f disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return unreadableFile{f, u.out}, nil
}

func (u unreadable) Open(name string) (disk.File, error)      { return u.wrap(u.FS.Open(name)) }
func (u unreadable) OpenWrite(name string) (disk.File, error) { return u.wrap(u.FS.OpenWrite(name)) }
func (u unreadable) Create(name string) (disk.File, error)    { return u.wrap(u.FS.Create(name)) }

func (f unreadableFile) ReadAt(b []byte, off int64) (int, error) {
	if f.out.Load() {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(b, off)
}

// The whole way, with the real spool: reads fail for a minute, and every acked record arrives.
func TestSpoolReadOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out atomic.Bool
		s, err := spool.Open(unreadable{crashdisk.NewPlain(), &out}, spool.Options{Log: "test", SegmentBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if _, err := s.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: fmt.Sprint("k", i), Size: -1, Body: strings.NewReader(fmt.Sprint(i, strings.Repeat("x", 500)))}); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, "")
		w.opts.Source = s
		out.Store(true)
		w.start()
		time.Sleep(time.Minute)
		out.Store(false)
		time.Sleep(30 * time.Second)
		w.drain(time.Minute)
		w.stop()
		st := s.Stats()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(w.bucket.objects) != 1000 || st.Gaps != 0 || st.Pending != 0 || st.Deferred != 0 {
			t.Errorf("%d of 1000 records arrived; spool %+v", len(w.bucket.objects), st)
		}
		if st := w.up.Stats(); st.State != upload.OK || st.ReadErrors == 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// While both fail, the store is judged by its own answers, and both recover.
func TestReadAndStoreOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var disk, down atomic.Bool
		down.Store(true)
		w.src.readable = func(seq record.Seq, _ bool) error {
			if disk.Load() {
				return syscall.EIO
			}
			return nil
		}
		w.bucket.script = func(string, string) fault {
			if down.Load() {
				return fault{class: store.Unreachable}
			}
			return fault{}
		}
		for i := range 100 {
			w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		w.start()
		time.Sleep(time.Minute)
		disk.Store(true)
		for i := range 100 {
			w.src.add("b", fmt.Sprint("later", i), fmt.Sprint(i))
		}
		time.Sleep(time.Hour)
		if st := w.up.Stats(); st.State != upload.Unreachable || st.Unread == 0 || st.Deferred != 0 {
			t.Errorf("stats with both out: %+v", st)
		}
		disk.Store(false)
		time.Sleep(time.Minute)
		down.Store(false)
		time.Sleep(35 * time.Second)
		w.drain(time.Minute)
		if st := w.up.Stats(); st.State != upload.OK || st.Unread != 0 {
			t.Errorf("stats afterwards: %+v", st)
		}
		w.stop()
		w.check()
	})
}

// One record of a set that is complete cannot be read, for ever: the rest is
// proven and released without it, and Drain returns.
func TestUnreadableRecordHoldsUpNoDrain(t *testing.T) {
	for _, body := range []bool{false, true} {
		for _, proven := range []bool{false, true} {
			t.Run(fmt.Sprintf("body=%v proven=%v", body, proven), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, "")
					l := newLedger()
					if proven {
						w.opts.Ledger, w.src.covered = l, l.upto
					}
					var fixed atomic.Bool
					w.src.readable = func(seq record.Seq, b bool) error {
						if seq == 4 && b == body && !fixed.Load() {
							return syscall.EIO
						}
						return nil
					}
					for i := range 10 {
						w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
					}
					w.start()
					w.drain(10 * time.Second)
					if st := w.up.Stats(); st.Stored != 9 || st.Deferred != 1 || st.Gaps != 0 || w.src.Released() != 10 {
						t.Errorf("%d released, stats %+v: want one kept, and the rest stored", w.src.Released(), st)
					}
					w.check(4)
					fixed.Store(true)
					time.Sleep(12 * time.Minute)
					w.drain(time.Minute)
					w.stop()
					w.check()
					for _, lie := range l.lies {
						t.Error(lie)
					}
				})
			})
		}
	}
}

// In time and without a Drain too: records go on coming in, but not many.
func TestUnreadableRecordIsDeferredInQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.src.readable = func(seq record.Seq, _ bool) error {
			if seq == 1 {
				return syscall.EIO
			}
			return nil
		}
		w.src.add("b", "k0", "0")
		w.src.add("b", "k1", "1")
		w.start()
		time.Sleep(10 * time.Minute)
		if st := w.up.Stats(); st.Deferred != 1 || w.src.Released() != 2 {
			t.Errorf("%d released, stats %+v", w.src.Released(), st)
		}
		w.stop()
		w.check(1)
	})
}

// While all reads fail no Drain parks anything, though some of the set were stored before.
func TestDrainInReadOutage(t *testing.T) {
	for _, proven := range []bool{false, true} {
		t.Run(fmt.Sprintf("proven=%v", proven), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				l := newLedger()
				if proven {
					w.opts.Ledger, w.src.covered = l, l.upto
				}
				var out atomic.Bool
				w.src.readable = func(seq record.Seq, _ bool) error {
					if out.Load() || seq == 4 {
						return syscall.EIO
					}
					return nil
				}
				for i := range 10 {
					w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
				}
				w.start()
				time.Sleep(1700 * time.Millisecond) // all but one are stored, and perhaps it failed again since
				out.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := w.up.Drain(ctx); err == nil {
					t.Error("the drain ended while no record could be read")
				}
				if st := w.up.Stats(); st.Stored != 9 || st.Deferred != 0 || w.src.Released() != 3 {
					t.Errorf("%d released, stats %+v: want nothing parked", w.src.Released(), st)
				}
				out.Store(false)
				w.drain(2 * time.Minute)
				w.stop()
				w.check(4)
				for _, lie := range l.lies {
					t.Error(lie)
				}
			})
		})
	}
}
