package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const cutsOfLife = 10 // power cuts until a data directory is drained, counted and begun again

// TestTorturePower runs the daemon on a file system that forgets what was not synced, and cuts
// the power at random, under load and as it starts: everything that was acked is in the bucket
// in the end. In every other life the bucket is a directory on the same disk.
func TestTorturePower(t *testing.T) {
	torture.NeedsShare(t)
	powerAll(t, "object", torture.Share(0, 25, 1000), torture.Report(t, "real binary, power cut", "cuts"))
}

// TestTorturePowerPacks is the same while records are packed.
func TestTorturePowerPacks(t *testing.T) {
	torture.NeedsShare(t)
	powerAll(t, "pack", torture.Share(0, 10, 300), torture.Report(t, "real binary, power cut while packing", "cuts"))
}

func powerAll(t *testing.T, layout string, cuts int, row *torture.Row) {
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	s3 := testserver.Versitygw(t)
	for _, seed := range torture.Seeds((cuts + cutsOfLife - 1) / cutsOfLife) {
		l := &powerLife{life: life{layout: layout, binary: binary, s3: s3, dir: t.TempDir(), seed: seed, rng: rand.New(rand.NewPCG(seed, 3)), oracle: driver.NewOracle()}}
		if err := l.live(t, forgetfs, cutsOfLife, row); err != nil {
			t.Errorf("seed %d: %v", seed, err)
			row.FailedAt(seed)
			return
		}
	}
}

// TestTorturePowerNotices has the disk lie: syncs do nothing. Records are lost then, and
// the count has to say so, or TestTorturePower would show nothing.
func TestTorturePowerNotices(t *testing.T) {
	torture.NeedsShare(t)
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	for seed := range uint64(10) {
		l := &powerLife{life: life{binary: binary, dir: t.TempDir(), seed: 2 * seed, rng: rand.New(rand.NewPCG(seed, 3)), oracle: driver.NewOracle()}}
		row := &torture.Row{}
		err := l.live(t, forgetfs, 1, row, "-lie")
		if row.Lost > 0 {
			return
		}
		t.Logf("seed %d: %v", seed, err) // what is left may be too odd to go on from
	}
	t.Error("ten disks that sync nothing have gone unnoticed")
}

// powerLife is one data directory on a forgetful disk.
type powerLife struct {
	life
	disk  *driver.Forgetful
	kills int    // processes that are killed before each cut
	root  string // the directory that is the bucket, where it has one of its own
}

func (l *powerLife) live(t *testing.T, forgetfs string, cuts int, row *torture.Row, flags ...string) error {
	ctx := t.Context()
	disk := mount(t, forgetfs, filepath.Join(l.dir, "disk"), flags...)
	defer disk.Close()
	l.disk = disk
	l.serve = &driver.Serve{Binary: l.binary, Data: filepath.Join(disk.Dir, "data"), Log: filepath.Join(l.dir, "log"), Config: filepath.Join(l.dir, "indelible.yaml")}
	config := "upload:\n  backoff_max: 500ms\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 300ms\n"
	if l.layout == "pack" {
		config += "layout: pack\npack: {max_age: 1s, max_records: 100}\n"
	}
	if err := os.WriteFile(l.serve.Config, []byte(config), 0o600); err != nil {
		return err
	}
	root := filepath.Join(l.serve.Data, "store")
	if l.seed%2 == 1 {
		bucket := fmt.Sprintf("power-%s-%d", l.layout, l.seed)
		root = filepath.Join(l.s3.Root, bucket)
		if err := os.Mkdir(root, 0o700); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(root) }()
		target, err := url.Parse(l.s3.Endpoint)
		if err != nil {
			return err
		}
		l.proxy = faultproxy.New(target, l.seed)
		if l.front, err = faultproxy.Listen("127.0.0.1:0", l.proxy); err != nil {
			return err
		}
		defer l.front.Close()
		l.serve.To = "s3://" + bucket
		l.serve.Env = []string{"AWS_ENDPOINT_URL_S3=http://" + l.front.Addr, "AWS_REGION=" + l.s3.Region, "AWS_ACCESS_KEY_ID=" + l.s3.Access, "AWS_SECRET_ACCESS_KEY=" + l.s3.Secret}
	}
	defer l.serve.Kill()
	for n := range cuts {
		if err := l.cycle(ctx, n); err != nil {
			return fmt.Errorf("cut %d: %w", n, err)
		}
	}
	row.Ran(cuts, 0)
	return l.count(ctx, row, root)
}

// cycle is one start, and its end by a power cut.
func (l *powerLife) cycle(ctx context.Context, n int) error {
	if l.front != nil { // the backlog grows through some lives, and shrinks in others
		if l.rng.IntN(2) == 0 {
			l.front.Refuse()
		} else if err := l.front.Accept(); err != nil {
			return err
		}
	}
	if err := l.killed(ctx, n); err != nil {
		return err
	}
	if err := l.serve.Launch(); err != nil {
		return err
	}
	if n > 0 && l.rng.IntN(6) == 0 { // while it recovers from the last cut
		time.Sleep(time.Duration(l.rng.IntN(80)) * time.Millisecond)
		return l.cut()
	}
	if err := l.serve.Ready(); err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	if l.kills > 0 {
		wg.Go(func() { _ = l.oracle.Retry(loading, l.serve.At.S3) })
	}
	for client := range killClients {
		rng := rand.New(rand.NewPCG(l.seed, uint64(n*killClients+client)+2))
		wg.Go(func() { l.oracle.Load(loading, l.serve.At.S3, l.serve.At.HTTP, fmt.Sprintf("n%d/c%d", n, client), rng) })
	}
	time.Sleep(time.Duration(20+l.rng.IntN(300)) * time.Millisecond)
	if l.rng.IntN(4) == 0 { // idle: what was acked is on its way to the bucket
		stop()
		wg.Wait()
		time.Sleep(time.Duration(l.rng.IntN(150)) * time.Millisecond)
	}
	err := l.cut()
	stop()
	wg.Wait()
	return err
}

// cut takes the power away, kills what ran, and gives it back.
func (l *powerLife) cut() error { return l.disk.CutPower(l.rng.Uint64(), l.serve.Kill) }

func buildForgetfs(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no power cuts of the real binary here: they need FUSE:", err)
	}
	program := filepath.Join(t.TempDir(), "forgetfs")
	if err := driver.BuildForgetfs(t.Context(), "../../..", program); err != nil {
		testserver.Missing(t, "forgetful file system", err)
	}
	return program
}

// mount skips the test where mounting is not allowed.
func mount(t *testing.T, program, dir string, flags ...string) *driver.Forgetful {
	t.Helper()
	f, err := driver.MountForgetful(program, dir, flags...)
	if err != nil {
		t.Skip("no power cuts of the real binary here: FUSE cannot be mounted:", err)
	}
	return f
}
