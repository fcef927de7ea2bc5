package upload_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// placePack puts a pack of these records into the bucket, as edit leaves its bytes and its rows.
func (w *world) placePack(entries []record.Entry, row func(*record.Row, *[]byte), edit func([]byte) []byte) string {
	w.t.Helper()
	var b bytes.Buffer
	pw, err := lineFormat{}.New(&b, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range entries {
		body := make([]byte, entries[i].Size)
		r, err := entries[i].Open()
		if err == nil {
			_, err = r.Read(body)
		}
		is := record.Row{Info: entries[i].Info}
		if row != nil {
			row(&is, &body)
		}
		if err == nil {
			err = pw.Add(is, body)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	raw := b.Bytes()
	if edit != nil {
		raw = edit(raw)
	}
	first, last := entries[0], entries[len(entries)-1]
	p := record.Pack{First: first.Seq, Last: last.Seq, Time: first.Time, Key: w.names.PackKey("test", first.Seq, last.Seq, first.Time), Size: int64(len(raw)), Digest: sha256.Sum256(raw)}
	info := store.Info{Key: p.Key, Size: p.Size, ETag: "placed", Digest: p.Digest, Version: "v1", Meta: w.names.Pack(p, "test").Meta}
	w.bucket.place(p.Key, info, raw, store.Condition{})
	return p.Key
}

// The first record cannot be read when the process starts: the others go on.
func TestPackFirstUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		acked := w.addAll(50, 10)
		w.src.readable = func(seq record.Seq, body bool) error {
			if seq == 1 {
				return syscall.EIO
			}
			return nil
		}
		w.start()
		time.Sleep(2 * time.Hour)
		w.stop()
		delete(acked, 1)
		w.rows(acked)
		if w.src.parked[1].State != record.Deferred || w.src.released != 50 {
			t.Errorf("parked %v, released %d\n%s", w.src.parked, w.src.released, tail(w.log.String()))
		}
	})
}

// The newest record cannot be read: the pack before it is closed in its time all the same.
func TestPackNewestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		w.addAll(50, 10)
		w.src.readable = func(seq record.Seq, body bool) error {
			if seq == 50 {
				return syscall.EIO
			}
			return nil
		}
		w.start()
		time.Sleep(10 * time.Minute)
		if got := w.packsIn(); len(got) != 1 || w.src.released != 49 {
			t.Errorf("packs %v, released %d", got, w.src.released)
		}
		w.stop()
	})
}

// The pack is in the store in other bytes, and the store fails when asked for them: it is asked again, and no row is there twice.
func TestPackOtherBytesUnclear(t *testing.T) {
	for name, f := range map[string]fault{"unreachable": {class: store.Unreachable}, "throttled": {class: store.Throttled}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPackWorld(t, crashdisk.New())
				acked := w.addAll(10, 10)
				var heads atomic.Int32
				w.bucket.script = func(op, key string) fault {
					if op == "head" && heads.Add(1) == 2 { // the first says that the bytes are others; this is the get
						return f
					}
					return fault{}
				}
				w.opts.Packing.MaxRecords = 20
				w.start()
				time.Sleep(10 * time.Second) // another process stores it after this one has looked
				w.placePack(w.src.entries, nil, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`":`), []byte(`": `)) })
				time.Sleep(10 * time.Minute)
				w.stop()
				w.rows(acked)
				if got := w.packsIn(); len(got) != 1 || heads.Load() < 3 || w.src.released != 10 {
					t.Errorf("packs %v, %d questions, released %d\n%s", got, heads.Load(), w.src.released, tail(w.log.String()))
				}
			})
		})
	}
}

// A pack in the store goes further than the spool, which is an older copy, or new: it takes no number from a record to come.
func TestPackBeyondSpool(t *testing.T) {
	for _, where := range []string{"store", "directory"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := crashdisk.New()
				w := newPackWorld(t, dir)
				acked := w.addAll(10, 10)
				w.addAll(10, 20)
				var key string
				if where == "store" {
					key = w.placePack(w.src.entries, nil, nil)
				} else {
					w.bucket.script = func(op, _ string) fault {
						if op == "list" {
							return fault{}
						}
						return fault{class: store.Unreachable}
					}
					w.start()
					time.Sleep(2 * time.Minute)
					w.stop()
					w.bucket.script = nil
				}
				w.src.entries = w.src.entries[:10]
				w.start()
				time.Sleep(5 * time.Minute)
				maps.Copy(acked, w.addAll(15, 30))
				time.Sleep(5 * time.Minute)
				w.stop()
				delete(w.bucket.objects, key)
				w.rows(acked)
				if w.src.released != 25 || len(w.src.lies) > 0 {
					t.Errorf("released %d, lies %v\n%s", w.src.released, w.src.lies, tail(w.log.String()))
				}
			})
		})
	}
}

// A pack in the store has the numbers and digests of the records, but not their bodies, or not what their senders said: it is not taken.
func TestPackHostile(t *testing.T) {
	for name, row := range map[string]func(*record.Row, *[]byte){
		"bodies that lie nowhere": func(r *record.Row, body *[]byte) {
			r.Object, *body = fmt.Sprintf("packs/nowhere-%d", r.Seq), nil
		},
		"other attributes": func(r *record.Row, _ *[]byte) {
			r.Attrs = record.Attrs{{Name: "content-type", Value: "text/evil"}}
		},
		"another source": func(r *record.Row, _ *[]byte) { r.Source = "somebody" },
	} {
		for _, when := range []string{"before", "meanwhile"} {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newPackWorld(t, crashdisk.New())
					acked := w.addAll(10, 10)
					var key string
					if when == "before" {
						key = w.placePack(w.src.entries, row, nil)
					}
					w.start()
					time.Sleep(10 * time.Second)
					if when != "before" {
						key = w.placePack(w.src.entries, row, nil)
					}
					time.Sleep(10 * time.Minute)
					w.stop()
					delete(w.bucket.objects, key)
					w.rows(acked)
					if w.src.released != 10 || !strings.Contains(w.log.String(), "left alone") && when == "before" {
						t.Errorf("released %d\n%s", w.src.released, tail(w.log.String()))
					}
				})
			})
		}
	}
}

// One answer that was damaged on its way makes no second pack of what the store has.
func TestPackAdoptDamagedAnswer(t *testing.T) {
	for _, when := range []string{"before", "meanwhile"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPackWorld(t, crashdisk.New())
				acked := w.addAll(10, 10)
				place := func() {
					w.placePack(w.src.entries, nil, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`":`), []byte(`": `)) })
				}
				w.opts.Store = &rotting{bucket: w.bucket}
				if when == "before" {
					place()
				}
				w.start()
				time.Sleep(10 * time.Second)
				if when != "before" {
					place()
				}
				time.Sleep(10 * time.Minute)
				w.stop()
				w.rows(acked)
				if w.src.released != 10 {
					t.Errorf("released %d\n%s", w.src.released, tail(w.log.String()))
				}
			})
		})
	}
}

// rotting changes a byte in the first answer to Get.
type rotting struct {
	*bucket
	done atomic.Bool
}

func (r *rotting) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := r.bucket.Get(ctx, key, o)
	if err != nil || r.done.Swap(true) {
		return body, info, err
	}
	raw, err := io.ReadAll(body)
	raw[len(raw)/2] ^= 0x20
	return io.NopCloser(bytes.NewReader(raw)), info, err
}

// Who may put and get may not be allowed to list: packs are delivered all the same.
func TestPackListRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		acked := w.addAll(10, 10)
		w.bucket.script = func(op, _ string) fault {
			if op == "list" {
				return fault{class: store.Credentials}
			}
			return fault{}
		}
		w.start()
		time.Sleep(10 * time.Minute)
		w.stop()
		w.rows(acked)
		if w.src.released != 10 || !strings.Contains(w.log.String(), "may not be listed") {
			t.Errorf("released %d\n%s", w.src.released, tail(w.log.String()))
		}
	})
}

// The clock was put back since a pack was stored, and the directory of packs is lost: its rows are not stored twice.
func TestPackClockPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		acked := w.addAll(10, 10)
		for i := range w.src.entries {
			w.src.entries[i].Time = time.Now().Add(50 * time.Hour)
		}
		w.placePack(w.src.entries[:5], nil, nil)
		w.start()
		time.Sleep(10 * time.Minute)
		w.stop()
		w.rows(acked)
	})
}

// The spool lost records that a closed pack on this disk has, and one before them: only that one is lost.
func TestPackSavesWhatTheSpoolLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.src.add("b", "odd", "no row")
		acked := w.addAll(10, 10)
		w.bucket.script = func(op, _ string) fault {
			if op == "list" {
				return fault{}
			}
			return fault{class: store.Unreachable}
		}
		w.start()
		time.Sleep(2 * time.Minute)
		w.stop()
		w.bucket.script = nil
		w.src.gap(1, 11)
		w.start()
		time.Sleep(10 * time.Minute)
		w.stop()
		w.rows(acked)
		if len(w.src.lies)+len(l.lies) > 0 || w.src.released != 11 {
			t.Errorf("released %d, lies %v %v\n%s", w.src.released, w.src.lies, l.lies, tail(w.log.String()))
		}
	})
}
