package upload_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/upload"
)

func TestSameKeyInOrder(t *testing.T) {
	for _, tt := range []struct {
		name, prefix     string
		buckets          [3]string
		plain, next, end string
	}{
		{"one bucket", "", [3]string{"b", "b", "b"}, "k.json", "k~2.json", "k~3.json"},
		{"shared name space", "", [3]string{"a", "b", "a"}, "k.json", "k~2.json", "k~3.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.prefix)
				refused := 0
				w.bucket.script = func(op, key string) fault {
					if key == "k.json" && refused < 5 {
						refused++
						return fault{class: store.Throttled}
					}
					return fault{}
				}
				var order []record.Seq
				var mu sync.Mutex
				w.opts.Events.Stored = func(o record.Outcome) { mu.Lock(); order = append(order, o.Seq); mu.Unlock() }
				bodies := [3]string{"one", "two", "three"}
				if tt.buckets[0] != tt.buckets[1] {
					bodies[1] = "one" // the same bytes, but another sender's: an object of its own
				}
				for i, body := range bodies {
					w.src.add(tt.buckets[i], "k.json", body)
				}
				w.src.add("b", "other", "x")
				w.start()
				w.drain(time.Minute)
				w.stop()
				w.check()
				for i, key := range []string{tt.plain, tt.next, tt.end} {
					if got, _ := w.bucket.body(key); got != bodies[i] {
						t.Errorf("%s holds %q, want %q", key, got, bodies[i])
					}
				}
				if !slices.Equal(order, []record.Seq{4, 1, 2, 3}) {
					t.Errorf("stored in the order %v: want the other key not to wait, and the rest in seq order", order)
				}
				if got := w.up.Stats().Collisions; got != 2 {
					t.Errorf("%d collisions, want 2", got)
				}
			})
		})
	}
}

// A variant's own name may be taken as well.
func TestVariantTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.src.add("b", "k.json", "one")
		w.src.add("b", "k~3.json", "sly")
		w.src.add("b", "k.json", "two")
		w.start()
		w.drain(time.Minute)
		w.stop()
		w.check()
	})
}

func TestPoisonIsQuarantined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.script = func(_, key string) fault {
			if strings.HasPrefix(key, "bad") {
				return fault{class: store.Poison}
			}
			return fault{}
		}
		var parked []record.Outcome
		w.opts.Events.Parked = func(o record.Outcome) { parked = append(parked, o) }
		for i := range 300 {
			w.src.add("b", fmt.Sprintf("%s%d", map[bool]string{true: "bad", false: "good"}[i == 0 || i == 150], i), "x"+fmt.Sprint(i))
		}
		w.start()
		w.drain(10 * time.Second)
		if st := w.up.Stats(); st.State != upload.OK || st.Quarantined != 2 {
			t.Errorf("stats %+v", st)
		}
		calls := w.bucket.count()
		time.Sleep(24 * time.Hour)
		if w.bucket.count() != calls {
			t.Errorf("what was quarantined was tried %d times again", w.bucket.count()-calls)
		}
		w.stop()
		w.check(1, 151)
		if len(parked) != 2 || parked[0].State != record.Quarantined || parked[0].Reason == "" {
			t.Errorf("events: %+v", parked)
		}
		if !strings.Contains(w.log.String(), `msg="record parked as quarantined" key=bad0 seq=1`) {
			t.Errorf("no log line names it:\n%s", w.log)
		}
	})
}

// A record that fails while others are stored is parked, blocks nothing, and is
// tried again for ever, over restarts too.
func TestFailingRecordIsDeferred(t *testing.T) {
	for _, class := range []store.Class{store.Ambiguous, store.Credentials, store.Throttled, store.Configuration} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				w.bucket.latency = 10 * time.Millisecond
				w.opts.MaxRecords = 64
				var fixed atomic.Bool
				var tried []string
				w.bucket.script = func(op, key string) fault {
					if strings.HasPrefix(key, "bad") && !fixed.Load() {
						return fault{class: class}
					}
					if strings.HasPrefix(key, "bad") && op == "put" {
						tried = append(tried, key)
					}
					return fault{}
				}
				w.src.add("b", "bad1", "x")
				w.src.add("b", "bad2", "y")
				w.start()
				begin := time.Now()
				for i := range 2000 {
					w.src.add("b", fmt.Sprint("good", i), fmt.Sprint(i))
				}
				time.Sleep(2 * time.Minute)
				w.src.add("b", "good", "x")
				time.Sleep(time.Minute)
				w.drain(time.Minute)
				if got := w.src.Released(); got != 2003 {
					t.Errorf("after %v %d are released: one record held up the others", time.Since(begin), got)
				}
				if w.src.stateOf(1) != record.Deferred || w.src.stateOf(2) != record.Deferred {
					t.Errorf("states %s, %s: want deferred", w.src.stateOf(1), w.src.stateOf(2))
				}
				time.Sleep(48 * time.Hour)
				w.stop()
				w.check(1, 2)
				fixed.Store(true)
				w.start()
				time.Sleep(11 * time.Minute)
				w.stop()
				w.check()
				if slices.Sort(tried); !slices.Equal(tried, []string{"bad1", "bad2"}) {
					t.Errorf("put %v", tried)
				}
			})
		})
	}
}

func TestLongOutage(t *testing.T) {
	for _, f := range []fault{
		{class: store.Unreachable}, {class: store.Credentials}, {class: store.Configuration},
		{class: store.Ambiguous}, {class: store.Throttled}, {hang: true},
	} {
		t.Run(fmt.Sprintf("%s hang=%v", f.class, f.hang), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { longOutage(t, f) })
		})
	}
}

// Attempts that may hang for long do not put off the next probe.
func TestHangingProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.opts.AttemptTimeout = 10 * time.Minute
		var down atomic.Bool
		down.Store(true)
		w.bucket.script = func(string, string) fault { return fault{hang: down.Load()} }
		for i := range 200 {
			w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		w.start()
		time.Sleep(3*time.Hour + 7*time.Second)
		down.Store(false)
		time.Sleep(35 * time.Second)
		if w.up.Stats().Stored == 0 {
			t.Errorf("delivery did not resume within 35 s: %+v", w.up.Stats())
		}
		w.drain(time.Hour)
		w.stop()
		w.check()
	})
}

// Many records that the store refuses for their own sake look like an outage
// at first; the others pass them all the same.
func TestManyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.script = func(_, key string) fault {
			if strings.HasPrefix(key, "bad") {
				return fault{class: store.Credentials}
			}
			return fault{}
		}
		for i := range 200 {
			w.src.add("b", fmt.Sprint("bad", i), fmt.Sprint(i))
		}
		for i := range 20 {
			w.src.add("b", fmt.Sprint("good", i), fmt.Sprint(i))
		}
		w.start()
		time.Sleep(15 * time.Minute)
		if st := w.up.Stats(); st.Stored != 20 {
			t.Errorf("%+v: the refused records held up the others", st)
		}
		w.stop()
	})
}

func TestLostBodyAlone(t *testing.T) {
	for seq := range record.Seq(2) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			for i := range seq + 1 {
				w.src.add("b", fmt.Sprint("k", i), "x")
			}
			w.src.lost[seq+1] = true // an odd one fails as it is read, an even one as it is opened
			w.start()
			w.drain(5 * time.Minute)
			if st := w.up.Stats(); st.State != upload.OK || st.Gaps != 1 {
				t.Errorf("stats %+v: want a gap and no word against the store", st)
			}
			w.stop()
		})
	}
}

func longOutage(t *testing.T, f fault) {
	w := newWorld(t, "")
	w.bucket.latency = 50 * time.Millisecond
	w.opts.MaxRecords = 1000
	var down atomic.Bool
	w.bucket.script = func(string, string) fault {
		if down.Load() {
			return f
		}
		return fault{}
	}
	var back atomic.Bool
	var resumed atomic.Bool
	w.opts.Events.Stored = func(record.Outcome) { resumed.Store(back.Load()) }
	w.src.add("b", "before", "x")
	w.start()
	w.drain(time.Minute)
	w.src.add("b", "single", "x")
	down.Store(true)
	time.Sleep(10 * time.Minute)
	for i := range 3000 {
		w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
	}
	time.Sleep(time.Hour)
	calls := w.bucket.count()
	time.Sleep(24 * time.Hour)
	if n := w.bucket.count() - calls; n > 24*3600/5 {
		t.Errorf("%d calls in a day of outage hammer the store", n)
	}
	if n := runtime.NumGoroutine(); n > 64 {
		t.Errorf("%d goroutines wait out the outage", n)
	}
	want := map[store.Class]upload.State{store.Credentials: upload.Credentials, store.Configuration: upload.Configuration, store.Throttled: upload.Throttled}[f.class]
	if want == "" {
		want = upload.Unreachable
	}
	if st := w.up.Stats(); st.State != want || time.Since(st.Since) < 24*time.Hour || st.LastError == "" || st.Retries == 0 {
		t.Errorf("stats in the outage: %+v, want state %s", st, want)
	}
	if n := strings.Count(w.log.String(), "level=ERROR"); want != upload.Throttled && (n < 1 || n > 3) {
		t.Errorf("%d alarms in one outage", n)
	}
	back.Store(true)
	down.Store(false)
	time.Sleep(35 * time.Second)
	if !resumed.Load() {
		t.Errorf("delivery did not resume within 35 s")
	}
	w.drain(10 * time.Minute)
	if st := w.up.Stats(); st.State != upload.OK {
		t.Errorf("state %s after the outage", st.State)
	}
	w.stop()
	w.check()
	if w.bucket.most > 64 {
		t.Errorf("%d calls at once", w.bucket.most)
	}
}

func TestGapsAndLostBodies(t *testing.T) {
	for _, proven := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			l := newLedger()
			if proven {
				w.opts.Ledger, w.src.covered = l, l.upto
			}
			for i := range 30 {
				w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
			}
			w.src.gap(5, 9)
			w.src.gap(30, 30)
			w.src.lost[12] = true
			w.start()
			w.drain(5 * time.Minute)
			w.stop()
			w.check()
			if got := w.src.Released(); got != 30 {
				t.Errorf("released %d, want 30", got)
			}
			if st := w.up.Stats(); st.Gaps != 3 || st.Stored != 23 || st.State != upload.OK {
				t.Errorf("stats %+v", st)
			}
			for _, lie := range l.lies {
				t.Error(lie)
			}
		})
	}
}

func TestLedgerOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		l := newLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.bucket.script = func(_, key string) fault {
			switch key {
			case "slow":
				return fault{delay: 20 * time.Second}
			case "bad":
				return fault{class: store.Poison}
			}
			return fault{}
		}
		w.src.add("b", "slow", "x")
		w.src.add("b", "bad", "x")
		for i := range 100 {
			w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		w.start()
		time.Sleep(20*time.Second + 500*time.Millisecond) // the slow one is stored: the others waited for it
		if got := w.src.Released(); got != 0 {
			t.Errorf("released %d before the first checkpoint", got)
		}
		if st := w.up.Stats(); st.Unproven != 101 {
			t.Errorf("unproven %d, want 101", st.Unproven)
		}
		time.Sleep(time.Second)
		if got := w.src.Released(); got != 102 || l.checkpoints() != 1 {
			t.Errorf("released %d after %d checkpoints, want 102 after one", got, l.checkpoints())
		}
		w.src.add("b", "later", "x") // within the minute: the next checkpoint waits for its end
		time.Sleep(58 * time.Second)
		if l.checkpoints() != 1 {
			t.Errorf("%d checkpoints within a minute", l.checkpoints())
		}
		time.Sleep(2 * time.Second)
		if got := w.src.Released(); got != 103 || l.checkpoints() != 2 {
			t.Errorf("released %d after %d checkpoints, want 103 after two", got, l.checkpoints())
		}
		time.Sleep(24 * time.Hour)
		if l.checkpoints() != 2 {
			t.Errorf("%d checkpoints, and the log was idle since the second", l.checkpoints())
		}
		w.stop()
		w.check(2)
		for _, lie := range l.lies {
			t.Error(lie)
		}
		if l.proven[2] != record.Quarantined || l.proven[1] != record.Stored {
			t.Errorf("ledger: %v %v", l.proven[1], l.proven[2])
		}
	})
}

// A run that ends while the ledger refuses what was stored settles none of it,
// though a checkpoint of what was added before succeeds: what is settled comes no
// more, and would be a hole in the log.
func TestStopWhileLedgerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		l := newLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.src.add("b", "taken", "x")
		w.start()
		time.Sleep(500 * time.Millisecond) // added, and no checkpoint yet
		l.mu.Lock()
		l.fault = func(op string) error {
			if op == "add" {
				return errors.New("local fault")
			}
			return nil
		}
		l.mu.Unlock()
		for i := range 5 {
			w.src.add("b", fmt.Sprint("refused", i), "x")
		}
		time.Sleep(10 * time.Second)
		w.stop()
		for seq := range record.Seq(5) {
			if got := w.src.stateOf(seq + 2); got != record.Pending {
				t.Errorf("record %d is %s, and the ledger never took it", seq+2, got)
			}
		}
		l.fault = nil
		l.crash()
		w.start()
		w.drain(time.Minute)
		w.stop()
		w.check()
		for _, lie := range l.lies {
			t.Error(lie)
		}
		if len(l.proven) != 6 {
			t.Errorf("%d records in the ledger, want 6", len(l.proven))
		}
	})
}

// A ledger that fails delays and drops nothing; so does a spool.
func TestLocalFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		l := newLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		var fixed atomic.Bool
		failing := func(string) error {
			if !fixed.Load() {
				return errors.New("local fault")
			}
			return nil
		}
		l.fault = func(op string) error {
			if op == "ready" {
				return nil
			}
			return failing(op)
		}
		w.src.fault = failing
		w.opts.MaxRecords = 10
		for i := range 50 {
			w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		w.start()
		time.Sleep(time.Hour)
		w.src.mu.Lock()
		w.src.fault = nil
		w.src.mu.Unlock()
		time.Sleep(time.Hour)
		if st := w.up.Stats(); st.Stuck == "" || st.Stored != 10 {
			t.Errorf("stats %+v: want a full window and the reason", st)
		}
		fixed.Store(true)
		w.drain(5 * time.Minute)
		if st := w.up.Stats(); st.Stuck != "" {
			t.Errorf("still stuck: %s", st.Stuck)
		}
		w.stop()
		w.check()
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var up atomic.Bool
		w.bucket.script = func(string, string) fault {
			if !up.Load() {
				return fault{class: store.Unreachable}
			}
			return fault{}
		}
		w.start()
		w.drain(time.Second) // nothing there: at once
		w.src.add("b", "k", "x")
		begin := time.Now()
		ctx, cancel := contextFor(t, 10*time.Second)
		defer cancel()
		if err := w.up.Drain(ctx); !errors.Is(err, ctx.Err()) || time.Since(begin) != 10*time.Second {
			t.Errorf("drain with the store down: %v after %v", err, time.Since(begin))
		}
		up.Store(true)
		w.drain(time.Minute)
		w.stop()
		w.check()
	})
}

func TestThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.latency = 100 * time.Millisecond
		for i := range 10000 {
			w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		w.start()
		begin := time.Now()
		w.drain(time.Minute)
		if rate := 10000 / time.Since(begin).Seconds(); rate < 400 {
			t.Errorf("%.0f records/s at 100 ms latency", rate)
		}
		w.stop()
		w.check()
	})
}

func TestRetriesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.latency = 10 * time.Millisecond
		failed := 0
		w.bucket.script = func(_, key string) fault {
			if failed < 3000 && (key == "k0" || w.bucket.calls%2 == 0) {
				failed++
				return fault{class: store.Throttled}
			}
			return fault{}
		}
		for i := range 3000 {
			w.src.add("b", fmt.Sprint("k", i), fmt.Sprint(i))
		}
		w.start()
		w.drain(time.Hour)
		time.Sleep(time.Minute)
		w.stop()
		w.check()
		log := w.log.String()
		if !strings.Contains(log, "level=WARN msg=retry key=k0 seq=1 attempt=1 wait=") || !strings.Contains(log, "class=throttled code=Scripted") {
			t.Errorf("no line names key, attempt, wait and class:\n%s", tail(log))
		}
		lines, summed := strings.Count(log, "msg=retry"), 0
		for line := range strings.Lines(log) {
			if _, rest, ok := strings.Cut(line, "count="); ok {
				n := 0
				fmt.Sscan(rest, &n)
				summed += n
			}
		}
		if lines+summed != 3000 || lines > 1000 {
			t.Errorf("%d lines and %d in sums: want 3000 retries in few lines", lines, summed)
		}
		if got := w.up.Stats().Retries; got != 3000 {
			t.Errorf("%d retries counted", got)
		}
	})
}
