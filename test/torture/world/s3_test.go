package world

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"indelible/internal/layout"
	"indelible/internal/store"
)

// s3 is a bucket that keeps of each object that it was there once, and whole. It fails by schedule.
type s3 struct {
	traffic *traffic
	begin   time.Time
	days    int
	outage  time.Duration // from the beginning, nothing is answered

	log *bucket // what is not a record's

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
	log := newBucket(1)
	log.calm = true
	return &s3{log: log, traffic: w, begin: begin, days: days, rng: rand.New(rand.NewPCG(2, 2)), window: map[int64]int{},
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

// number is which record has a key, and whether that is one.
func (b *s3) number(key string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSuffix(key, ".json"))
	return n, err == nil && n < len(b.delay)
}

func (b *s3) Put(ctx context.Context, o store.Object) (store.Info, error) {
	n, ok := b.number(o.Key)
	apply, takes, fault := b.fate(time.Now())
	if err := wait(ctx, takes); err != nil {
		return store.Info{}, err
	}
	if !ok {
		if !strings.HasPrefix(o.Key, "_indelible/") {
			b.mu.Lock()
			b.duplicated++ // another name
			b.mu.Unlock()
		}
		if !apply {
			return store.Info{}, fault
		}
		return b.log.Put(ctx, o)
	}
	body, err := io.ReadAll(o.Body)
	if err != nil {
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

func (b *s3) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	n, ok := b.number(key)
	if !ok {
		return b.log.Get(ctx, key, o)
	}
	if err := wait(ctx, 15*time.Millisecond); err != nil {
		return nil, store.Info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stored[n/64]&(1<<(n%64)) == 0 {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Status: 404, Class: store.NotFound, Err: errors.New("no such key")}
	}
	body := b.traffic.body(n)
	return io.NopCloser(bytes.NewReader(body)), store.Info{Key: key, Size: int64(len(body)), Digest: sha256.Sum256(body), ETag: "e"}, nil
}

func (b *s3) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	_, info, err := b.Get(ctx, key, o)
	return info, err
}

func (b *s3) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return b.log.List(ctx, o)
}
