// Package process tortures the real binary: it kills it, fails its system calls
// and its disk, cuts its power, and besieges and overloads it.
package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const (
	killLanes   = 4  // daemons at once, each with a data directory and a bucket of its own
	killClients = 6  // of each daemon
	killsOfLife = 25 // kills until a data directory is drained, counted and begun again
)

// TestTortureKill kills the daemon with SIGKILL at random moments - as it starts,
// under load, idle, and as it stops - while S3 goes wrong in every way that we know, and
// counts in the end: what was acked is in the bucket once, byte for byte, and verify agrees.
// The seed decides loads, faults and moments; how far the daemon has got by then, the machine.
func TestTortureKill(t *testing.T) {
	torture.NeedsShare(t)
	killAll(t, "object", torture.Share(25, 50, 10_000), torture.Report(t, "real binary, kill -9, failing S3", "kills"))
}

// TestTortureKillPacks is the same while records are packed.
func TestTortureKillPacks(t *testing.T) {
	torture.NeedsShare(t)
	killAll(t, "pack", torture.Share(25, 25, 1000), torture.Report(t, "real binary, kill -9 while packing, failing S3", "kills"))
}

func killAll(t *testing.T, layout string, kills int, row *torture.Row) {
	binary := driver.Build(t)
	s3 := testserver.Versitygw(t)
	seeds := torture.Seeds(max(1, (kills+killsOfLife-1)/killsOfLife))
	next := make(chan uint64)
	var faults sync.Map
	var wg sync.WaitGroup
	for range killLanes {
		wg.Go(func() {
			for seed := range next {
				l := &life{layout: layout, binary: binary, s3: s3, dir: t.TempDir(), seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), oracle: driver.NewOracle(), faults: &faults}
				if err := l.live(t.Context(), row); err != nil {
					t.Errorf("seed %d: %v", seed, err)
					row.FailedAt(seed)
				}
			}
		})
	}
	for _, seed := range seeds {
		if t.Failed() {
			break
		}
		next <- seed
	}
	close(next)
	wg.Wait()
	shown := 0
	for _, f := range faultproxy.Faults() {
		if _, ok := faults.Load(f); ok {
			shown++
		} else if len(seeds) > 1 {
			t.Logf("fault %s did not show", f)
		}
	}
	row.Note = fmt.Sprintf("%d of %d kinds of fault shown by S3", shown, len(faultproxy.Faults()))
}

// life is one data directory, from its first start to the count at its end.
type life struct {
	layout string
	binary string
	s3     *testserver.Server
	dir    string
	seed   uint64
	rng    *rand.Rand
	oracle *driver.Oracle
	faults *sync.Map

	serve *driver.Serve
	proxy *faultproxy.Proxy
	front *faultproxy.Server
}

func (l *life) live(ctx context.Context, row *torture.Row) error {
	bucket := fmt.Sprintf("kill-%s-%d", l.layout, l.seed)
	root := filepath.Join(l.s3.Root, bucket)
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
	config := filepath.Join(l.dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("upload:\n  attempt_timeout: 1s\n  backoff_max: 500ms\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 300ms\npack: {max_age: 1s, max_records: 100}\nlayout: "+l.layout+"\n"), 0o600); err != nil {
		return err
	}
	l.serve = &driver.Serve{
		Binary: l.binary, Data: filepath.Join(l.dir, "data"), To: "s3://" + bucket, Config: config, Log: filepath.Join(l.dir, "log"),
		Env: []string{"AWS_ENDPOINT_URL_S3=http://" + l.front.Addr, "AWS_REGION=" + l.s3.Region, "AWS_ACCESS_KEY_ID=" + l.s3.Access, "AWS_SECRET_ACCESS_KEY=" + l.s3.Secret},
	}
	defer l.serve.Kill()
	kills := 0
	for kills < killsOfLife && ctx.Err() == nil {
		n, err := l.cycle(ctx, kills)
		if err != nil {
			return err
		}
		kills += n
	}
	for f := range l.proxy.Injected() {
		l.faults.Store(f, true)
	}
	row.Ran(kills, 0)
	return l.count(ctx, row, root)
}

// cycle is one start and its end by SIGKILL.
func (l *life) cycle(ctx context.Context, n int) (int, error) {
	l.proxy.Set(l.rules()...)
	if l.rng.IntN(8) == 0 {
		l.front.Refuse()
		l.faults.Store(faultproxy.Refused, true)
	} else if err := l.front.Accept(); err != nil {
		return 0, err
	}
	if err := l.serve.Launch(); err != nil {
		return 0, err
	}
	if l.rng.IntN(6) == 0 { // as it starts
		time.Sleep(time.Duration(l.rng.IntN(60)) * time.Millisecond)
		l.serve.Kill()
		return 1, nil
	}
	if err := l.serve.Ready(); err != nil {
		return 0, err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for client := range killClients {
		rng := rand.New(rand.NewPCG(l.seed, uint64(n*killClients+client)+2))
		wg.Go(func() { l.oracle.Load(loading, l.serve.At.S3, l.serve.At.HTTP, fmt.Sprintf("n%d/c%d", n, client), rng) })
	}
	time.Sleep(time.Duration(l.rng.IntN(150)) * time.Millisecond)
	switch l.rng.IntN(4) {
	case 0: // idle: what was acked is on its way to the bucket
		stop()
		wg.Wait()
		time.Sleep(time.Duration(l.rng.IntN(150)) * time.Millisecond)
	case 1: // as it stops
		if err := l.serve.Term(); err != nil {
			return 0, err
		}
		time.Sleep(time.Duration(l.rng.IntN(400)) * time.Millisecond)
	}
	l.serve.Kill()
	stop()
	wg.Wait()
	return 1, nil
}

// rules are a draw of what goes wrong at S3 for a while: three faults at most, of all there are.
func (l *life) rules() []faultproxy.Rule {
	if l.rng.IntN(5) == 0 {
		return nil
	}
	all := faultproxy.Faults()
	var rules []faultproxy.Rule
	for range 1 + l.rng.IntN(3) {
		f := all[l.rng.IntN(len(all))]
		if poison(f) {
			rules = append(rules, faultproxy.Rule{Fault: f, Count: 2})
			continue
		}
		r := faultproxy.Rule{Fault: f, Percent: []float64{5, 30, 80}[l.rng.IntN(3)], Delay: 200 * time.Millisecond}
		if l.rng.IntN(3) == 0 {
			r.Methods = []string{"*"}
		}
		rules = append(rules, r)
	}
	return rules
}

// poison faults speak of the record itself, which is quarantined for it, and delivered by redrive.
func poison(f faultproxy.Fault) bool {
	switch f {
	case faultproxy.TooLarge, faultproxy.KeyTooLong, faultproxy.MetaTooLarge, faultproxy.InvalidArgument:
		return true
	}
	return false
}

// count has everything delivered, and compares.
func (l *life) count(ctx context.Context, row *torture.Row, root string) error {
	if l.front != nil {
		l.proxy.Set()
		if err := l.front.Accept(); err != nil {
			return err
		}
	}
	if err := l.serve.Start(); err != nil {
		return err
	}
	return settle(ctx, l.serve, l.oracle, row, root)
}

// settle has what is not acked sent again, waits until everything is in the
// bucket and proven, stops the daemon in order, and compares the bucket with what was acked; verify has to agree.
func settle(ctx context.Context, s *driver.Serve, o *driver.Oracle, row *torture.Row, root string) error {
	if err := o.Retry(ctx, s.At.S3); err != nil {
		return err
	}
	if _, err := s.Run(ctx, "redrive"); err != nil {
		return err
	}
	if err := s.Proven(ctx, 90*time.Second); err != nil {
		return err
	}
	st, err := s.Status(ctx)
	if err != nil {
		return err
	}
	var told error
	if st.Quarantined != 0 || st.Gaps != 0 {
		told = fmt.Errorf("%d records are quarantined, %d gaps", st.Quarantined, st.Gaps)
	}
	if err := s.Stop(); err != nil {
		return errors.Join(told, err)
	}
	f, err := o.Check(root)
	if err != nil {
		return errors.Join(told, err)
	}
	row.Ran(0, o.Acked())
	row.Count(f.Lost, f.Duplicated, f.Corrupted)
	if err := errors.Join(told, f.Err()); err != nil {
		return err
	}
	if err := unhurried(s.Config); err != nil {
		return err
	}
	report, err := s.Run(ctx, "verify", "--json")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, report)
	}
	var said struct {
		Extra []string `json:"extra"`
	}
	if err := json.Unmarshal(report, &said); err != nil {
		return fmt.Errorf("%w\n%s", err, report)
	}
	for _, key := range said.Extra {
		if strings.HasSuffix(key, ".parquet") { // its rows are in others, or are objects
			return fmt.Errorf("a pack that no leaf names: %s", key)
		}
	}
	return nil
}

// unhurried gives each request the time that it has by default: what hurries the uploader, for the faults of its S3, would
// have verify take a busy machine for a server that does not answer.
func unhurried(config string) error {
	b, err := os.ReadFile(config)
	if err != nil || !bytes.Contains(b, []byte("attempt_timeout: 1s")) { // others may read the file meanwhile
		return err
	}
	return os.WriteFile(config, bytes.ReplaceAll(b, []byte("attempt_timeout: 1s"), []byte("attempt_timeout: 30s")), 0o600)
}
