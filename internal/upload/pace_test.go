package upload_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/proof"
	"indelible/internal/store"
	"indelible/internal/upload"
)

var _ proof.Pacer = (*upload.Uploader)(nil)

// pacedWorld is a world whose records are proven, by a log that puts at the uploader's pace.
func pacedWorld(t *testing.T, records int) *world {
	w := newWorld(t, "")
	key, err := proof.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		w.src.add("b", fmt.Sprint("k", i), "body")
	}
	log, err := proof.Open(t.Context(), w.bucket, key, proof.Options{Disk: crashdisk.New(), Pacer: uploaderOf{w}})
	if err != nil {
		t.Fatal(err)
	}
	w.opts.Ledger = openLog{log}
	return w
}

// uploaderOf paces with the world's uploader, which is made after the log.
type uploaderOf struct{ w *world }

func (u uploaderOf) Pace(ctx context.Context) (func(error), error) { return u.w.up.Pace(ctx) }

func isProof(key string) bool { return strings.Contains(key, "_indelible/") }

// Records and the objects that prove them are put side by side, and all together never
// more at once than the store is believed to bear.
func TestProofSharesThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pacedWorld(t, 3000)
		w.bucket.latency = 50 * time.Millisecond
		w.opts.MaxConcurrency, w.opts.CheckpointRecords = 4, 1280
		w.start()
		w.drain(time.Hour)
		w.stop()
		if w.bucket.most > 4+1 { // a put of the proof may always be one more
			t.Errorf("%d requests at once, and 4 are allowed", w.bucket.most)
		}
		if proven := w.opts.Ledger.(openLog).Stats().Proven; proven != 3000 {
			t.Errorf("%d records are proven", proven)
		}
	})
}

// What a store says to a put of the proof, records heed as well: they begin nothing
// before the time that it asked for.
func TestRecordsWaitWhenTheProofIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pacedWorld(t, 3000)
		w.bucket.latency = 50 * time.Millisecond
		w.opts.CheckpointRecords = 1280
		var (
			mu     sync.Mutex
			asked  time.Time // when the proof was refused
			during int       // puts of records since, before the time
		)
		w.bucket.script = func(op, key string) fault {
			mu.Lock()
			defer mu.Unlock()
			since := time.Since(asked)
			switch {
			case op == "put" && isProof(key) && asked.IsZero():
				asked = time.Now()
				return fault{class: store.Throttled, asked: 20 * time.Second}
			case op == "put" && !asked.IsZero() && since > 0 && since < 20*time.Second:
				during++
			}
			return fault{}
		}
		w.start()
		w.drain(time.Hour)
		w.stop()
		if asked.IsZero() || during > 64 { // those that were under way when the answer came
			t.Errorf("refused at %v, %d puts began in the 20 s after it", asked, during)
		}
	})
}

// A store that hangs on records, and one that hangs on the proof, leaves the other a way.
func TestNeitherStopsTheOther(t *testing.T) {
	for _, proofs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := pacedWorld(t, 600)
			w.bucket.latency = 50 * time.Millisecond
			w.opts.MaxConcurrency, w.opts.CheckpointRecords = 1, 256
			w.opts.CheckpointEvery = 10 * time.Second
			var stop sync.Once
			hung := make(chan struct{})
			w.bucket.script = func(op, key string) fault {
				f := fault{}
				if op == "put" && isProof(key) == proofs && (proofs || key == "k400") {
					stop.Do(func() {
						f = fault{delay: 25 * time.Second}
						close(hung)
					})
				}
				return f
			}
			w.start()
			<-hung
			time.Sleep(time.Second) // what was under way has ended
			before, proven := w.up.Stats().Stored, w.opts.Ledger.(openLog).Stats().Proven
			time.Sleep(20 * time.Second)
			if after := w.up.Stats().Stored; proofs && after == before {
				t.Error("a put of the proof that hangs stops the records")
			}
			if after := w.opts.Ledger.(openLog).Stats().Proven; !proofs && after == proven {
				t.Error("a put of a record that hangs stops the proof")
			}
			w.drain(time.Hour)
			w.stop()
		})
	}
}
