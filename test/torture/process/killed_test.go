package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

// TestTortureKilled kills the daemon without a power cut, in a disk whose syncs take
// their time: what it had written and not synced is what the next daemon finds. That one is sent
// again what was not acked, and more, and is killed in its turn; then the power is cut. Everything
// that was acked is in the bucket in the end, and no number was given to two records.
func TestTortureKilled(t *testing.T) {
	torture.NeedsShare(t)
	cuts := torture.Share(0, 10, 1000)
	row := torture.Report(t, "real binary, killed again and again, then a power cut", "cuts")
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	s3 := testserver.Versitygw(t)
	twice := 0
	defer func() { row.Note = fmt.Sprintf("%d numbers given to two records", twice) }()
	for _, seed := range torture.Seeds((cuts + cutsOfLife - 1) / cutsOfLife) {
		l := &powerLife{life: life{binary: binary, s3: s3, dir: t.TempDir(), seed: seed, rng: rand.New(rand.NewPCG(seed, 5)), oracle: driver.NewOracle()}, kills: 3}
		err := l.live(t, forgetfs, cutsOfLife, row)
		twice += l.oracle.Twice()
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			row.FailedAt(seed)
			return
		}
	}
}

// killed is what comes before a power cut in a life that has kills: processes that are
// killed one after the other on a disk that goes on.
func (l *powerLife) killed(ctx context.Context, n int) error {
	for kill := range l.kills {
		if err := l.disk.Tell(fmt.Sprintf("slow %dms", l.rng.IntN(30))); err != nil {
			return err
		}
		if err := l.serve.Launch(); err != nil {
			return err
		}
		if n+kill > 0 && l.rng.IntN(6) == 0 { // while it opens what the last one left
			time.Sleep(time.Duration(l.rng.IntN(80)) * time.Millisecond)
			l.serve.Kill()
			continue
		}
		if err := l.serve.Ready(); err != nil {
			return fmt.Errorf("after kill %d: %w", kill, err)
		}
		l.load(ctx, fmt.Sprintf("n%d/k%d", n, kill), uint64((n*10+kill)*killClients), time.Duration(20+l.rng.IntN(200))*time.Millisecond, l.serve.Kill)
	}
	return l.disk.Tell("slow 0s")
}

// load has clients send for a while, and one send again what was not acked; then end ends the daemon under them.
func (l *powerLife) load(ctx context.Context, dir string, seed uint64, while time.Duration, end func()) {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.oracle.Retry(loading, l.serve.At.S3) }) // what fails is sent again the next time
	for client := range killClients {
		rng := rand.New(rand.NewPCG(l.seed, seed+uint64(client)+2))
		wg.Go(func() {
			l.oracle.Load(loading, l.serve.At.S3, l.serve.At.HTTP, fmt.Sprintf("%s/c%d", dir, client), rng)
		})
	}
	time.Sleep(while)
	end()
	stop()
	wg.Wait()
}
