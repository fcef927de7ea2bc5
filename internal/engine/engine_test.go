package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// bucket is a store in a directory that can be away.
type bucket struct {
	store.Store
	root string

	mu   sync.Mutex
	away bool // guarded by mu
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	root := t.TempDir()
	fsys, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	return &bucket{Store: dir.Open(fsys), root: root}
}

func (b *bucket) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *bucket) err(op, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return &store.Error{Op: op, Key: key, Class: store.Unreachable, Err: errors.New("connection refused")}
	}
	return nil
}

func (b *bucket) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if err := b.err("put", o.Key); err != nil {
		return store.Info{}, err
	}
	return b.Store.Put(ctx, o)
}

func (b *bucket) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if err := b.err("get", key); err != nil {
		return nil, store.Info{}, err
	}
	return b.Store.Get(ctx, key, o)
}

func (b *bucket) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	if err := b.err("head", key); err != nil {
		return store.Info{}, err
	}
	return b.Store.Head(ctx, key, o)
}

// records are the objects that are no part of a log, by key.
func (b *bucket) records(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(b.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "_indelible" {
				return filepath.SkipDir
			}
			return err
		}
		body, err := os.ReadFile(path)
		rel, _ := filepath.Rel(b.root, path)
		found[filepath.ToSlash(rel)] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func options(b *bucket, dir string) Options {
	return Options{
		Dir: dir, Identity: "bucket", Rescue: "indelible rescue --data " + ShellQuote(dir),
		Destination: func(context.Context, string) (*Destination, error) {
			return &Destination{Store: b, Layout: mustLayout()}, nil
		},
		Proof: Proof{Program: "test", CheckpointEvery: 10 * time.Millisecond},
	}
}

func mustLayout() layout.Objects {
	l, err := layout.Parse("")
	if err != nil {
		panic(err)
	}
	return l
}

func openEngine(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// start runs an engine; end stops it in good order.
func start(t *testing.T, e *Engine) (end func()) {
	t.Helper()
	ran := make(chan error, 1)
	go func() { ran <- e.Run(context.Background()) }()
	return func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Drain(ctx); err != nil {
			t.Fatalf("drain: %v", err)
		}
		e.Stop(ctx)
		if err := <-ran; err != nil {
			t.Fatalf("run: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func add(t *testing.T, e *Engine, prefix string, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		key := fmt.Sprintf("%s/%03d", prefix, i)
		if _, err := e.Append(t.Context(), record.Record{Door: "lib", Key: key, Body: strings.NewReader("body of " + key), Size: -1}); err != nil {
			t.Fatal(err)
		}
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// An old copy of the data directory is told before it has acknowledged
// anything, and for ever after, also where the destination does not answer.
func TestOldCopyIsRefused(t *testing.T) { synctest.Test(t, oldCopyIsRefused) } // so that no wait takes time

func oldCopyIsRefused(t *testing.T) {
	b, data, backup := newBucket(t), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	e := openEngine(t, options(b, data))
	end := start(t, e)
	add(t, e, "k", 0, 5)
	end()
	copyDir(t, data, backup)
	e = openEngine(t, options(b, data))
	end = start(t, e)
	add(t, e, "k", 5, 5)
	end()
	copyDir(t, backup, data)

	e = openEngine(t, options(b, data))
	err := e.Match(t.Context())
	forked, ok := errors.AsType[*ForkedError](err)
	if !ok || !errors.Is(err, proof.ErrForked) || !strings.Contains(err.Error(), forked.Rescue) {
		t.Fatalf("match: %v", err)
	}
	if _, err := e.Append(t.Context(), record.Record{Door: "lib", Key: "late", Body: strings.NewReader("x"), Size: -1}); !errors.Is(err, record.ErrClosed) {
		t.Errorf("append after a fork was found: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b.set(true)
	if _, err := Open(t.Context(), options(b, data)); !errors.Is(err, proof.ErrForked) {
		t.Errorf("the next start, the store away: %v", err)
	}
	// Another destination is another question.
	o := options(newBucket(t), data)
	o.Identity = "another"
	e = openEngine(t, o)
	if !e.Suspect() {
		t.Error("nothing is said of the fork in another destination")
	}
}

// An old copy that has lost the log's memory, and went on by itself while the store
// was away, is told by a record that the tree has otherwise.
func TestOldCopyWithoutMemoryIsRefused(t *testing.T) { synctest.Test(t, oldCopyWithoutMemoryIsRefused) } // so that no wait takes time

func oldCopyWithoutMemoryIsRefused(t *testing.T) {
	b, data, backup := newBucket(t), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	e := openEngine(t, options(b, data))
	end := start(t, e)
	add(t, e, "k", 0, 5)
	end()
	copyDir(t, data, backup)
	e = openEngine(t, options(b, data))
	end = start(t, e)
	add(t, e, "k", 5, 5)
	end()
	copyDir(t, backup, data)
	if err := os.RemoveAll(filepath.Join(data, "proof")); err != nil {
		t.Fatal(err)
	}
	b.set(true)
	e = openEngine(t, options(b, data))
	add(t, e, "after", 0, 20)
	if err := e.Match(t.Context()); err == nil || errors.Is(err, proof.ErrForked) {
		t.Errorf("match while the store is away: %v", err)
	}
	b.set(false)
	if err := e.Match(t.Context()); !errors.Is(err, proof.ErrForked) {
		t.Errorf("match: %v", err)
	}
}

// A process that is killed before its first checkpoint leaves a trace in the log.
func TestDeathBeforeTheFirstCheckpoint(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	e := openEngine(t, options(b, data))
	add(t, e, "k", 0, 3)
	if err := e.Close(); err != nil { // no Stop
		t.Fatal(err)
	}
	e = openEngine(t, options(b, data))
	start(t, e)()
	if first := leaves(t, b, e.Name())[0]; !strings.Contains(first, `"kind":"recovered"`) || !strings.Contains(first, "up to 3") {
		t.Errorf("first leaf %s", first)
	}
}

// leaves are those of a log's first bundle, which has to be a partial one.
func leaves(t *testing.T, b *bucket, log string) (found []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(b.root, "_indelible", log, "tile/entries/000.p/*"))
	if err != nil {
		t.Fatal(err)
	}
	longest := ""
	for _, name := range names {
		bundle, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(bundle) > len(longest) {
			longest = string(bundle)
		}
	}
	for len(longest) > 2 {
		n := int(longest[0])<<8 | int(longest[1])
		found = append(found, longest[2:2+n])
		longest = longest[2+n:]
	}
	if len(found) == 0 {
		t.Fatalf("log %s has no leaves", log)
	}
	return found
}

// A log whose name is lost is known from its key, from the log's memory and from the spool.
func TestLostNameIsRecovered(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	e := openEngine(t, options(b, data))
	end := start(t, e)
	add(t, e, "k", 0, 1)
	end()
	empty := filepath.Join(data, "log.name") // as some file systems leave it when the power goes
	if err := os.Truncate(empty, 0); err != nil {
		t.Fatal(err)
	}
	for _, gone := range [][]string{nil, {"log.name"}, {"log.name", "log.vkey"}, {"log.name", "log.vkey", "log.key", "proof"}} {
		for _, name := range gone {
			if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Open(t.Context(), options(b, data))
		if err != nil {
			t.Fatalf("without %v: %v", gone, err)
		}
		if again.Name() != e.Name() {
			t.Errorf("without %v: %s, want %s", gone, again.Name(), e.Name())
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A mistyped destination gets no record, and is no reason to refuse the right one.
func TestMistypedDestination(t *testing.T) { synctest.Test(t, mistypedDestination) } // so that no wait takes time

func mistypedDestination(t *testing.T) {
	right, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	e := openEngine(t, options(right, data))
	end := start(t, e)
	add(t, e, "k", 0, 5)
	end()
	e = openEngine(t, options(right, data))
	add(t, e, "k", 5, 5)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	wrong := newBucket(t)
	o := options(wrong, data)
	o.Identity = "mistyped"
	e = openEngine(t, o)
	if err := e.Match(t.Context()); err == nil {
		t.Error("a bucket without the log matches")
	}
	_ = e.Run(t.Context()) // it ends: the log is not there
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if found := wrong.records(t); len(found) > 0 {
		t.Errorf("in the wrong bucket: %v", found)
	}
	e = openEngine(t, options(right, data))
	if err := e.Match(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, e)()
	all(t, right, names("k", 10)...)
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"/var/lib/a": "/var/lib/a", "s3://b/{bucket}": "'s3://b/{bucket}'", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'",
	} {
		if got := ShellQuote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
