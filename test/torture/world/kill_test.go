package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/faultdisk"
	"indelible/internal/torture"
)

// killsBeforeCut is how many processes in a row are killed without a power cut, at most.
const killsBeforeCut = 4

// TestTortureKilled kills the process at a call of the disk without a power cut: what it had
// written and not synced is what the next process finds, which is sent again what was not acked, and
// is killed in its turn. Then the power is cut. At every call the disk is looked at as a power cut
// would leave it then: what anybody has an ack for is in the spool or in the store, and no number was
// given to two records.
func TestTortureKilled(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "simulated world, killed again and again, then a power cut", "crash points")
	eachSeed(t, row, torture.Share(1500, 3_000, 500_000), func(w *world) {
		for n := 0; n < lives && !w.t.Failed(); n++ {
			for range w.rng.IntN(killsBeforeCut) {
				w.killed(n)
				n++
			}
			w.cut()
		}
		if !w.t.Failed() {
			w.end()
		}
	})
}

// cut takes the power away while no process runs.
func (w *world) cut() {
	w.disk = w.disk.Crash(rand.New(rand.NewPCG(w.rng.Uint64(), 3)), []int{0, 50, 100}[w.rng.IntN(3)])
}

// killed is one life that ends with a kill, in the middle of a call of the disk: the
// call has its effect, or not, or half of it.
func (w *world) killed(n int) {
	w.mu.Lock()
	w.dead = false
	again := map[datum]bool{}
	for r, acked := range w.sent {
		if !acked {
			again[r] = true
		}
	}
	w.mu.Unlock()
	killAt := 1 + w.rng.IntN(200)
	if w.rng.IntN(4) == 0 {
		killAt = 1 + w.rng.IntN(15) // while it opens
	}
	seeds := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	over := make(chan struct{})
	calls := 0
	fd := faultdisk.New(w.disk, func(c faultdisk.Call) *faultdisk.Fault {
		if !c.Op.Mutates() {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.look(w.disk.Crash(rand.New(rand.NewPCG(seeds.Uint64(), 3)), []int{0, 50, 100}[seeds.IntN(3)]), c)
		if calls++; calls < killAt {
			return nil
		}
		w.dead = true
		close(over)
		return &faultdisk.Fault{Kill: true, Apply: seeds.IntN(3) == 0, Keep: seeds.IntN(max(1, c.Len+1))}
	})
	defer func() {
		synctest.Wait()
		w.row.Ran(w.points, 0)
		w.points = 0
	}()
	p, err := w.open(fd, w.bucket, options(), 5*time.Second, over)
	if err != nil {
		if !w.isDead() {
			w.t.Errorf("after a kill: %v", err)
		}
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() {
		for r := range again {
			_ = w.put(ctx, p.door, r)
		}
	})
	for c := range clients {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), 4))
		sending.Go(func() { w.client(ctx, p.door, rng, fmt.Sprintf("l%d/c%d", n, c)) })
	}
	select {
	case <-over:
	case <-time.After(10 * time.Minute): // little happened: the kill is now
		w.mu.Lock()
		if !w.dead {
			w.dead = true
			close(over)
		}
		w.mu.Unlock()
	}
	fd.Kill()
	cancel()
	p.stop()
	sending.Wait()
	_ = p.spool.Close() // of a dead process: nobody hears of it
}
