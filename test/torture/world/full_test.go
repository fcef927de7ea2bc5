package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/faultdisk"
	"indelible/internal/torture"
)

// TestTortureFullDisk fills the disk to the last byte under load, with the destination away, and then
// kills or stops the process: it starts on that disk, answers with what it has, delivers and releases
// everything although nothing is ever freed, and takes records again once there is room.
func TestTortureFullDisk(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "simulated world, not one byte free", "full disks")
	eachSeed(t, row, torture.Share(0, 15, 2000), func(w *world) {
		w.full()
		row.Ran(1, 0)
	})
}

// full is a life on a disk that gets full, and the one after it. The log's own files are on another disk.
func (w *world) full() {
	log := faultdisk.New(w.disk, nil)
	fd := faultdisk.New(w.disk, nil)
	w.bucket.away(10 * time.Minute)
	p := w.wireLog(fd, log)
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	for c := range clients {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), 4))
		sending.Go(func() { w.client(ctx, p.door, rng, fmt.Sprintf("f/c%d", c)) })
	}
	_ = wait(ctx, time.Duration(1+w.rng.IntN(120))*time.Second)
	fd.SetFull([]error{syscall.ENOSPC, syscall.EDQUOT}[w.rng.IntN(2)])
	_ = wait(ctx, time.Duration(w.rng.IntN(60))*time.Second)
	if w.rng.IntN(2) == 0 {
		w.mu.Lock()
		w.dead = true
		w.mu.Unlock()
		fd.Kill()
	}
	cancel()
	sending.Wait()
	p.stop()
	_ = p.spool.Close()
	w.mu.Lock()
	w.dead = false
	w.mu.Unlock()
	w.bucket.away(0)
	w.bucket.calm = true

	fd = fd.Next()
	p = w.wireLog(fd, log)
	ctx, cancel = context.WithTimeout(context.Background(), 3*time.Hour)
	defer cancel()
	if err := p.uploader.Drain(ctx); err != nil {
		w.t.Errorf("drain with not one byte free: %v", err)
	}
	if st := p.spool.Stats(); st.Pending != 0 || st.Gaps != 0 {
		w.t.Errorf("with not one byte free %d records stay, %d gaps", st.Pending, st.Gaps)
	}
	fd.SetFull(nil)
	r := datum{key: "f/k-999999-100.json"}
	for w.put(ctx, p.door, r) != nil && ctx.Err() == nil {
		_ = wait(ctx, 5*time.Second)
	}
	p.stop()
	if err := p.spool.Close(); err != nil {
		w.t.Error(err)
	}
	w.end()
}

// wireLog is wire with the log's files on a disk of their own.
func (w *world) wireLog(fd, log *faultdisk.Disk) *parts {
	w.logDisk = log
	defer func() { w.logDisk = nil }()
	return w.wire(fd, w.bucket, options(), 5*time.Second, nil)
}
