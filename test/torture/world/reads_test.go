package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/faultdisk"
	"indelible/internal/torture"
)

// outages of reads in one life.
const outages = 5

// TestTortureReads has reads of the spool fail for 10 to 60 seconds, again and again, under load and while the process starts: nothing that was acked is lost or taken for
// damaged, and everything is delivered once reads work again. (Slow reads are the real binary's: in virtual time nobody
// may wait for a lock that is held while a read sleeps.)
func TestTortureReads(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "simulated world, reads fail for 10 to 60 s", "outages")
	eachSeed(t, row, torture.Share(0, 20, 5000), (*world).sick)
}

// ofSpool says whether a name on the world's disk is the spool's: the log's are beside it.
func ofSpool(name string) bool {
	return !strings.HasPrefix(name, "proof") && !strings.HasPrefix(name, "log.")
}

// illness is what is wrong with reads at a moment.
type illness struct {
	mu  sync.Mutex
	err error // nil: they work; guarded by mu
}

func (i *illness) set(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

func (i *illness) disk(w *world) *faultdisk.Disk {
	return faultdisk.New(w.disk, faultdisk.ReadOutage(ofSpool, func() error { i.mu.Lock(); defer i.mu.Unlock(); return i.err }))
}

// sick is a life whose disk cannot read for a while, again and again.
func (w *world) sick() {
	var ill illness
	p := w.wire(ill.disk(w), w.bucket, options(), 5*time.Second, nil)
	for n := range outages {
		ctx, cancel := context.WithCancel(context.Background())
		var sending sync.WaitGroup
		for c := range clients {
			rng := rand.New(rand.NewPCG(w.rng.Uint64(), 4))
			sending.Go(func() { w.client(ctx, p.door, rng, fmt.Sprintf("o%d/c%d", n, c)) })
		}
		_ = wait(ctx, time.Duration(w.rng.IntN(60))*time.Second)
		ill.set([]error{syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT}[w.rng.IntN(3)])
		lasts := time.Duration(10+w.rng.IntN(50)) * time.Second
		if w.rng.IntN(3) == 0 { // it is stopped meanwhile, and does not start before reads work, or does
			_ = wait(ctx, lasts/2)
			cancel()
			sending.Wait()
			p.stop()
			_ = p.spool.Close() // what it cannot do any more is done at the start
			p = w.again(&ill, lasts/2)
		} else {
			_ = wait(ctx, lasts)
		}
		ill.set(nil)
		cancel()
		sending.Wait()
		w.row.Ran(1, 0)
	}
	if st := p.spool.Stats(); st.Gaps != 0 {
		w.t.Errorf("%d gaps of %d records, and no byte was ever wrong", st.Gaps, st.GapRecords)
	}
	p.stop()
	if err := p.spool.Close(); err != nil {
		w.t.Error(err)
	}
	w.end()
}

// again starts the process until it starts, as a supervisor does. Once the outage is over it has to.
func (w *world) again(ill *illness, lasts time.Duration) *parts {
	for end := time.Now().Add(lasts); ; {
		p, err := w.open(ill.disk(w), w.bucket, options(), 5*time.Second, nil)
		if err == nil {
			_ = wait(context.Background(), time.Until(end))
			return p
		}
		if !time.Now().Before(end) {
			ill.set(nil)
			return w.wire(ill.disk(w), w.bucket, options(), 5*time.Second, nil)
		}
		_ = wait(context.Background(), 5*time.Second)
	}
}
