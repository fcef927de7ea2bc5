package process

import (
	"context"
	"errors"
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

// TestTortureReads has every read of the spool fail for ten seconds to a minute, or take half
// a second, while a backlog is being delivered and more comes in; in every other life the daemon is killed
// meanwhile, and started until it starts. Nothing is lost or taken for damaged, and everything is
// delivered once reads work again.
func TestTortureReads(t *testing.T) {
	torture.NeedsShare(t)
	lives, most := torture.Share(0, 2, 60), torture.Share(0, 10, 60)
	row := torture.Report(t, "real binary, reads of the spool fail", "outages")
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	s3 := testserver.Versitygw(t)
	seeds := torture.Seeds(lives)
	var wg sync.WaitGroup
	slots := make(chan struct{}, killLanes) // they wait more than they work
	for _, seed := range seeds {
		slots <- struct{}{}
		l := newAilingLife(t, binary, forgetfs, s3, "reads", seed)
		wg.Go(func() {
			defer func() { l.close(); <-slots }()
			if err := l.blind(t.Context(), row, most); err != nil {
				t.Errorf("seed %d: %v", seed, err)
				row.FailedAt(seed)
			}
		})
	}
	wg.Wait()
}

// TestTortureFullDisk fills the disk to the last byte while a backlog waits, and kills the
// daemon: it starts on that disk, delivers and releases the backlog, and takes records again
// once there is room.
func TestTortureFullDisk(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "real binary, not one byte free", "full disks")
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	s3 := testserver.Versitygw(t)
	for _, seed := range torture.Seeds(torture.Share(0, 2, 40)) {
		l := newAilingLife(t, binary, forgetfs, s3, "full", seed)
		err := l.stuffed(t.Context(), row)
		l.close()
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			row.FailedAt(seed)
			return
		}
	}
}

// newAilingLife is a life on a disk that can be told to ail, with a bucket of its own behind a proxy.
func newAilingLife(t *testing.T, binary, forgetfs string, s3 *testserver.Server, name string, seed uint64) *powerLife {
	t.Helper()
	dir := t.TempDir()
	l := &powerLife{life: life{binary: binary, s3: s3, dir: dir, seed: seed, rng: rand.New(rand.NewPCG(seed, 8)), oracle: driver.NewOracle()}}
	l.disk = mount(t, forgetfs, filepath.Join(dir, "disk"))
	bucket := fmt.Sprintf("%s-%d", name, seed)
	l.root = filepath.Join(s3.Root, bucket)
	if err := os.Mkdir(l.root, 0o700); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l.proxy = faultproxy.New(target, seed)
	if l.front, err = faultproxy.Listen("127.0.0.1:0", l.proxy); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("upload:\n  backoff_max: 500ms\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 300ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.serve = &driver.Serve{
		Binary: binary, Data: filepath.Join(l.disk.Dir, "data"), To: "s3://" + bucket, Config: config, Log: filepath.Join(dir, "log"),
		Env: []string{"AWS_ENDPOINT_URL_S3=http://" + l.front.Addr, "AWS_REGION=" + s3.Region, "AWS_ACCESS_KEY_ID=" + s3.Access, "AWS_SECRET_ACCESS_KEY=" + s3.Secret},
	}
	return l
}

func (l *powerLife) close() {
	l.serve.Kill()
	l.front.Close()
	l.disk.Close()
	_ = os.RemoveAll(l.root)
}

// backlog starts the daemon and has clients send for a while with nothing answering at the destination.
func (l *powerLife) backlog(ctx context.Context, name string, while time.Duration) error {
	if err := l.serve.Start(); err != nil {
		return err
	}
	l.load(ctx, "first", 1, 500*time.Millisecond, func() {}) // delivered in part: the log is there
	l.front.Refuse()
	l.load(ctx, name, 1000, while, func() {})
	return nil
}

func (l *powerLife) blind(ctx context.Context, row *torture.Row, most int) error {
	if err := l.backlog(ctx, "backlog", 2*time.Second); err != nil {
		return err
	}
	what := []string{"EIO", "ESTALE", "ETIMEDOUT", "500ms"}[l.seed%4]
	if err := l.disk.Tell("reads " + what); err != nil {
		return err
	}
	end := time.Now().Add(time.Duration(10+l.rng.IntN(most-9)) * time.Second)
	if err := l.front.Accept(); err != nil {
		return err
	}
	l.load(ctx, "meanwhile", 2000, time.Until(end)/2, func() {})
	if l.rng.IntN(2) == 0 {
		l.serve.Kill()
		if err := l.serve.Launch(); err != nil {
			return err
		}
		for time.Now().Before(end) { // it may refuse to start on a disk that it cannot read, and end
			if l.serve.Wait(time.Second) {
				if err := l.serve.Launch(); err != nil {
					return err
				}
			}
		}
		if err := l.disk.Tell("reads ok"); err != nil {
			return err
		}
		if l.serve.Wait(100 * time.Millisecond) {
			if err := l.serve.Launch(); err != nil {
				return err
			}
		}
		if err := l.serve.Ready(); err != nil {
			return fmt.Errorf("once reads work again: %w", err)
		}
	}
	time.Sleep(time.Until(end))
	if err := l.disk.Tell("reads ok"); err != nil {
		return err
	}
	row.Ran(1, 0)
	return settle(ctx, l.serve, l.oracle, row, l.root)
}

func (l *powerLife) stuffed(ctx context.Context, row *torture.Row) error {
	if err := l.backlog(ctx, "backlog", time.Second); err != nil {
		return err
	}
	if err := l.disk.Tell("full " + []string{"ENOSPC", "EDQUOT"}[l.seed%2]); err != nil {
		return err
	}
	l.load(ctx, "full", 2000, time.Second, l.serve.Kill)
	if err := l.front.Accept(); err != nil {
		return err
	}
	if err := errors.Join(l.serve.Launch(), l.serve.Up()); err != nil {
		return fmt.Errorf("start with not one byte free: %w", err)
	}
	if err := l.serve.Delivered(ctx, 90*time.Second); err != nil {
		return fmt.Errorf("drain with not one byte free: %w", err)
	}
	if err := l.disk.Tell("full ok"); err != nil {
		return err
	}
	row.Ran(1, 0)
	return settle(ctx, l.serve, l.oracle, row, l.root)
}
