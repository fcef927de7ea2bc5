// Package world runs the product in one process and in virtual time: a door, the
// spool, the uploader and the transparency log over a disk that forgets and a store that fails.
package world

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
	"indelible/internal/upload"
)

const (
	lives   = 7 // of one world: each ends with the power cut in the middle of a call of the disk
	clients = 3
	name    = "world"
)

func options() spool.Options {
	// Filters of two segments: what is sent again is sometimes a record of its own.
	return spool.Options{Log: name, SegmentBytes: 12 << 10, InlineBytes: 2 << 10, ReserveBytes: 1, FilterBytes: 128}
}

// TestTortureWorld lets the product live and die: at every call that changes the disk the disk
// is looked at as a power cut would leave it, with all, half or none of what was not
// synced, and every record that a client has an ack for at that moment is in the spool or in the
// store, byte for byte. One of these cuts per life is real: the next life begins with its disk. In the end every
// acked record is in the store once, and the verifier agrees.
//
// The seed decides records, faults, latencies and cuts; in which order goroutines run that are ready
// at the same virtual instant, it does not.
func TestTortureWorld(t *testing.T) {
	row := torture.Report(t, "simulated world, power cut at every disk call", "crash points")
	eachSeed(t, row, torture.Share(300, 3_000, 1_000_000), (*world).run)
}

// eachSeed has a world of each seed live in virtual time, until there were so many runs.
// synctest.Test does not return where its test failed: the seed is noted on the way out.
func eachSeed(t *testing.T, row *torture.Row, want int, live func(*world)) {
	for _, seed := range torture.Seeds(want) {
		func() {
			defer func() {
				if t.Failed() {
					row.FailedAt(seed)
					t.Logf("seed %d", seed)
				}
			}()
			synctest.Test(t, func(t *testing.T) { live(newWorld(t, row, seed)) })
		}()
		if row.Runs >= int64(want) {
			break
		}
	}
}

// datum is one version of a key.
type datum struct {
	key     string
	version int
}

func (r datum) body() []byte { return driver.Body(r.key, r.version) }

type world struct {
	t      *testing.T
	row    *torture.Row
	rng    *rand.Rand // of the goroutine that runs the world
	bucket *bucket
	disk   *crashdisk.Disk

	logDisk *faultdisk.Disk // where the log's own files are, where that is another one than the spool's

	mu     sync.Mutex
	sent   map[datum]bool   // and whether it was acked; guarded by mu
	given  map[string]datum // which record got a number with an ack; guarded by mu
	dead   bool             // the life under way has ended; guarded by mu
	points int              // guarded by mu
}

func newWorld(t *testing.T, row *torture.Row, seed uint64) *world {
	return &world{t: t, row: row, rng: rand.New(rand.NewPCG(seed, 1)), bucket: newBucket(seed), disk: crashdisk.New(), sent: map[datum]bool{}, given: map[string]datum{}}
}

func (w *world) run() {
	for n := range lives {
		w.live(n)
		if w.t.Failed() {
			return
		}
	}
	w.end()
}

// parts are what one life is made of, as the daemon wires them.
type parts struct {
	spool    *spool.Spool
	door     http.Handler
	uploader *upload.Uploader
	ledger   *ledger
	stop     func() // ends the uploader
}

// begin opens everything over a disk, and starts the uploader. Once over is closed nothing
// that is begun reaches the store.
func (w *world) begin(fd *faultdisk.Disk, over <-chan struct{}) *parts {
	return w.wire(fd, w.bucket, options(), 5*time.Second, over)
}

func (w *world) wire(fd *faultdisk.Disk, st store.Store, o spool.Options, checkpointEvery time.Duration, over <-chan struct{}) *parts {
	p, err := w.open(fd, st, o, checkpointEvery, over)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// open is wire that tells what does not open.
func (w *world) open(fd *faultdisk.Disk, st store.Store, o spool.Options, checkpointEvery time.Duration, over <-chan struct{}) (*parts, error) {
	s, err := spool.Open(fd, o)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	logDisk := fd
	if w.logDisk != nil {
		logDisk = w.logDisk
	}
	keys, err := proof.OpenKeys(context.Background(), logDisk, proof.KeySource{Name: name})
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open the keys: %w", err)
	}
	objects, err := layout.Parse("")
	if err != nil {
		w.t.Fatal(err)
	}
	p := &parts{spool: s}
	bucket := life{st, over}
	p.ledger = &ledger{store: bucket, disk: logDisk, key: keys.Key}
	door, err := s3api.New(s3api.Options{Spool: s, Records: query.New(s, bucket, objects), Verifier: &sigv4.Verifier{Trust: true}})
	if err != nil {
		w.t.Fatal(err)
	}
	p.door = door
	rng := rand.New(rand.NewPCG(w.rng.Uint64(), 5))
	var mu sync.Mutex
	p.uploader = upload.New(upload.Options{
		Source: s, Store: bucket, Layout: objects, Ledger: p.ledger, Log: name,
		CheckpointEvery: checkpointEvery, AttemptTimeout: 10 * time.Second, DeferredEvery: 10 * time.Second,
		Jitter: func() float64 { mu.Lock(); defer mu.Unlock(); return rng.Float64() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.uploader.Run(ctx); err != nil && !w.isDead() {
			w.t.Error(err)
		}
	}()
	p.stop = func() { cancel(); <-done }
	return p, nil
}

// live is one life, from the opening of what the last one left to the power cut.
func (w *world) live(n int) {
	cutAt := 40 + w.rng.IntN(260) // the call of the disk at which it is
	seeds := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	var next *crashdisk.Disk
	over := make(chan struct{})
	var ready atomic.Bool
	calls := 0
	w.mu.Lock()
	w.dead = false
	w.mu.Unlock()
	fd := faultdisk.New(w.disk, nil)
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if !c.Op.Mutates() {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.dead {
			return nil
		}
		seed, percent := seeds.Uint64(), []int{0, 50, 100}[seeds.IntN(3)]
		cut := func() *crashdisk.Disk { return w.disk.Crash(rand.New(rand.NewPCG(seed, 3)), percent) }
		w.look(cut(), c)
		if calls++; calls >= cutAt && ready.Load() {
			w.dead, next = true, cut()
			close(over)
		}
		return nil
	})
	p := w.begin(fd, over) // it is closed at the very cut: a dead process sends nothing that it did not have on the disk
	ready.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	for c := range clients {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), 4))
		sending.Go(func() { w.client(ctx, p.door, rng, fmt.Sprintf("l%d/c%d", n, c)) })
	}
	select {
	case <-over:
	case <-time.After(10 * time.Minute): // little happened: the cut is now
		w.mu.Lock()
		if !w.dead {
			w.dead, next = true, w.disk.Crash(rand.New(rand.NewPCG(seeds.Uint64(), 3)), 50)
			close(over)
		}
		w.mu.Unlock()
	}
	cancel()
	p.stop()
	sending.Wait()
	_ = p.spool.Close() // of a dead process: nobody hears of it
	synctest.Wait()
	w.disk = next
	w.row.Ran(w.points, 0)
	w.points = 0
}

// look judges the disk that a power cut at this moment would leave. The caller holds w.mu.
func (w *world) look(d *crashdisk.Disk, c faultdisk.Call) {
	w.points++
	if w.t.Failed() {
		return // what went wrong once would be told at every further call
	}
	o := options()
	o.ReadOnly = w.points%4 != 0 // cheaper, and finds the same; what opening changes is looked at in every fourth
	s, err := spool.Open(d, o)
	if err != nil {
		w.t.Errorf("before %v: it does not open: %v", c, err)
		return
	}
	defer func() { _ = s.Close() }()
	there := map[datum]bool{}
	see := func(e record.Entry) {
		body, err := readAll(e)
		if err != nil {
			w.t.Errorf("before %v: record %d: %v", c, e.Seq, err)
			return
		}
		for version := range 2 {
			r := datum{e.Key, version}
			if _, sent := w.sent[r]; sent && bytes.Equal(body, r.body()) {
				there[r] = true
				return
			}
		}
		w.row.Count(0, 0, 1)
		w.t.Errorf("before %v: record %d holds what nobody sent", c, e.Seq)
	}
	for e, err := range s.Entries(context.Background(), 1) {
		if err != nil {
			w.t.Errorf("before %v: %v", c, err)
			continue
		}
		see(e)
	}
	for a, err := range s.Parked(context.Background()) {
		if err != nil {
			w.t.Errorf("before %v: %v", c, err)
			break
		}
		see(a.Entry)
	}
	for r, acked := range w.sent {
		if acked && !there[r] && !w.bucket.has(r.key, r.body()) {
			w.row.Count(1, 0, 0)
			w.t.Errorf("before %v: %s version %d was acked, and is neither in the spool nor in the store", c, r.key, r.version)
		}
	}
}

func readAll(e record.Entry) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(r)
	return b.Bytes(), errors.Join(err, r.Close())
}

// client sends records with pauses, now and then one again, at once or later, or other bytes under its key.
func (w *world) client(ctx context.Context, door http.Handler, rng *rand.Rand, dir string) {
	var all []datum
	for n := uint64(0); ctx.Err() == nil; n++ {
		size := 8 + rng.IntN(1500)
		if rng.IntN(10) == 0 {
			size = 3000 + rng.IntN(3000) // a body file
		}
		r := datum{driver.Name(dir, n, size), 0}
		_ = w.put(ctx, door, r) // what is not acked is sent again in the end
		all = append(all, r)
		switch rng.IntN(8) {
		case 0:
			_ = w.put(ctx, door, r)
		case 1:
			all = append(all, datum{r.key, 1})
			_ = w.put(ctx, door, all[len(all)-1])
		case 2:
			_ = w.put(ctx, door, all[rng.IntN(len(all))])
		}
		_ = wait(ctx, time.Duration(rng.IntN(4_000_000_000)))
	}
}

// put sends one record through the door and notes the ack, if it comes while the process lives.
func (w *world) put(ctx context.Context, door http.Handler, r datum) error {
	w.mu.Lock()
	if !w.sent[r] {
		w.sent[r] = false
	}
	w.mu.Unlock()
	seq, err := send(ctx, door, r.key, r.body())
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil
	}
	w.sent[r] = true
	if other, ok := w.given[seq]; ok && other != r {
		w.t.Errorf("number %s was given to %s version %d and to %s version %d", seq, other.key, other.version, r.key, r.version)
	}
	w.given[seq] = r
	return nil
}

func (w *world) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// send puts a record through the door, and fails unless the answer is an ack of these
// bytes. It returns the number that the record got.
func send(ctx context.Context, door http.Handler, key string, body []byte) (seq string, err error) {
	req := httptest.NewRequestWithContext(ctx, http.MethodPut, "http://door/audit/"+key, bytes.NewReader(body))
	answer := httptest.NewRecorder()
	door.ServeHTTP(answer, req)
	receipt := record.Digest(sha256.Sum256(body)).String()
	given := ""
	for name, values := range answer.Header() {
		if strings.EqualFold(name, "x-indelible-receipt") { // spelled as S3's are, which Get does not find
			given = strings.Join(values, "")
		}
	}
	if answer.Code != http.StatusOK || !strings.HasSuffix(given, receipt) {
		return "", fmt.Errorf("%s: %d %v %s", key, answer.Code, answer.Header(), answer.Body)
	}
	_, seq, _ = strings.Cut(strings.TrimSuffix(given, "/"+receipt), "/")
	return seq, nil
}

// end has everything delivered with nothing going wrong any more, and counts.
func (w *world) end() {
	w.mu.Lock()
	w.dead = false
	w.mu.Unlock()
	w.bucket.mu.Lock()
	w.bucket.calm = true
	w.bucket.mu.Unlock()
	p := w.begin(faultdisk.New(w.disk, nil), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Hour)
	defer cancel()
	for r, acked := range w.sent {
		if acked {
			continue
		}
		if err := w.put(ctx, p.door, r); err != nil {
			w.t.Errorf("in the end: %v", err)
		}
	}
	if err := p.uploader.Drain(ctx); err != nil {
		w.t.Errorf("drain: %v", err)
	}
	for st := p.spool.Stats(); st.Deferred+st.Quarantined > 0 && ctx.Err() == nil; st = p.spool.Stats() {
		_ = wait(ctx, time.Minute)
	}
	for p.ledger.log.Load() == nil && ctx.Err() == nil { // where all was released before, Drain had nothing to wait for
		_ = wait(ctx, time.Second)
	}
	p.stop()
	if log := p.ledger.log.Load(); log != nil {
		if err := log.Stop(ctx); err != nil {
			w.t.Errorf("the last checkpoint: %v", err)
		}
		w.count(ctx, log.Public())
	} else {
		w.t.Error("the log was never opened")
	}
	if err := p.spool.Close(); err != nil {
		w.t.Error(err)
	}
}

// count compares the store with what was sent, and has the verifier judge the log.
func (w *world) count(ctx context.Context, vkey string) {
	found := map[datum]string{}
	w.bucket.mu.Lock()
	for key, o := range w.bucket.objects {
		if strings.HasPrefix(key, "_indelible/") {
			continue
		}
		r := datum{key: key}
		if at := strings.LastIndexByte(key, '~'); at > 0 {
			r.key = key[:at] + ".json"
		}
		for r.version = 0; r.version < 2 && !bytes.Equal(o.body, r.body()); r.version++ {
		}
		switch _, sent := w.sent[r]; {
		case !sent:
			w.row.Count(0, 0, 1)
			w.t.Errorf("%s holds what nobody sent", key)
		case found[r] != "":
			w.row.Count(0, 1, 0)
			w.t.Errorf("%s version %d is there as %s and as %s", r.key, r.version, found[r], key)
		}
		found[r] = key
	}
	w.bucket.mu.Unlock()
	for r := range w.sent {
		if found[r] == "" {
			w.row.Count(1, 0, 0)
			w.t.Errorf("%s version %d is not in the store", r.key, r.version)
		}
	}
	w.row.Ran(0, len(w.sent))
	report, err := proof.Verify(ctx, w.bucket, "", vkey, proof.VerifyOptions{})
	if err != nil || !report.OK() || report.Records < int64(len(w.sent)) || report.Extras > 0 {
		w.t.Errorf("verify: %v, %+v", err, report)
	}
}

// ledger opens the log when the store first answers, as the daemon does.
type ledger struct {
	store store.Store
	disk  *faultdisk.Disk
	key   proof.Key
	log   atomic.Pointer[proof.Log]
}

func (l *ledger) with(ctx context.Context, do func(*proof.Log) error) error {
	log := l.log.Load()
	if log == nil {
		var err error
		if log, err = proof.Open(ctx, l.store, l.key, proof.Options{Disk: l.disk}); err != nil {
			return err
		}
		if err := log.Start("world", "", ""); err != nil {
			return err
		}
		l.log.Store(log)
	}
	return do(log)
}

func (l *ledger) Ready(ctx context.Context) error {
	return l.with(ctx, func(*proof.Log) error { return nil })
}

func (l *ledger) Add(ctx context.Context, outcomes ...record.Outcome) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Add(ctx, outcomes...) })
}

func (l *ledger) Gap(ctx context.Context, gap record.GapError) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Gap(ctx, gap) })
}

func (l *ledger) Checkpoint(ctx context.Context) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Checkpoint(ctx) })
}
