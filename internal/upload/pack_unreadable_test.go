package upload_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
)

// unreadable has the disk fail the reads of these records.
func (w *world) unreadable(seqs ...record.Seq) {
	w.src.mu.Lock()
	defer w.src.mu.Unlock()
	w.src.readable = func(seq record.Seq, _ bool) error {
		if slices.Contains(seqs, seq) {
			return syscall.EIO
		}
		return nil
	}
}

// The store has a pack that this directory does not know, and a record in it cannot be read while others can: the
// pack is taken all the same, no row is stored twice, and what comes behind it goes on. The record is kept until it can be compared.
func TestPackAdoptUnreadable(t *testing.T) {
	for _, proven := range []bool{false, true} {
		for _, bad := range []record.Seq{1, 5, 10} {
			t.Run(fmt.Sprintf("proven=%v record=%d", proven, bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newPackWorld(t, crashdisk.New())
					l := newPackLedger()
					w.opts.Ledger, w.src.covered = l, l.upto
					acked := w.addAll(10, 10)
					key := w.placePack(w.src.entries, nil, nil)
					if proven {
						w.provePlaced(l, key, 1, 10)
					}
					maps.Copy(acked, w.addAll(5, 20))
					w.unreadable(bad)
					w.start()
					time.Sleep(3 * time.Hour)
					w.stop()
					if w.src.parked[bad].State != record.Deferred || len(w.src.parked) != 1 || w.src.settled[bad].State != "" {
						t.Errorf("parked %v, though nobody could compare record %d with its row\n%s", w.src.parked, bad, tail(w.log.String()))
					}
					w.unreadable()
					w.start()
					time.Sleep(time.Hour)
					w.stop()
					w.rows(acked)
					if len(w.src.parked) > 0 || w.src.settled[bad].State != record.Stored || w.src.released != 15 || len(w.src.lies)+len(l.lies) > 0 || len(w.packsIn()) != 2 {
						t.Errorf("parked %v, released %d, packs %v, lies %v %v\n%s", w.src.parked, w.src.released, w.packsIn(), w.src.lies, l.lies, tail(w.log.String()))
					}
				})
			})
		}
	}
}

// A pack in the store has another record where one cannot be read: the record is not given up for it.
func TestPackAdoptOtherRow(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed before release=%v", again), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPackWorld(t, crashdisk.New())
				l := newPackLedger()
				w.opts.Ledger, w.src.covered = l, l.upto
				w.addAll(10, 10)
				w.placePack(w.src.entries, func(r *record.Row, body *[]byte) {
					if r.Seq == 5 {
						*body = []byte("other")
						r.Size, r.Digest = int64(len(*body)), sha256.Sum256(*body)
					}
				}, nil)
				w.unreadable(5)
				if again {
					w.src.fault = func(op string) error {
						if op == "release" {
							return syscall.EIO
						}
						return nil
					}
				}
				w.start()
				time.Sleep(3 * time.Hour)
				w.stop()
				w.src.fault = nil
				if again {
					clear(w.src.settled) // a power loss
					l.crash()
					w.start()
					time.Sleep(3 * time.Hour)
					w.stop()
				}
				w.unreadable()
				w.start()
				time.Sleep(time.Hour)
				w.stop()
				told := false
				for line := range strings.Lines(w.log.String()) {
					if strings.Contains(line, "another record under number 5") {
						told = true
						if strings.Contains(line, "fails reads") {
							t.Errorf("it is told as a fault of the disk: %s", line)
						}
					}
				}
				if !told {
					t.Errorf("nobody hears of it:\n%s", tail(w.log.String()))
				}
				if w.src.parked[5].State != record.Deferred || w.src.settled[5].State != "" || w.src.released != 10 || len(w.src.lies) > 0 {
					t.Errorf("parked %v, released %d, lies %v: record 5 is nowhere else\n%s", w.src.parked, w.src.released, w.src.lies, tail(w.log.String()))
				}
			})
		})
	}
}

// While no record can be read, a pack in the store is not believed unseen: it waits.
func TestPackAdoptWhileDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		w.addAll(10, 10)
		w.placePack(w.src.entries, nil, nil)
		w.src.mu.Lock()
		w.src.readable = func(seq record.Seq, _ bool) error {
			if seq > 1 {
				return syscall.EIO
			}
			return nil
		}
		w.src.mu.Unlock()
		w.start()
		time.Sleep(3 * time.Hour)
		if w.src.released != 0 || len(w.src.parked) > 0 {
			t.Errorf("released %d, parked %v", w.src.released, w.src.parked)
		}
		w.unreadable()
		time.Sleep(5 * time.Minute)
		w.stop()
		if w.src.released != 10 || len(w.packsIn()) != 1 {
			t.Errorf("then: released %d, packs %v", w.src.released, w.packsIn())
		}
	})
}

// The spool lost records with which a pack in the store begins, or that lie in it: only those before it are lost.
func TestPackAdoptLost(t *testing.T) {
	for _, proven := range []bool{false, true} {
		for _, lost := range [][2]record.Seq{{11, 13}, {9, 13}, {15, 17}, {11, 20}, {18, 22}} {
			if proven && lost[0] < 11 {
				continue // what comes before a proven pack is proven, too
			}
			t.Run(fmt.Sprintf("proven=%v lost=%v", proven, lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newPackWorld(t, crashdisk.New())
					l := newPackLedger()
					w.opts.Ledger, w.src.covered = l, l.upto
					acked := w.addAll(10, 5)
					maps.Copy(acked, w.addAll(10, 10))
					key := w.placePack(w.src.entries[10:20], nil, nil)
					if proven {
						first := w.placePack(w.src.entries[:10], nil, nil)
						w.provePlaced(l, first, 1, 10)
						w.provePlaced(l, key, 11, 20)
					}
					maps.Copy(acked, w.addAll(5, 20))
					w.src.gap(lost[0], lost[1])
					for seq := lost[0]; seq <= lost[1]; seq++ {
						if seq < 11 || seq > 20 {
							delete(acked, seq)
						}
					}
					w.start()
					time.Sleep(time.Hour)
					w.stop()
					w.rows(acked)
					if w.src.released != 25 || len(w.src.lies)+len(l.lies) > 0 {
						t.Errorf("released %d, packs %v, lies %v %v\n%s", w.src.released, w.packsIn(), w.src.lies, l.lies, tail(w.log.String()))
					}
				})
			})
		}
	}
}

// provePlaced has the ledger know a pack that was placed.
func (w *world) provePlaced(l *packLedger, key string, first, last record.Seq) {
	w.t.Helper()
	o := w.bucket.objects[key]
	p := record.Pack{First: first, Last: last, Time: w.src.entries[first-1].Time, Key: key, Size: o.info.Size, Digest: o.info.Digest, Version: "v1", Root: rootOf(w.src.entries[first-1 : last])}
	if err := l.Pack(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
	if err := l.Checkpoint(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// The disk has less room than a pack takes, and says so when it is written, when it is synced, or only when its seal is: packs
// become smaller, and the records are stored.
func TestPackLittleRoom(t *testing.T) {
	full := &faultdisk.Fault{Err: syscall.ENOSPC}
	for name, fails := range map[string]func(c faultdisk.Call, written int64) bool{
		"write": func(c faultdisk.Call, _ int64) bool { return c.Op == faultdisk.Write && c.Off+int64(c.Len) > 100_000 },
		"sync": func(c faultdisk.Call, written int64) bool {
			return c.Op == faultdisk.Sync && strings.HasSuffix(c.Name, ".tmp") && written > 100_000
		},
		"seal": func(c faultdisk.Call, written int64) bool {
			return c.Op == faultdisk.Create && strings.Contains(c.Name, ".seal") && written > 100_000
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var written int64 // of the file that was written last
				disk := faultdisk.New(crashdisk.New(), func(c faultdisk.Call) *faultdisk.Fault {
					if fails(c, written) {
						return full
					}
					if c.Op == faultdisk.Write {
						written = c.Off + int64(c.Len)
					}
					return nil
				})
				w := newPackWorld(t, disk)
				acked := w.addAll(100, 10_000)
				w.start()
				time.Sleep(time.Hour)
				w.stop()
				w.rows(acked)
				if n := len(w.packsIn()); n > 40 || w.src.released != 100 {
					t.Errorf("%d packs, released %d\n%s", n, w.src.released, tail(w.log.String()))
				}
			})
		})
	}
}
