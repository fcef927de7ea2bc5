package world

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"indelible/internal/store"
)

// bucket is an object store in memory that survives every crash, and goes wrong by its seed:
// refusals of every class, with the effect and without, slow answers and none.
type bucket struct {
	mu      sync.Mutex
	rng     *rand.Rand // guarded by mu
	objects map[string]object
	calm    bool      // nothing goes wrong
	until   time.Time // of an outage; guarded by mu
}

type object struct {
	info store.Info
	body []byte
}

func newBucket(seed uint64) *bucket {
	return &bucket{rng: rand.New(rand.NewPCG(seed, 7)), objects: map[string]object{}}
}

// fate draws what becomes of a call: whether it takes effect, what the caller is told, and how long it takes.
func (b *bucket) fate(op, key string) (apply bool, takes time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	takes = time.Millisecond + time.Duration(b.rng.IntN(20_000_000))
	if b.calm {
		return true, takes, nil
	}
	fail := func(class store.Class) error {
		return &store.Error{Op: op, Key: key, Class: class, Status: 500, Err: errors.New("drawn")}
	}
	if time.Now().Before(b.until) {
		return false, takes, fail(store.Unreachable)
	}
	switch draw := b.rng.IntN(100); {
	case draw < 60:
		return true, takes, nil
	case draw < 62:
		b.until = time.Now().Add(time.Duration(b.rng.IntN(90)) * time.Second)
		return false, takes, fail(store.Unreachable)
	case draw < 64:
		return b.rng.IntN(2) == 0, time.Minute, fail(store.Ambiguous) // no answer
	case draw < 66:
		return true, takes + 5*time.Second, nil
	}
	classes := []store.Class{store.Throttled, store.Ambiguous, store.Credentials, store.Configuration, store.Unreachable}
	class := classes[b.rng.IntN(len(classes))]
	return class == store.Ambiguous && b.rng.IntN(2) == 0, takes, fail(class)
}

// away has nothing answer for a while.
func (b *bucket) away(lasts time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Now().Add(lasts)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bucket) Put(ctx context.Context, o store.Object) (store.Info, error) {
	body, err := io.ReadAll(o.Body)
	if err != nil {
		return store.Info{}, err
	}
	if sha256.Sum256(body) != o.Digest || int64(len(body)) != o.Size {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Ambiguous, Err: errors.New("other bytes arrived")}
	}
	apply, takes, fault := b.fate("put", o.Key)
	cut := wait(ctx, takes)
	if cut != nil && !apply {
		return store.Info{}, cut
	}
	if !apply {
		return store.Info{}, fault
	}
	info, err := b.place(o, body)
	if err == nil && fault != nil {
		return store.Info{}, fault
	}
	if cut != nil {
		return store.Info{}, cut
	}
	return info, err
}

func (b *bucket) place(o store.Object, body []byte) (store.Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, there := b.objects[o.Key]
	switch c := o.Condition; {
	case c.Any:
	case c.Match == "" && there, c.Match != "" && (!there || have.info.ETag != c.Match):
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Exists, Status: 412, Err: errors.New("condition")}
	}
	sum := md5.Sum(body)
	info := store.Info{Key: o.Key, Size: o.Size, ETag: hex.EncodeToString(sum[:]), Digest: o.Digest, ModTime: time.Now(), Header: maps.Clone(o.Header), Meta: maps.Clone(o.Meta)}
	b.objects[o.Key] = object{info, body}
	return info, nil
}

func (b *bucket) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	_, takes, fault := b.fate("get", key)
	if err := wait(ctx, takes); err != nil {
		return nil, store.Info{}, err
	}
	if fault != nil {
		return nil, store.Info{}, fault
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	have, ok := b.objects[key]
	if !ok {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.NotFound, Status: 404, Err: errors.New("no such key")}
	}
	body := have.body
	if o.To > 0 {
		body = body[:min(o.To, int64(len(body)))]
	}
	return io.NopCloser(bytes.NewReader(body[o.From:])), have.info, nil
}

func (b *bucket) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	_, info, err := b.Get(ctx, key, o)
	return info, err
}

func (b *bucket) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		_, takes, fault := b.fate("list", o.Prefix)
		if err := errors.Join(wait(ctx, takes), fault); err != nil {
			yield(store.Info{}, err)
			return
		}
		b.mu.Lock()
		keys := slices.Sorted(maps.Keys(b.objects))
		b.mu.Unlock()
		for _, key := range keys {
			if !strings.HasPrefix(key, o.Prefix) || key <= o.After {
				continue
			}
			b.mu.Lock()
			info := b.objects[key].info
			b.mu.Unlock()
			info.Header, info.Meta = nil, nil
			if !yield(info, nil) {
				return
			}
		}
	}
}

// has says whether some object under a key or one of its variants holds a body.
func (b *bucket) has(key string, body []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o, ok := b.objects[key]; ok && bytes.Equal(o.body, body) {
		return true
	}
	stem := strings.TrimSuffix(key, ".json") + "~"
	for name, o := range b.objects {
		if strings.HasPrefix(name, stem) && bytes.Equal(o.body, body) {
			return true
		}
	}
	return false
}

// life is the bucket as one life of the process sees it: none of its calls takes effect after its end.
type life struct {
	store.Store
	over <-chan struct{}
}

var errOver = &store.Error{Op: "put", Class: store.Unreachable, Err: errors.New("the process is dead")}

func (l life) Put(ctx context.Context, o store.Object) (store.Info, error) {
	select {
	case <-l.over:
		return store.Info{}, errOver
	default:
		return l.Store.Put(ctx, o)
	}
}
