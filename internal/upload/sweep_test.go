package upload_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// countingLedger counts how often record 1 is added as stored.
type countingLedger struct {
	*ledger
	adds atomic.Int64
}

func (l *countingLedger) Add(ctx context.Context, outcomes ...record.Outcome) error {
	for _, o := range outcomes {
		if o.Seq == 1 && o.State == record.Stored {
			l.adds.Add(1)
		}
	}
	return l.ledger.Add(ctx, outcomes...)
}

// A deferred record that is stored waits for its checkpoint like any other: sweeps
// until then do not offer it again, and the log gets one leaf.
func TestDeferredIsStoredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.latency = 10 * time.Millisecond
		w.opts.MaxRecords = 64
		var fixed atomic.Bool
		w.bucket.script = func(op, key string) fault {
			if strings.HasPrefix(key, "bad") && !fixed.Load() {
				return fault{class: store.Ambiguous}
			}
			return fault{}
		}
		l := &countingLedger{ledger: newLedger()}
		w.opts.Ledger, w.src.covered = l, l.upto
		w.opts.CheckpointEvery, w.opts.DeferredEvery = 5*time.Minute, 10*time.Second
		var stored atomic.Int64
		w.opts.Events.Stored = func(o record.Outcome) {
			if o.Seq == 1 {
				stored.Add(1)
			}
		}
		w.src.add("b", "bad1", "x")
		w.start()
		for i := range 2000 {
			w.src.add("b", fmt.Sprint("good", i), fmt.Sprint(i))
		}
		time.Sleep(2 * time.Minute)
		if state := w.src.stateOf(1); state != record.Deferred {
			t.Fatalf("record 1 is %s, want deferred", state)
		}
		fixed.Store(true)
		for i := range 20 {
			w.up.Redrive()
			time.Sleep(10 * time.Second)
			w.src.add("b", fmt.Sprint("more", i), "y")
		}
		time.Sleep(20 * time.Minute)
		w.drain(time.Minute)
		w.stop()
		w.check()
		if l.adds.Load() != 1 || stored.Load() != 1 {
			t.Errorf("record 1 was added %d times as stored, and reported %d times", l.adds.Load(), stored.Load())
		}
	})
}

// With nothing left to send the destination's state is that of its last answer.
func TestStateAfterFaults(t *testing.T) {
	t.Run("throttled and drained", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			n := 0
			w.bucket.script = func(op, key string) fault {
				if n++; n <= 40 {
					return fault{class: store.Throttled}
				}
				return fault{}
			}
			for i := range 20 {
				w.src.add("b", fmt.Sprint("k", i), "x")
			}
			w.start()
			w.drain(10 * time.Minute)
			synctest.Wait()
			if st := w.up.Stats(); st.State != upload.OK {
				t.Errorf("%s with everything delivered", st.State)
			}
			w.stop()
		})
	})
	for _, class := range []store.Class{store.Throttled, store.Ambiguous, store.Credentials, store.Unreachable} {
		t.Run(class.String()+", and the last record lost", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				var down atomic.Bool
				w.bucket.script = func(op, key string) fault {
					if down.Load() {
						return fault{class: class}
					}
					return fault{}
				}
				w.src.add("b", "before", "x")
				w.start()
				w.drain(time.Minute)
				down.Store(true)
				for i := range 20 {
					w.src.add("b", fmt.Sprint("k", i), "x")
				}
				time.Sleep(10 * time.Minute)
				w.src.mu.Lock()
				for seq := range record.Seq(20) {
					w.src.lost[seq+2] = true // the disk damages all that is left
				}
				w.src.mu.Unlock()
				time.Sleep(2 * time.Hour)
				if st := w.up.Stats(); st.State == upload.OK || st.Gaps != 20 && class != store.Ambiguous { // after an ambiguous one it asks first, and reads no body
					t.Errorf("%+v, and the destination does not answer", st)
				}
				down.Store(false)
				time.Sleep(31 * time.Second)
				if st := w.up.Stats(); st.State != upload.OK {
					t.Errorf("%s, and the destination answers: %+v", st.State, st)
				}
				w.stop()
			})
		})
	}
}
