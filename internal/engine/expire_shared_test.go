package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// refusingKey is a bucket that answers the puts of some keys with an error.
type refusingKey struct {
	store.Store
	mu  sync.Mutex
	say map[string]store.Class // guarded by mu
}

func (r *refusingKey) set(key string, c store.Class) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say = map[string]store.Class{key: c}
}

func (r *refusingKey) Put(ctx context.Context, o store.Object) (store.Info, error) {
	r.mu.Lock()
	c := r.say[o.Key]
	r.mu.Unlock()
	if c != store.Unknown {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: c, Status: 400, Err: errTest}
	}
	return r.Store.Put(ctx, o)
}

var errTest = errors.New("no")

// refusable is an engine over a directory whose puts can be refused.
func refusable(t *testing.T, b *bucket, data, name string) (*Engine, *refusingKey) {
	t.Helper()
	r := &refusingKey{Store: b}
	o := options(b, data)
	o.Name = name
	o.Destination = func(context.Context, string) (*Destination, error) {
		return &Destination{Store: r, Layout: mustLayout(), Remove: b.Store.(*dir.Store).Remove}, nil
	}
	return openEngine(t, o), r
}

func put(t *testing.T, e *Engine, key, body string) {
	t.Helper()
	if _, err := e.Append(t.Context(), record.Record{Door: "s3", Bucket: "logs", Key: key, Size: int64(len(body)), Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func (b *bucket) mustVerify(t *testing.T, e *Engine) {
	t.Helper()
	r, err := proof.Verify(t.Context(), b, "", strings.TrimSpace(e.ledger.keys.Key.Public()), proof.VerifyOptions{Packs: PackReader{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults) > 0 {
		t.Errorf("log %s: %v", e.name, r.Faults)
	}
}

func (b *bucket) has(t *testing.T, key string) bool {
	t.Helper()
	_, err := b.Head(t.Context(), key, store.GetOptions{})
	if err != nil && store.ClassOf(err) != store.NotFound {
		t.Fatal(err)
	}
	return err == nil
}

// A record that was parked when the log said what is removed is not removed by the call that finishes that.
func TestExpireSparesWhatWasStoredLate(t *testing.T) {
	b := newBucket(t)
	e, r := refusable(t, b, t.TempDir(), "")
	defer start(t, e)()
	r.set("k/2", store.Poison)
	for _, key := range []string{"k/1", "k/2", "k/3"} {
		put(t, e, key, "body of "+key)
	}
	until(t, "not parked", func() bool { return e.Stats().Spool.Quarantined == 1 && e.Stats().Log.Proven == 3 })
	remove := e.dest.Remove
	e.dest.Remove = func(context.Context, string) error { return errTest }
	time.Sleep(2 * time.Millisecond)
	if x, err := e.Expire(t.Context(), time.Millisecond, false, nil); err == nil || len(x.Ranges) != 2 {
		t.Fatalf("%+v, %v", x, err)
	}
	r.set("", store.Unknown)
	if _, err := e.Redrive(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "not stored", func() bool { return e.Stats().Spool.Deferred+e.Stats().Spool.Quarantined == 0 })
	e.dest.Remove = remove
	if _, err := e.Expire(t.Context(), time.Hour, false, nil); err != nil {
		t.Fatal(err)
	}
	b.mustVerify(t, e)
	if b.has(t, "k/1") || !b.has(t, "k/2") || b.has(t, "k/3") {
		t.Errorf("left: %v", b.objects(t))
	}
}

// An object that a younger record has as well stays, in whatever way the younger one came to it.
func TestExpireSparesSharedObjects(t *testing.T) {
	const key, body = "k/shared", "the same bytes"
	stored := func(t *testing.T, e *Engine, upto record.Seq) {
		t.Helper()
		until(t, "not stored", func() bool { return e.Stats().Log.Proven == upto && e.Stats().Spool.Pending == 0 })
	}
	// What is sent again under a key with the bytes before the last is a record of its own.
	first := func(t *testing.T, e *Engine) {
		t.Helper()
		put(t, e, key, body)
		put(t, e, key, "other bytes")
		stored(t, e, 2)
	}
	check := func(t *testing.T, b *bucket, e *Engine, since time.Time, through record.Seq, then func()) {
		t.Helper()
		if x, err := e.Expire(t.Context(), time.Since(since), false, nil); err != nil || x.Through != through {
			t.Fatalf("%+v, %v", x, err)
		}
		then()
		b.mustVerify(t, e)
		if !b.has(t, key) {
			t.Error("the object is gone")
		}
	}
	t.Run("stored late", func(t *testing.T) {
		b := newBucket(t)
		e, r := refusable(t, b, t.TempDir(), "")
		defer start(t, e)()
		first(t, e)
		since := time.Now()
		time.Sleep(50 * time.Millisecond)
		r.set(key, store.Poison)
		put(t, e, key, body)
		until(t, "not parked", func() bool { return e.Stats().Spool.Quarantined == 1 && e.Stats().Log.Proven == 3 })
		r.set("", store.Unknown)
		if _, err := e.Redrive(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "not stored", func() bool { return e.Stats().Spool.Deferred+e.Stats().Spool.Quarantined == 0 })
		check(t, b, e, since, 2, func() {})
	})
	t.Run("not proven", func(t *testing.T) {
		b := newBucket(t)
		e, r := refusable(t, b, t.TempDir(), "")
		defer start(t, e)()
		first(t, e)
		since := time.Now()
		time.Sleep(50 * time.Millisecond)
		r.set("k/slow", store.Throttled)
		put(t, e, "k/slow", "it holds up the order")
		put(t, e, key, body)
		until(t, "not found", func() bool { return e.Stats().Upload.Stored == 3 })
		check(t, b, e, since, 2, func() {
			r.set("", store.Unknown)
			stored(t, e, 4)
		})
	})
	for _, mine := range []bool{true, false} {
		t.Run("two logs", func(t *testing.T) {
			b := newBucket(t)
			e, _ := refusable(t, b, t.TempDir(), "")
			defer start(t, e)()
			other, _ := refusable(t, b, t.TempDir(), "other")
			defer start(t, other)()
			both := []*Engine{other, e}
			if mine {
				both = []*Engine{e, other}
			}
			for _, e := range both {
				put(t, e, key, body)
				stored(t, e, 1)
			}
			check(t, b, e, time.Now(), 1, func() {})
			b.mustVerify(t, other)
			if x, err := other.Expire(t.Context(), time.Millisecond, false, nil); err != nil || x.Through != 1 {
				t.Fatalf("%+v, %v", x, err)
			}
			b.mustVerify(t, other)
			if b.has(t, key) {
				t.Error("nobody has it, and it is there")
			}
		})
	}
}

// A clock that is set years ahead removes nothing.
func TestExpireBelievesNoClockSetAhead(t *testing.T) {
	b := newBucket(t)
	e, _ := refusable(t, b, t.TempDir(), "")
	defer start(t, e)()
	put(t, e, "k/1", "body")
	until(t, "not stored", func() bool { return e.Stats().Log.Proven == 1 })
	e.openedAt = e.openedAt.Add(-3 * 365 * 24 * time.Hour) // as the present would be seen
	x, err := e.Expire(t.Context(), time.Millisecond, false, nil)
	if err != nil || x.Records != 0 || !b.has(t, "k/1") {
		t.Errorf("%+v, %v", x, err)
	}
}
