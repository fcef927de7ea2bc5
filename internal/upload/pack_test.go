package upload_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/torture"
)

func (w *world) addAll(n int, size int) map[record.Seq]string {
	acked := map[record.Seq]string{}
	for i := range n {
		body := fmt.Sprint("body ", len(w.src.entries), strings.Repeat("x", size))
		acked[w.src.add("b", fmt.Sprint("k", i), body)] = body
	}
	return acked
}

// A pack is closed by its rows, its size and its age, and lies where its first record says.
func TestPackBoundaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		w.opts.Packing.MaxRecords = 40
		w.opts.Packing.MaxBytes = 40_000
		acked := w.addAll(100, 10) // 40, 40, 20
		// 20 + 1, 1, 1
		maps.Copy(acked, w.addAll(3, 30_000))
		w.start()
		time.Sleep(10 * time.Second)
		if got := len(w.packsIn()); got != 5 {
			t.Errorf("%d packs before any is old: %v", got, w.packsIn())
		}
		last := w.addAll(1, 10)
		acked[104] = last[104]
		time.Sleep(70 * time.Second)
		packs := w.packsIn()
		if len(packs) != 6 || packs[0] != "packs/dt=2000-01-01/hour=0/test-00000000000000000001-00000000000000000040.parquet" {
			t.Errorf("packs %v", packs)
		}
		w.stop()
		w.rows(acked)
		if len(w.src.lies) > 0 {
			t.Error(w.src.lies)
		}
		if w.src.released != 104 {
			t.Errorf("released %d", w.src.released)
		}
	})
}

// What is no row closes the pack before it: a gap, a large body, one that the format does not take, one that was parked.
func TestPackExceptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := crashdisk.New()
		w := newPackWorld(t, dir)
		l := newPackLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.opts.Packing.MaxInline = 5000
		acked := w.addAll(10, 10)
		w.src.gap(4, 5)
		delete(acked, 4)
		delete(acked, 5)
		// 11: beside
		maps.Copy(acked, w.addAll(1, 6000))
		acked[w.src.add("b", "odd", "odd")] = "odd" // 12: alone
		// 13, 14
		maps.Copy(acked, w.addAll(2, 10))
		w.src.lost[14] = true
		delete(acked, 14)
		big := w.src.add("b", "big", strings.Repeat("y", 7000)) // 15: beside, and refused
		// 16 to 18
		maps.Copy(acked, w.addAll(3, 10))
		w.bucket.script = func(op, key string) fault {
			if op == "put" && strings.Contains(key, fmt.Sprintf("%020d.body", big)) {
				return fault{class: store.Poison}
			}
			return fault{}
		}
		w.start()
		time.Sleep(5 * time.Minute)
		w.stop()
		have := w.rows(acked)
		if have[11] != have[10] || have[12] != "odd" || have[3] == have[6] || w.src.parked[big].State != record.Quarantined {
			t.Errorf("%v; parked %v\n%s", have, w.src.parked, tail(w.log.String()))
		}
		if len(w.src.lies)+len(l.lies) > 0 || w.src.released != 18 {
			t.Errorf("released %d, lies %v %v\n%s", w.src.released, w.src.lies, l.lies, tail(w.log.String()))
		}
		if left, _ := dir.ReadDir("."); len(left) > 0 {
			t.Errorf("left in the directory: %v", left)
		}
	})
}

// A pack that the store refuses for its own content is parked, record by record, and holds up no other.
func TestPackRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		w.opts.Packing.MaxRecords = 10
		acked := w.addAll(30, 10)
		w.bucket.script = func(op, key string) fault {
			if op == "put" && strings.Contains(key, "-00000000000000000011-") {
				return fault{class: store.Poison}
			}
			return fault{}
		}
		w.start()
		time.Sleep(5 * time.Minute)
		w.stop()
		for seq := record.Seq(11); seq <= 20; seq++ {
			if w.src.parked[seq].State != record.Quarantined {
				t.Errorf("record %d: %v", seq, w.src.parked[seq].State)
			}
			delete(acked, seq)
		}
		w.rows(acked)
		if len(w.src.lies)+len(l.lies) > 0 || w.src.released != 30 {
			t.Errorf("released %d, lies %v %v\n%s", w.src.released, w.src.lies, l.lies, tail(w.log.String()))
		}
	})
}

// A record that cannot be read is waited for; a disk that fails all reads makes no gap and no object.
func TestPackReadsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		acked := w.addAll(50, 10)
		var failing atomic.Bool
		failing.Store(true)
		w.src.readable = func(seq record.Seq, body bool) error {
			if failing.Load() && seq >= 20 {
				return syscall.EIO
			}
			return nil
		}
		w.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.src.parked) > 0 || len(w.src.gaps) > 0 || len(w.bucket.objects) > 1 {
			t.Errorf("in an outage: parked %v, objects %d", w.src.parked, len(w.bucket.objects))
		}
		failing.Store(false)
		time.Sleep(5 * time.Minute)
		w.stop()
		w.rows(acked)
		if got := len(w.packsIn()); got > 2 || len(w.bucket.objects) != got {
			t.Errorf("objects %d, packs %d", len(w.bucket.objects), got)
		}
	})
}

// Where one record cannot be read and the others can, they go on.
func TestPackOneUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		acked := w.addAll(50, 10)
		w.src.readable = func(seq record.Seq, body bool) error {
			if seq == 20 {
				return syscall.EIO
			}
			return nil
		}
		w.start()
		time.Sleep(2 * time.Hour)
		w.stop()
		delete(acked, 20)
		w.rows(acked)
		if w.src.parked[20].State != record.Deferred || w.src.released != 50 {
			t.Errorf("parked %v, released %d\n%s", w.src.parked, w.src.released, tail(w.log.String()))
		}
	})
}

// A full disk delays packs and makes no object; once there is room they are built.
func TestPackDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room atomic.Bool
		disk := faultdisk.New(crashdisk.New(), func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op == faultdisk.Write && c.Off+int64(c.Len) > 5_000 && !room.Load() {
				return &faultdisk.Fault{Err: syscall.ENOSPC, Keep: c.Len / 2}
			}
			return nil
		})
		w := newPackWorld(t, disk)
		acked := w.addAll(50, 10_000)
		w.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.bucket.objects) > 0 || w.up.Stats().Stuck == "" {
			t.Errorf("on a full disk: %d objects, stuck %q", len(w.bucket.objects), w.up.Stats().Stuck)
		}
		room.Store(true)
		time.Sleep(5 * time.Minute)
		w.stop()
		w.rows(acked)
		if n := len(w.packsIn()); n > 6 { // of 1, 2, 4, 8, 16 and 19 rows
			t.Errorf("packs %v", w.packsIn())
		}
	})
}

// A pack is the same after a restart, whatever became of its first put; and so when its directory was lost, or the file was damaged.
func TestPackAfterRestart(t *testing.T) {
	for name, c := range map[string]struct {
		stored bool
		lose   func(t *testing.T, d *crashdisk.Disk)
	}{
		"not stored":             {},
		"stored":                 {stored: true},
		"stored, directory lost": {stored: true, lose: loseAll},
		"directory lost":         {lose: loseAll},
		"stored, damaged":        {stored: true, lose: damage(".parquet")},
		"damaged":                {lose: damage(".parquet")},
		"stored, seal damaged":   {stored: true, lose: damage(".seal")},
		"seal damaged":           {lose: damage(".seal")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := crashdisk.New()
				w := newPackWorld(t, disk)
				l := newPackLedger()
				w.opts.Ledger, w.src.covered = l, l.upto
				acked := w.addAll(100, 10)
				w.bucket.script = func(op, key string) fault {
					switch op {
					case "put":
						return fault{class: store.Ambiguous, apply: c.stored}
					case "list":
						return fault{}
					}
					return fault{class: store.Unreachable}
				}
				w.opts.Packing.MaxRecords = 60
				w.start()
				time.Sleep(2 * time.Minute)
				w.stop()
				if c.lose != nil {
					c.lose(t, disk)
				}
				before := len(w.bucket.objects)
				if want := map[bool]int{true: 2}[c.stored]; before != want {
					t.Fatalf("%d objects before the restart", before)
				}
				w.bucket.script = nil
				w.opts.Packing.MaxRecords = 77 // the boundaries that were decided stay
				w.start()
				time.Sleep(5 * time.Minute)
				w.stop()
				w.rows(acked)
				if len(w.src.lies)+len(l.lies) > 0 || w.src.released != 100 || len(w.packsIn()) != 2 {
					t.Errorf("released %d, packs %v, lies %v %v\n%s", w.src.released, w.packsIn(), w.src.lies, l.lies, tail(w.log.String()))
				}
				if first := w.packsIn()[0]; (name != "directory lost") != strings.Contains(first, "-00000000000000000060.") {
					t.Errorf("the boundary moved: %v", w.packsIn())
				}
				if left, _ := disk.ReadDir("."); len(left) > 0 {
					t.Errorf("left in the directory: %v", left)
				}
			})
		})
	}
}

func loseAll(t *testing.T, d *crashdisk.Disk) {
	entries, err := d.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := d.Remove(e.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// damage changes a byte of the first file with this extension.
func damage(ext string) func(t *testing.T, d *crashdisk.Disk) {
	return func(t *testing.T, d *crashdisk.Disk) {
		entries, err := d.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ext) {
				continue
			}
			f, err := d.OpenWrite(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte("?"), 40); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Fatal("nothing to damage")
	}
}

// The layout can change at any restart: what was packed is sent on, and all else is an object.
func TestPackThenObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		l := newPackLedger()
		w.opts.Ledger, w.src.covered = l, l.upto
		acked := w.addAll(25, 10)
		w.bucket.script = func(op, key string) fault {
			if op == "list" {
				return fault{}
			}
			return fault{class: store.Ambiguous, apply: op == "put"}
		}
		w.opts.Packing.MaxRecords = 10
		w.start()
		time.Sleep(30 * time.Second)
		w.stop()
		w.bucket.script = nil
		w.opts.Packing.Finish = true
		w.start()
		time.Sleep(5 * time.Minute)
		w.stop()
		w.rows(acked)
		if len(w.packsIn()) != 2 || len(w.bucket.objects) != 7 || w.src.released != 25 || len(w.src.lies)+len(l.lies) > 0 {
			t.Errorf("packs %v, %d objects, released %d, lies %v %v", w.packsIn(), len(w.bucket.objects), w.src.released, w.src.lies, l.lies)
		}
	})
}

// A foreign object under a pack's name is left alone.
func TestPackNameTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPackWorld(t, crashdisk.New())
		acked := w.addAll(10, 10)
		key := "packs/dt=2000-01-01/hour=0/test-00000000000000000001-00000000000000000010.parquet"
		w.bucket.place(key, store.Info{Key: key, Size: 3, ETag: "x"}, []byte("foe"), store.Condition{})
		w.start()
		w.drain(time.Hour)
		w.stop()
		if body, _ := w.bucket.body(key); body != "foe" {
			t.Errorf("it was overwritten: %q", body)
		}
		delete(w.bucket.objects, key)
		w.rows(acked)
	})
}

// Kills at every call to the disk of packs, and power cuts there: no row twice, and none missing.
func TestPackCrashes(t *testing.T) {
	for seed := range uint64(torture.RaceShare(50)) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { packCrashes(t, seed) })
		})
	}
}

func packCrashes(t *testing.T, seed uint64) {
	r := &chance{r: rand.New(rand.NewPCG(seed, 5))}
	var calm atomic.Bool
	disk := crashdisk.New()
	w := newPackWorld(t, nil)
	l := newPackLedger()
	w.opts.Ledger = l
	w.opts.Packing.MaxRecords, w.opts.Packing.MaxInline = 10+r.IntN(20), 2500
	w.bucket.latency = 5 * time.Millisecond
	w.bucket.script = func(op, key string) fault {
		if calm.Load() || r.Float64() < 0.7 {
			return fault{}
		}
		return fault{class: store.Class(1 + r.IntN(5)), apply: r.IntN(2) == 0}
	}
	acked := map[record.Seq]string{}
	var s *spool.Spool
	open := func() {
		var err error
		if s, err = spool.Open(disk, spool.Options{Log: "test", SegmentBytes: 64 << 10, ReserveBytes: 1}); err != nil {
			t.Fatal(err)
		}
		w.opts.Source = s
		if err := disk.MkdirAll("packs"); err != nil {
			t.Fatal(err)
		}
		w.opts.Packing.Dir = below{disk, "packs/"}
		w.start()
	}
	open()
	for i := range 200 {
		key, body := fmt.Sprint("k", r.IntN(80)), fmt.Sprint("body ", i, strings.Repeat("x", r.IntN(3000)))
		receipt, err := s.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: key, Size: int64(len(body)), Body: strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		acked[receipt.Seq] = body
		if r.IntN(25) > 0 {
			continue
		}
		time.Sleep(time.Duration(r.IntN(30_000)) * time.Millisecond)
		after := disk.Crash(rand.New(rand.NewPCG(seed, uint64(i))), r.IntN(101))
		w.stop()
		s.Close()
		l.crash()
		disk = after
		open()
	}
	calm.Store(true)
	time.Sleep(15 * time.Minute)
	w.drain(time.Hour)
	w.stop()
	st := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st.Pending != 0 || st.Deferred != 0 || st.Quarantined != 0 || st.Gaps != 0 || st.Released != uint64(len(acked)) || len(l.lies) > 0 {
		t.Errorf("spool: %+v; lies %v\n%s", st, l.lies, tail(w.log.String()))
	}
	w.rows(acked)
}

// The process dies at each call to the disk while packs are built.
func TestPackKilledAtEveryCall(t *testing.T) {
	for at := 1; ; at++ {
		calls := 0
		t.Run(fmt.Sprint("call=", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := crashdisk.New()
				w := newPackWorld(t, nil)
				l := newPackLedger()
				w.opts.Ledger, w.src.covered = l, l.upto
				w.opts.Packing.MaxRecords = 10
				dies := faultdisk.New(disk, func(faultdisk.Call) *faultdisk.Fault {
					if calls++; calls == at {
						return &faultdisk.Fault{Err: syscall.EIO, Kill: true, Apply: at%2 == 0}
					}
					return nil
				})
				w.opts.Packing.Dir = dies
				acked := w.addAll(25, 10)
				w.start()
				time.Sleep(5 * time.Minute)
				w.stop()
				l.crash()
				w.opts.Packing.Dir, w.opts.Packing.MaxRecords = disk.Crash(rand.New(rand.NewPCG(uint64(at), 1)), at%101), 7
				w.start()
				time.Sleep(5 * time.Minute)
				w.stop()
				w.rows(acked)
				if len(w.src.lies)+len(l.lies) > 0 || w.src.released != 25 {
					t.Errorf("released %d, lies %v %v\n%s", w.src.released, w.src.lies, l.lies, tail(w.log.String()))
				}
			})
		})
		if calls < at || t.Failed() {
			t.Logf("%d calls", calls)
			return
		}
	}
}

// What reaches the disk for one pack, in its order, and that nothing of it is sent before.
func TestPackDiskOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		disk := faultdisk.New(crashdisk.New(), func(c faultdisk.Call) *faultdisk.Fault {
			if c.Op.Mutates() {
				calls = append(calls, strings.ReplaceAll(strings.ReplaceAll(c.String(), "test-0000000000000000000", ""), "0000000000000000000", ""))
			}
			return nil
		})
		w := newPackWorld(t, disk)
		w.addAll(2, 10)
		w.bucket.script = func(op, key string) fault {
			if op == "put" {
				calls = append(calls, "put")
			}
			return fault{}
		}
		w.start()
		time.Sleep(2 * time.Minute)
		w.stop()
		for i, c := range calls {
			if strings.HasPrefix(c, "write ") {
				calls[i] = strings.Fields(c)[0] + " " + strings.Fields(c)[1]
			}
		}
		want := []string{
			"syncdir .", "create 1.tmp", "write 1.tmp", "sync 1.tmp",
			"create 1-2.parquet.seal.tmp", "write 1-2.parquet.seal.tmp", "sync 1-2.parquet.seal.tmp", "rename 1-2.parquet.seal.tmp 1-2.parquet.seal", "syncdir .",
			"rename 1.tmp 1-2.parquet", "syncdir .", "put", "remove 1-2.parquet", "remove 1-2.parquet.seal",
		}
		if !slices.Equal(calls, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
		}
	})
}
