package upload_test

import (
	"errors"
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

// Nothing is stored, and nothing added to the log, before the ledger says that
// the destination holds this log: what went to a wrong bucket stays there.
func TestNoDeliveryBeforeTheLogIsMatched(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		state upload.State
	}{
		{"another log's bucket", errors.New("open log: belongs to the log x"), upload.OK},
		{"the destination is away", fmt.Errorf("open log: %w", &store.Error{Op: "get", Key: "checkpoint", Class: store.Unreachable, Err: errors.New("refused")}), upload.Unreachable},
		{"its credentials are refused", fmt.Errorf("open log: %w", &store.Error{Op: "get", Key: "checkpoint", Class: store.Credentials, Err: errors.New("denied")}), upload.Credentials},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				l := newLedger()
				w.opts.Ledger, w.src.covered = l, l.upto
				var matched atomic.Bool
				calls := 0
				l.fault = func(op string) error {
					switch {
					case matched.Load():
						return nil
					case op != "ready":
						t.Errorf("%s before the log was matched", op)
					}
					calls++
					return tt.err
				}
				w.src.add("b", "parked", "x")
				if err := w.src.Settle(t.Context(), record.Outcome{Info: w.src.entries[0].Info, State: record.Deferred}); err != nil {
					t.Fatal(err)
				}
				for i := range 50 {
					w.src.add("b", fmt.Sprint("k", i), "x")
				}
				w.src.gap(3, 5)
				w.start()
				time.Sleep(time.Hour)
				if n := w.bucket.count(); n != 0 {
					t.Errorf("%d calls of the store", n)
				}
				if st := w.up.Stats(); st.State != tt.state || !strings.Contains(st.Stuck, tt.err.Error()) || st.LastError == "" {
					t.Errorf("stats %+v: want state %s and the reason", st, tt.state)
				}
				l.mu.Lock()
				if calls < 100 {
					t.Errorf("asked %d times in an hour", calls)
				}
				l.mu.Unlock()
				if n := strings.Count(w.log.String(), "level=ERROR"); n > 1 {
					t.Errorf("%d alarms:\n%s", n, tail(w.log.String()))
				}
				matched.Store(true)
				time.Sleep(time.Minute) // at most the longest wait
				w.drain(time.Minute)
				if st := w.up.Stats(); st.State != upload.OK || st.Stuck != "" {
					t.Errorf("stats %+v once the log is matched", st)
				}
				w.stop()
				w.check()
			})
		})
	}
}

// A limit of this process is no fault of the store, nor of the records that met it.
func TestLocalLimitIsNotTheStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var out atomic.Bool
		n := 0
		w.bucket.script = func(string, string) fault {
			if n++; out.Load() && n%10 > 0 {
				return fault{class: store.Local}
			}
			return fault{}
		}
		out.Store(true)
		for i := range 2000 {
			w.src.add("b", fmt.Sprint("k", i), "x")
		}
		w.start()
		time.Sleep(10 * time.Second)
		if st := w.up.Stats(); st.State != upload.OK || st.Deferred != 0 {
			t.Errorf("stats %+v", st)
		}
		out.Store(false)
		w.drain(5 * time.Minute)
		if st := w.up.Stats(); st.State != upload.OK || st.LocalLimit != "" || st.Retries == 0 {
			t.Errorf("stats %+v", st)
		}
		w.stop()
		w.check()
	})
}
