package upload_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// fault is what the bucket does instead of answering. The zero fault answers.
type fault struct {
	class store.Class
	apply bool // the effect happens nevertheless
	late  bool // with apply: it happens after the answer
	delay time.Duration
	hang  bool // no answer at all
	asked time.Duration
	lie   func(*store.Info) // what Head and Get tell
}

// bucket is a Store in memory that fails by a script. Time is virtual.
type bucket struct {
	mu      sync.Mutex
	objects map[string]object
	script  func(op, key string) fault
	latency time.Duration
	puts    int
	calls   int
	busy    int
	most    int             // calls at once
	blind   bool            // Head tells no digest
	cold    map[string]bool // archived: Head tells of them, and Get gives no bytes
}

type object struct {
	info store.Info
	body []byte
}

func newBucket() *bucket { return &bucket{objects: map[string]object{}} }

func (b *bucket) begin(ctx context.Context, op, key string) (fault, error) {
	b.mu.Lock()
	var f fault
	if b.script != nil {
		f = b.script(op, key)
	}
	b.calls++
	b.busy++
	b.most = max(b.most, b.busy)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.busy--
		b.mu.Unlock()
	}()
	if f.hang {
		f.delay = 24 * time.Hour
	}
	delay := b.latency + f.delay
	if delay <= 0 {
		return f, ctx.Err() // a timer that has fired when it is waited for, in two goroutines of a bubble, crashes Go 1.26.8's race detector
	}
	select {
	case <-time.After(delay):
		return f, nil
	case <-ctx.Done():
		return f, ctx.Err()
	}
}

func (f fault) err(op, key string) error {
	if f.class == store.Unknown {
		return nil
	}
	return &store.Error{Op: op, Key: key, Class: f.class, Code: "Scripted", Status: 500, RetryAfter: f.asked, Err: errors.New("scripted")}
}

func (b *bucket) Put(ctx context.Context, o store.Object) (store.Info, error) {
	f, err := b.begin(ctx, "put", o.Key)
	if err != nil && !f.apply {
		return store.Info{}, err
	}
	body, rerr := io.ReadAll(o.Body)
	if rerr != nil {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Ambiguous, Err: rerr}
	}
	if sha256.Sum256(body) != o.Digest || int64(len(body)) != o.Size {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Ambiguous, Err: errors.New("bad digest")}
	}
	if f.class != store.Unknown && !f.apply {
		return store.Info{}, f.err("put", o.Key)
	}
	info := store.Info{Key: o.Key, Size: o.Size, ETag: fmt.Sprintf("%x", o.Digest[:8]), Digest: o.Digest, ModTime: time.Now(), Version: "v1", Meta: maps.Clone(o.Meta)}
	if f.late {
		time.AfterFunc(3*time.Second, func() { b.place(o.Key, info, body, o.Condition) })
		return store.Info{}, f.err("put", o.Key)
	}
	if !b.place(o.Key, info, body, o.Condition) {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Exists, Status: 412, Err: errors.New("exists")}
	}
	if err != nil {
		return store.Info{}, err
	}
	return info, f.err("put", o.Key)
}

func (b *bucket) place(key string, info store.Info, body []byte, c store.Condition) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	if have, taken := b.objects[key]; taken && !c.Any && (c.Match == "" || c.Match != have.info.ETag) {
		return false
	}
	b.objects[key] = object{info: info, body: bytes.Clone(body)}
	return true
}

func (b *bucket) Head(ctx context.Context, key string, _ store.GetOptions) (store.Info, error) {
	f, err := b.begin(ctx, "head", key)
	if err == nil {
		err = f.err("head", key)
	}
	if err != nil {
		return store.Info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return store.Info{}, &store.Error{Op: "head", Key: key, Class: store.NotFound, Status: 404, Err: errors.New("not found")}
	}
	if b.blind {
		o.info.Digest = record.Digest{}
	}
	if f.lie != nil {
		f.lie(&o.info)
	}
	return o.info, nil
}

func (b *bucket) Get(ctx context.Context, key string, _ store.GetOptions) (io.ReadCloser, store.Info, error) {
	info, err := b.Head(ctx, key, store.GetOptions{})
	if err != nil {
		return nil, info, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cold[key] {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.Archived, Status: 403, Err: errors.New("archived")}
	}
	return io.NopCloser(bytes.NewReader(b.objects[key].body)), info, nil
}

func (b *bucket) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		f, err := b.begin(ctx, "list", o.Prefix)
		if err == nil {
			err = f.err("list", o.Prefix)
		}
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		b.mu.Lock()
		keys := slices.Sorted(maps.Keys(b.objects))
		b.mu.Unlock()
		for _, key := range keys {
			b.mu.Lock()
			info := b.objects[key].info
			b.mu.Unlock()
			if strings.HasPrefix(key, o.Prefix) && key > o.After && !yield(store.Info{Key: key, Size: info.Size, ETag: info.ETag}, nil) {
				return
			}
		}
	}
}

func (b *bucket) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func (b *bucket) body(key string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	return string(o.body), ok
}
