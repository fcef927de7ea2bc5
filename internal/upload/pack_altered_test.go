package upload_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// The directory of packs was lost, and in the store a pack that the log names is gone, was changed or was archived, before its records
// were released: the spool keeps them, what comes behind them is delivered, and once the object is back they are settled.
func TestPackProvenAltered(t *testing.T) {
	for how, remedy := range map[string]string{"gone": `run "indelible verify"`, "changed": `run "indelible verify"`, "archived": "restore the object"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPackWorld(t, crashdisk.New())
				l := newPackLedger()
				w.opts.Ledger, w.src.covered = l, l.upto
				acked := w.addAll(50, 10)
				key := w.placePack(w.src.entries, nil, nil)
				w.provePlaced(l, key, 1, 50)
				maps.Copy(acked, w.addAll(5, 20))
				sound := w.bucket.objects[key]
				switch how {
				case "gone":
					delete(w.bucket.objects, key)
				case "changed":
					altered := sound
					altered.body = []byte(strings.Replace(string(sound.body), "e", "f", 1))
					w.bucket.objects[key] = altered
				case "archived":
					w.bucket.cold = map[string]bool{key: true}
				}
				w.start()
				time.Sleep(3 * time.Hour)
				w.stop()
				for seq := record.Seq(1); seq <= 55; seq++ {
					switch o, settled := w.src.parked[seq], w.src.settled[seq]; {
					case seq <= 50 && (o.State != record.Deferred || settled.State != "" || !strings.Contains(o.Reason, remedy)):
						t.Fatalf("record %d: parked %v, settled %v\n%s", seq, o, settled, tail(w.log.String()))
					case seq > 50 && settled.State != record.Stored:
						t.Fatalf("record %d waits for a pack that is not its own: %v\n%s", seq, settled, tail(w.log.String()))
					}
				}
				if n := strings.Count(w.log.String(), "a pack that the log names is not in the store as it was"); n != 1 {
					t.Errorf("told %d times", n)
				}
				if n := w.up.Stats().Limit; n < 4 {
					t.Errorf("what is not there slowed the delivery of the rest to %d at a time", n)
				}
				if n := w.up.Stats().Stored; n != 5 {
					t.Errorf("%d records count as stored, and 5 are", n)
				}
				w.bucket.objects[key], w.bucket.cold = sound, nil
				before := w.bucket.calls
				w.start()
				time.Sleep(3 * time.Hour)
				w.stop()
				w.rows(acked)
				if len(w.src.parked) > 0 || w.src.released != 55 || len(w.src.lies)+len(l.lies) > 0 || len(w.packsIn()) != 2 {
					t.Errorf("parked %v, released %d, packs %v, lies %v %v\n%s", w.src.parked, w.src.released, w.packsIn(), w.src.lies, l.lies, tail(w.log.String()))
				}
				if n := w.bucket.calls - before; n > 20 {
					t.Errorf("%d calls of the store for 50 records of one pack", n)
				}
			})
		})
	}
}

// A crash came while the records of such a pack were parked. Those that were parked are settled since, and released, and then the pack is
// gone again: the rest is parked, and what comes behind is delivered.
func TestPackProvenGoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.addAll(50, 10)
		key := w.placePack(w.src.entries, nil, nil)
		w.provePlaced(l, key, 1, 50)
		w.addAll(5, 20)
		delete(w.bucket.objects, key)
		for seq := record.Seq(1); seq <= 25; seq++ {
			w.src.settled[seq] = record.Outcome{Info: record.Info{Seq: seq}, State: record.Stored}
		}
		w.src.released = 25
		w.start()
		time.Sleep(3 * time.Hour)
		w.stop()
		if w.src.released != 55 || len(w.src.parked) != 25 || w.src.parked[26].State != record.Deferred || len(w.src.lies) > 0 {
			t.Errorf("released %d, parked %d, lies %v\n%s", w.src.released, len(w.src.parked), w.src.lies, tail(w.log.String()))
		}
	})
}

// The same, with the pack back: it has another row under the number of one of the records that are parked and released, which the run that
// took it could not read. That record stays parked, and is not settled by a row that nobody compared.
func TestPackProvenOtherRowReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.addAll(10, 10)
		rows := slices.Clone(w.src.entries)
		key := w.placePack(w.src.entries, func(r *record.Row, body *[]byte) {
			if r.Seq == 3 {
				*body = []byte("other")
				r.Size, r.Digest = int64(len(*body)), sha256.Sum256(*body)
				rows[2].Info = r.Info
			}
		}, nil)
		o := w.bucket.objects[key]
		if err := errors.Join(l.Pack(t.Context(), record.Pack{First: 1, Last: 10, Time: rows[0].Time, Key: key, Size: o.info.Size, Digest: o.info.Digest, Version: "v1", Root: rootOf(rows)}), l.Checkpoint(t.Context())); err != nil {
			t.Fatal(err)
		}
		for seq := record.Seq(1); seq <= 5; seq++ {
			w.src.settled[seq] = record.Outcome{Info: record.Info{Seq: seq}, State: record.Stored}
		}
		delete(w.src.settled, 3)
		w.src.parked[3] = record.ParkedEntry{Entry: w.src.entries[2], State: record.Deferred}
		w.src.released = 5
		w.start()
		time.Sleep(3 * time.Hour)
		w.stop()
		if w.src.released != 10 || w.src.parked[3].State != record.Deferred || len(w.src.parked) != 1 {
			t.Errorf("released %d, parked %v\n%s", w.src.released, w.src.parked, tail(w.log.String()))
		}
	})
}

// The store fails for a while when the records of such a pack are looked for: that is no answer about the pack, and is not kept for one.
func TestPackProvenStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered, w.opts.DeferredEvery = l, l.upto, 10*time.Second
		w.addAll(10, 10)
		key := w.placePack(w.src.entries, nil, nil)
		w.provePlaced(l, key, 1, 10)
		for i, e := range w.src.entries {
			w.src.parked[record.Seq(i+1)] = record.ParkedEntry{Entry: e, State: record.Deferred}
		}
		w.src.released = 10
		end := time.Now().Add(30 * time.Second)
		w.bucket.script = func(_, k string) fault {
			if k == key && time.Now().Before(end) {
				return fault{class: store.Throttled}
			}
			return fault{}
		}
		w.start()
		time.Sleep(4 * time.Minute)
		w.stop()
		if len(w.src.parked) > 0 {
			t.Errorf("parked: %d\n%s", len(w.src.parked), tail(w.log.String()))
		}
	})
}

// versioned is a bucket with versions, of which each object has one.
type versioned struct {
	*bucket
	now string
}

func (v versioned) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if o.Version != "" && o.Version != v.now {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.NotFound, Err: errors.New("no such version")}
	}
	return v.bucket.Get(ctx, key, o)
}

// Somebody removed the version that the log names, and the object was put back from a copy, which makes another version: its bytes tell that
// it is the pack, also to the records that were parked.
func TestPackProvenPutBackAsVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered, w.opts.Store = l, l.upto, versioned{w.bucket, "v2"}
		w.addAll(10, 10)
		key := w.placePack(w.src.entries, nil, nil)
		w.provePlaced(l, key, 1, 10)
		for i, e := range w.src.entries[:5] {
			w.src.parked[record.Seq(i+1)] = record.ParkedEntry{Entry: e, State: record.Deferred}
		}
		w.src.released = 5
		w.start()
		time.Sleep(3 * time.Hour)
		w.stop()
		if len(w.src.parked) > 0 || w.src.released != 10 || len(w.packsIn()) != 1 || len(w.src.lies)+len(l.lies) > 0 {
			t.Errorf("parked %d, released %d, lies %v %v\n%s", len(w.src.parked), w.src.released, w.src.lies, l.lies, tail(w.log.String()))
		}
	})
}

// The body of a parked record lies beside its pack, and was removed with it. The pack alone is back: the record stays parked until its body is, too.
func TestPackProvenBodyBesideGone(t *testing.T) {
	for _, parked := range []bool{false, true} {
		t.Run(fmt.Sprintf("parked before=%v", parked), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { bodyBesideGone(t, parked) }) })
	}
}

func bodyBesideGone(t *testing.T, parked bool) {
	w := newPackWorld(t, crashdisk.New())
	l := newPackLedger()
	w.opts.Ledger, w.src.covered = l, l.upto
	w.addAll(3, 10)
	e := w.src.entries[1]
	beside := w.names.BesideKey("test", e.Info)
	key := w.placePack(w.src.entries, func(r *record.Row, body *[]byte) {
		if r.Seq == e.Seq {
			r.Object, *body = beside, nil
		}
	}, nil)
	w.provePlaced(l, key, 1, 3)
	if parked {
		w.src.settled[1], w.src.settled[3] = record.Outcome{Info: record.Info{Seq: 1}, State: record.Stored}, record.Outcome{Info: record.Info{Seq: 3}, State: record.Stored}
		w.src.parked[2], w.src.released = record.ParkedEntry{Entry: e, State: record.Deferred}, 3
	}
	w.start()
	time.Sleep(time.Hour)
	if w.src.stateOf(2) != record.Deferred {
		t.Error("it is settled, and its body is nowhere")
	}
	body, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	o := w.names.Object(e.Info, beside, "test")
	o.Key, o.Size, o.Digest, o.Body = beside, e.Size, e.Digest, body
	if _, err := w.bucket.Put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	w.stop()
	if w.src.stateOf(2) != record.Stored {
		t.Errorf("its body is back, and it is not settled\n%s", tail(w.log.String()))
	}
}
