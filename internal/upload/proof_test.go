package upload_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/torture"
	"indelible/internal/upload"
)

var _ upload.Ledger = openLog{}

// openLog is the log as a ledger. It was opened from the destination, and so is matched with it.
type openLog struct{ *proof.Log }

func (openLog) Ready(context.Context) error { return nil }

// flaky is a store whose puts fail by a script, before or after their effect.
type flaky struct {
	store.Store
	script func(key string) fault
}

func (f flaky) Put(ctx context.Context, o store.Object) (store.Info, error) {
	fault := f.script(o.Key)
	if fault.class == store.Unknown || fault.apply {
		info, err := f.Store.Put(ctx, o)
		if err != nil || fault.class == store.Unknown {
			return info, err
		}
	}
	return store.Info{}, fault.err("put", o.Key)
}

// Spool, store and transparency log as they run together, with crashes and
// faults at random moments: in the end the verifier finds every record.
func TestProvenDelivery(t *testing.T) {
	for seed := range uint64(torture.RaceShare(8)) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { provenDelivery(t, seed) })
		})
	}
}

func provenDelivery(t *testing.T, seed uint64) {
	r := &chance{r: rand.New(rand.NewPCG(seed, 3))}
	var calm atomic.Bool
	bucket := dir.Open(crashdisk.New())
	w := newWorld(t, "")
	w.opts.CheckpointEvery = time.Duration(1+r.IntN(10)) * time.Second
	w.opts.Store = flaky{bucket, func(key string) fault {
		switch {
		case strings.HasPrefix(key, "poison"):
			return fault{class: store.Poison}
		case calm.Load() || r.Float64() < 0.7:
			return fault{}
		}
		return fault{class: store.Class(1 + r.IntN(5)), apply: r.IntN(2) == 0}
	}}
	key, err := proof.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	disk, state := crashdisk.New(), crashdisk.New()
	var s *spool.Spool
	open := func() {
		if s, err = spool.Open(disk, spool.Options{Log: "test", SegmentBytes: 64 << 10, ReserveBytes: 1}); err != nil {
			t.Fatal(err)
		}
		var log *proof.Log
		for { // the store may fail now, too
			if log, err = proof.Open(t.Context(), w.opts.Store, key, proof.Options{Disk: state}); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if err := log.Start("test", "", ""); err != nil {
			t.Fatal(err)
		}
		w.opts.Source, w.opts.Ledger = s, openLog{log}
		w.start()
	}
	open()
	total := 120
	for i := range total {
		key, body := fmt.Sprint("k", r.IntN(60)), fmt.Sprint("body ", i)
		if r.IntN(40) == 0 {
			key = "poison" + key
		}
		if _, err := s.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: key, Size: -1, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
		if r.IntN(25) > 0 {
			continue
		}
		time.Sleep(time.Duration(r.IntN(20000)) * time.Millisecond)
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		spoolAfter, stateAfter := disk.Crash(dice, r.IntN(101)), state.Crash(dice, r.IntN(101))
		w.stop()
		s.Close()
		disk, state = spoolAfter, stateAfter
		open()
	}
	calm.Store(true)
	time.Sleep(15 * time.Minute)
	w.drain(time.Hour)
	if err := w.opts.Ledger.(openLog).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.stop()
	st := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := proof.Verify(t.Context(), bucket, "", key.Public(), proof.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.FaultCount > 0 || report.Extras > 0 || report.Deferred > 0 ||
		report.Records+report.Quarantined != int64(total) || report.Quarantined != int64(st.Quarantined) || st.Pending != 0 {
		t.Errorf("verify: %+v\nspool: %+v\n%s", report, st, tail(w.log.String()))
	}
	if log := w.log.String(); strings.Contains(log, proof.ErrOrder.Error()) || strings.Contains(log, proof.ErrForked.Error()) {
		t.Errorf("the ledger was not served as it must be:\n%s", tail(w.log.String()))
	}
}
