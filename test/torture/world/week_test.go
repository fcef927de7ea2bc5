package world

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/torture"
	"indelible/internal/upload"
)

// The reported week: a proxy of 1.37 M requests a day lost 124 records to answers of 503 and 500.
const (
	perDay     = 1_370_000
	transients = 124 // of a week, evenly spread
	flushEvery = 10 * time.Second
	senders    = 16 // puts at once, of a sender without a spool
)

// traffic is who sends what when: records are numbered.
type traffic struct {
	sizes  [4096]int
	bodies []byte
}

func newTraffic() *traffic {
	rng := rand.New(rand.NewPCG(1, 1))
	w := &traffic{bodies: make([]byte, 2<<20)}
	for i := range w.bodies {
		w.bodies[i] = byte(rng.Uint32())
	}
	for i := range w.sizes { // log-normal: half are below 3 KiB, one of a thousand is above 90 KiB
		w.sizes[i] = min(int(3072*math.Exp(1.1*rng.NormFloat64())), 1<<20)
	}
	return w
}

func (w *traffic) body(n int) []byte {
	at := n * 61 % (1 << 20)
	return w.bodies[at : at+w.sizes[n*2654435761>>7%len(w.sizes)]]
}

// sent is how many records were sent by a time after the first midnight: a
// quarter of the mean by night, nearly twice as much in the early afternoon.
func (w *traffic) sent(after time.Duration) int {
	day, x := math.Modf(after.Hours() / 24)
	const swing, phase = 0.8 / (2 * math.Pi), 2 * math.Pi * 8 / 24
	return int(perDay * (day + x - swing*(math.Cos(2*math.Pi*x-phase)-math.Cos(phase))))
}

func key(n int) string { return strconv.Itoa(n) + ".json" }

// s3 is a bucket that keeps of each object that it was there once, and whole. It fails by schedule.
type s3 struct {
	traffic *traffic
	begin   time.Time
	days    int
	outage  time.Duration // from the beginning, nothing is answered

	mu         sync.Mutex
	rng        *rand.Rand    // guarded by mu
	failed     int           // transients that have shown; guarded by mu
	window     map[int64]int // puts in 100 ms of a fresh prefix; guarded by mu
	stored     []uint64      // bits; guarded by mu
	delay      []float32     // seconds from the time it was sent; guarded by mu
	puts       int           // guarded by mu
	refused    int           // guarded by mu
	duplicated int           // guarded by mu
	corrupted  int           // guarded by mu
}

func newS3(w *traffic, begin time.Time, days, records int) *s3 {
	return &s3{traffic: w, begin: begin, days: days, rng: rand.New(rand.NewPCG(2, 2)), window: map[int64]int{},
		stored: make([]uint64, records/64+1), delay: make([]float32, records)}
}

// fate is what a put at this time comes to.
func (b *s3) fate(now time.Time) (apply bool, takes time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	takes = 20*time.Millisecond + time.Duration(b.rng.IntN(40_000_000))
	fail := func(status int, class store.Class) error {
		b.refused++
		return &store.Error{Op: "put", Status: status, Class: class, Err: errors.New("by schedule")}
	}
	after := now.Sub(b.begin)
	if after < b.outage {
		return false, takes, fail(0, store.Unreachable)
	}
	if due := int(after * time.Duration(transients) / (7 * 24 * time.Hour)); b.outage == 0 && b.failed < due {
		b.failed = due
		if due%2 == 0 {
			return due%4 == 0, takes, fail(500, store.Ambiguous) // of half of these the object is there
		}
		return false, takes, fail(503, store.Throttled)
	}
	// A prefix of this day alone begins on one partition, which takes 300 puts a second
	// for two minutes, and none for two seconds while it splits.
	switch of := after % (24 * time.Hour); {
	case b.outage == 0 && of >= 60*time.Second && of < 62*time.Second:
		return false, takes, fail(503, store.Throttled)
	case b.outage == 0 && of < 2*time.Minute:
		slot := int64(after / (100 * time.Millisecond))
		if b.window[slot]++; b.window[slot] > 30 {
			return false, takes, fail(503, store.Throttled)
		}
	}
	return true, takes, nil
}

// keep notes that record n is there. The condition is that nothing is.
func (b *s3) keep(n int, body []byte, sent, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stored[n/64]&(1<<(n%64)) != 0 {
		return &store.Error{Op: "put", Status: 412, Class: store.Exists, Err: errors.New("condition")}
	}
	if !bytes.Equal(body, b.traffic.body(n)) {
		b.corrupted++
	}
	b.stored[n/64] |= 1 << (n % 64)
	b.delay[n] = float32(now.Sub(sent).Seconds())
	return nil
}

func (b *s3) lost(records int) int {
	n := 0
	for i := range records {
		if b.stored[i/64]&(1<<(i%64)) == 0 {
			n++
		}
	}
	return n
}

func (b *s3) Put(ctx context.Context, o store.Object) (store.Info, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(o.Key, ".json"))
	if err != nil || n >= len(b.delay) {
		b.mu.Lock()
		b.duplicated++ // another name
		b.mu.Unlock()
		return store.Info{}, fmt.Errorf("what is %q?", o.Key)
	}
	body, err := io.ReadAll(o.Body)
	if err != nil {
		return store.Info{}, err
	}
	apply, takes, fault := b.fate(time.Now())
	if err := wait(ctx, takes); err != nil {
		return store.Info{}, err
	}
	if apply {
		sent, err := time.Parse(time.RFC3339Nano, o.Meta[layout.MetaTime])
		if err != nil {
			return store.Info{}, err
		}
		if err := b.keep(n, body, sent, time.Now()); err != nil {
			return store.Info{}, err
		}
	}
	return store.Info{Key: o.Key, Size: o.Size, Digest: o.Digest, ETag: "e"}, fault
}

func (b *s3) Head(ctx context.Context, key string, _ store.GetOptions) (store.Info, error) {
	if err := wait(ctx, 15*time.Millisecond); err != nil {
		return store.Info{}, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(key, ".json"))
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || b.stored[n/64]&(1<<(n%64)) == 0 {
		return store.Info{}, &store.Error{Op: "head", Key: key, Status: 404, Class: store.NotFound, Err: errors.New("no such key")}
	}
	body := b.traffic.body(n)
	return store.Info{Key: key, Size: int64(len(body)), Digest: sha256.Sum256(body), ETag: "e"}, nil
}

func (b *s3) Get(context.Context, string, store.GetOptions) (io.ReadCloser, store.Info, error) {
	return nil, store.Info{}, errors.New("nobody should have to read here")
}

func (b *s3) List(context.Context, store.ListOptions) iter.Seq2[store.Info, error] {
	return func(func(store.Info, error) bool) {}
}

// direct is a sender without a spool: each flush goes through its workers, a put that fails is
// tried again after these waits, and then given up.
func (b *s3) direct(days int, waits ...time.Duration) {
	var free [senders]time.Time
	n := 0
	for t := flushEvery; t <= time.Duration(days)*24*time.Hour; t += flushEvery {
		flush := b.begin.Add(t)
		for end := b.traffic.sent(t); n < end; n++ {
			w := 0
			for i := range free {
				if free[i].Before(free[w]) {
					w = i
				}
			}
			now := free[w]
			if now.Before(flush) {
				now = flush
			}
			for attempt := 0; ; attempt++ {
				apply, takes, err := b.fate(now)
				now = now.Add(takes)
				if apply {
					_ = b.keep(n, b.traffic.body(n), flush, now) // it may be there by a put that was answered with 500
				}
				if err == nil || attempt == len(waits) {
					break
				}
				now = now.Add(waits[attempt])
			}
			free[w] = now
		}
	}
}

// spooled sends everything through the spool and the uploader.
func (b *s3) spooled(t *testing.T, days int) {
	sp, err := spool.Open(crashdisk.New(), spool.Options{Log: name, SegmentBytes: 512 << 10, ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	u := upload.New(upload.Options{Source: sp, Store: b, Layout: objects, Log: name})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := u.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	n := 0
	for at := flushEvery; at <= time.Duration(days)*24*time.Hour; at += flushEvery {
		_ = wait(ctx, time.Until(b.begin.Add(at)))
		for end := b.traffic.sent(at); n < end; {
			batch := make([]record.Record, min(senders, end-n))
			for i := range batch {
				body := b.traffic.body(n + i)
				batch[i] = record.Record{Door: "s3", Bucket: "audit", Key: key(n + i), Body: bytes.NewReader(body), Size: int64(len(body))}
			}
			if _, err := sp.AppendAll(ctx, batch); err != nil {
				t.Fatalf("records from %d on were not taken: %v", n, err)
			}
			n += len(batch)
		}
	}
	if err := u.Drain(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	running.Wait()
	if err := sp.Close(); err != nil {
		t.Error(err)
	}
}

// line is what the table says of one way to send.
func (b *s3) line(records int) string {
	d := b.delay[:records]
	slices.Sort(d)
	q := func(p float64) time.Duration {
		return time.Duration(float64(d[min(len(d)-1, int(p*float64(len(d))))]) * float64(time.Second)).Round(time.Millisecond)
	}
	return fmt.Sprintf("%.4f puts a record, %d answers of 503 or 500, %d lost, delay %v / %v / %v (half, 99.99 %%, longest)", float64(b.puts)/float64(records), b.refused, b.lost(records), q(0.5), q(0.9999), q(1))
}

// TestTortureWeek sends the reported week thrice: with one attempt, with three, and through
// the spool, in virtual time.
func TestTortureWeek(t *testing.T) {
	torture.NeedsShare(t)
	days := torture.Share(0, 1, 7)
	records := days * perDay
	w := newTraffic()
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where synctest begins
	var lines []string
	for _, waits := range [][]time.Duration{nil, {100 * time.Millisecond, 200 * time.Millisecond}} {
		b := newS3(w, begin, days, records)
		b.direct(days, waits...)
		lines = append(lines, fmt.Sprintf("%d attempts: %s", len(waits)+1, b.line(records)))
		if b.lost(records) == 0 {
			t.Error("a sender without a spool lost nothing: this shows nothing")
		}
	}
	row := torture.Report(t, "the reported week", "records")
	synctest.Test(t, func(t *testing.T) {
		b := newS3(w, begin, days, records)
		b.spooled(t, days)
		row.Ran(records, records)
		row.Count(b.lost(records), b.duplicated, b.corrupted)
		lines = append(lines, "through the spool: "+b.line(records))
	})
	row.Note = strings.Join(lines, "; ")
}
