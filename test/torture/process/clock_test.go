//go:build unix

package process

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const jumpsOfLife = 12 // of the clock, until everything is counted

// TestTortureClock sets the wall clock of the daemon while records come in: back and forward by
// seconds, an hour and days, to just before the hour that summer time repeats or skips, and to the end
// of the year; in some of these the process stands still, as on a machine that sleeps, in some S3 is away,
// and in some it is killed. The S3 server's clock is right, so that signatures are off by more than S3 allows.
// In the end everything is there once, in order, under a key of a day at which the clock stood; delivery
// does not wait until a time that was never comes again.
func TestTortureClock(t *testing.T) {
	torture.NeedsShare(t)
	jumps := torture.Share(0, 72, 1200)
	row := torture.Report(t, "clock that jumps, machine that sleeps", "jumps")
	binary := driver.BuildClock(t)
	s3 := testserver.Versitygw(t)
	var slowest time.Duration
	for _, seed := range torture.Seeds((jumps + jumpsOfLife - 1) / jumpsOfLife) {
		dir := t.TempDir()
		l := &clockLife{
			life:  life{binary: binary, s3: s3, dir: dir, seed: seed, rng: rand.New(rand.NewPCG(seed, 6)), oracle: driver.NewOracle()},
			clock: driver.Clock{File: filepath.Join(dir, "clock")}, days: map[string]bool{},
		}
		took, err := l.live(t.Context(), row)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			row.FailedAt(seed)
			return
		}
		slowest = max(slowest, took)
	}
	row.Note = fmt.Sprintf("everything was delivered at most %v after S3 was back", slowest.Round(100*time.Millisecond))
}

// clockLife is one data directory under a clock that jumps.
type clockLife struct {
	life
	clock driver.Clock
	days  map[string]bool // at which the clock stood
	n     int             // groups of clients that were started
}

// live returns how long the end of the delivery took.
func (l *clockLife) live(ctx context.Context, row *torture.Row) (time.Duration, error) {
	bucket := fmt.Sprintf("clock-%d", l.seed)
	root := filepath.Join(l.s3.Root, bucket)
	if err := os.Mkdir(root, 0o700); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(root) }()
	target, err := url.Parse(l.s3.Endpoint)
	if err != nil {
		return 0, err
	}
	l.proxy = faultproxy.New(target, l.seed)
	if l.front, err = faultproxy.Listen("127.0.0.1:0", l.proxy); err != nil {
		return 0, err
	}
	defer l.front.Close()
	config := filepath.Join(l.dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("upload:\n  backoff_max: 2s\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 300ms\n"), 0o600); err != nil {
		return 0, err
	}
	l.serve = &driver.Serve{
		Binary: l.binary, Data: filepath.Join(l.dir, "data"), To: "s3://" + bucket, Config: config, Log: filepath.Join(l.dir, "log"),
		Env: []string{"AWS_ENDPOINT_URL_S3=http://" + l.front.Addr, "AWS_REGION=" + l.s3.Region, "AWS_ACCESS_KEY_ID=" + l.s3.Access, "AWS_SECRET_ACCESS_KEY=" + l.s3.Secret, "TZ=Europe/Berlin", l.clock.Env()},
	}
	if err := l.set(0); err != nil {
		return 0, err
	}
	if err := l.serve.Start(); err != nil {
		return 0, err
	}
	defer l.serve.Kill()
	for jump := range jumpsOfLife {
		if err := l.jump(ctx); err != nil {
			return 0, fmt.Errorf("jump %d, the clock was off by %v: %w", jump, l.clock.Wrong, err)
		}
	}
	row.Ran(jumpsOfLife, 0)
	l.serve.Kill()
	begun := time.Now()
	if err := l.count(ctx, row, root); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if took > 30*time.Second {
		return took, fmt.Errorf("the end took %v: something waits for the clock", took)
	}
	return took, l.checkKeys(root)
}

func (l *clockLife) set(wrong time.Duration) error {
	if err := l.clock.Set(wrong); err != nil {
		return err
	}
	l.sawDay()
	return nil
}

func (l *clockLife) sawDay() { l.days[l.clock.Now().UTC().Format(time.DateOnly)] = true }

// jump is one jump of the clock under load, and what may come with it.
func (l *clockLife) jump(ctx context.Context) error {
	if err := l.front.Accept(); err != nil {
		return err
	}
	away := l.rng.IntN(3) == 0
	if away {
		l.front.Refuse()
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for c := range 4 {
		rng := rand.New(rand.NewPCG(l.seed, uint64(l.n*4+c)+2))
		dir := fmt.Sprintf("n%d/c%d", l.n, c)
		wg.Go(func() { l.oracle.Load(loading, l.serve.At.S3, l.serve.At.HTTP, dir, rng) })
	}
	l.n++
	pause := func(most int) { time.Sleep(time.Duration(20+l.rng.IntN(most)) * time.Millisecond) }
	pause(200)
	asleep := l.rng.IntN(4) == 0
	pid := l.serve.PID()
	if asleep {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	err := l.set(l.next())
	if asleep {
		pause(600)
		if kerr := syscall.Kill(pid, syscall.SIGCONT); kerr != nil {
			return kerr
		}
	}
	if err != nil {
		return err
	}
	pause(200)
	if away && l.rng.IntN(2) == 0 { // it comes back while the clock is what it is
		if err := l.front.Accept(); err != nil {
			return err
		}
		pause(300)
	}
	stop()
	wg.Wait()
	l.sawDay()
	if err := l.noNonsense(ctx); err != nil {
		return err
	}
	if l.rng.IntN(4) > 0 {
		return nil
	}
	l.serve.Kill()
	return l.serve.Start()
}

// next draws by how much the clock is to be wrong.
func (l *clockLife) next() time.Duration {
	now := time.Now()
	to := func(at string) time.Duration {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			panic(err) // a constant below
		}
		return t.Sub(now).Truncate(time.Second)
	}
	draws := []time.Duration{
		0,
		l.clock.Wrong - time.Hour, l.clock.Wrong - time.Hour,
		l.clock.Wrong + 24*time.Hour, l.clock.Wrong - 24*time.Hour,
		l.clock.Wrong + time.Hour, l.clock.Wrong + 10*time.Second, l.clock.Wrong - 2*time.Second,
		to("2026-10-25T00:59:59Z"), // Europe/Berlin sets its clocks back
		to("2027-03-28T00:59:59Z"), // and forward
		to("2026-12-31T23:59:59Z"),
	}
	return draws[l.rng.IntN(len(draws))]
}

// noNonsense looks for ages and durations that no clock has: negative ones.
func (l *clockLife) noNonsense(ctx context.Context) error {
	st, err := l.serve.Status(ctx)
	if err != nil {
		return err
	}
	if st.OldestPendingSeconds < 0 || st.Log.CheckpointAgeSeconds != nil && *st.Log.CheckpointAgeSeconds < 0 {
		return fmt.Errorf("an age below zero: %+v", st)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.serve.At.Admin+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && strings.HasPrefix(name, "indelible_") && strings.HasPrefix(value, "-") {
			return fmt.Errorf("a metric below zero: %s", lines.Text())
		}
	}
	return nil
}

// checkKeys looks at the keys that the JSON door made: each has a day at which the clock stood.
func (l *clockLife) checkKeys(root string) error {
	base := filepath.Join(root, "http")
	return filepath.WalkDir(base, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(base, name)
		if err != nil {
			return err
		}
		if day, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); !l.days[day] {
			return fmt.Errorf("%s: the clock never stood at that day", rel)
		}
		return nil
	})
}
