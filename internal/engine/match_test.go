package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
)

// busyStore answers so many reads with 503.
type busyStore struct {
	store.Store
	left atomic.Int64
}

func (s *busyStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if s.left.Add(-1) >= 0 {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.Throttled, Status: 503, Err: errors.New("SlowDown")}
	}
	return s.Store.Get(ctx, key, o)
}

// One 503 at the start says nothing of the log: the destination is asked again before anything is acknowledged.
func TestForkBehindABusyStoreIsFound(t *testing.T) { synctest.Test(t, forkBehindABusyStoreIsFound) } // so that no wait takes time

func forkBehindABusyStoreIsFound(t *testing.T) {
	b, o := forkedCopy(t, false)
	busy := &busyStore{Store: b}
	busy.left.Store(2)
	o.Destination = func(context.Context, string) (*Destination, error) {
		return &Destination{Store: busy, Layout: mustLayout()}, nil
	}
	e := openEngine(t, o)
	if err := e.AwaitMatch(t.Context(), time.Minute); !errors.Is(err, proof.ErrForked) {
		t.Errorf("match: %v", err)
	}
	if _, err := e.Append(t.Context(), record.Record{Door: "lib", Key: "late", Body: strings.NewReader("x"), Size: -1}); !errors.Is(err, record.ErrClosed) {
		t.Errorf("append: %v", err)
	}
}

// A destination without the log's checkpoint, as one with a typo in its name, is not taken for one
// that is away: what follows is known before anything is acknowledged.
func TestAwaitMatchOfTheWrongDestination(t *testing.T) {
	synctest.Test(t, awaitMatchOfTheWrongDestination)
} // so that no wait takes time

func awaitMatchOfTheWrongDestination(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	e := openEngine(t, options(b, data))
	end := start(t, e)
	add(t, e, "k", 0, 3)
	end()
	e = openEngine(t, options(newBucket(t), data))
	if err := e.AwaitMatch(t.Context(), 100*time.Millisecond); !errors.Is(err, proof.ErrForked) {
		t.Errorf("match: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// A destination that answers is asked until the patience ends, one that is away for a second.
func TestAwaitMatch(t *testing.T) {
	of := func(class store.Class) error { return &store.Error{Op: "get", Class: class, Err: errors.New("no")} }
	for name, tt := range map[string]struct {
		answers []error // the last one again and again
		least   time.Duration
		most    time.Duration
		want    error
	}{
		"at once":            {[]error{nil}, 0, 0, nil},
		"forked":             {[]error{proof.ErrForked}, 0, 0, proof.ErrForked},
		"busy, then forked":  {[]error{of(store.Throttled), of(store.Ambiguous), proof.ErrForked}, 0, time.Second, proof.ErrForked},
		"busy":               {[]error{of(store.Throttled)}, 10 * time.Second, 11 * time.Second, of(store.Throttled)},
		"denied":             {[]error{of(store.Credentials)}, 10 * time.Second, 11 * time.Second, of(store.Credentials)},
		"away":               {[]error{of(store.Unreachable)}, time.Second, 2 * time.Second, of(store.Unreachable)},
		"away, then there":   {[]error{of(store.Unreachable), nil}, 0, time.Second, nil},
		"busy, then away":    {[]error{of(store.Throttled), of(store.Unreachable)}, time.Second, 2 * time.Second, of(store.Unreachable)},
		"away, then refuses": {[]error{of(store.Unreachable), of(store.Throttled)}, 10 * time.Second, 11 * time.Second, of(store.Throttled)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start, n := time.Now(), 0
				err := awaitMatch(ctx, func(context.Context) error {
					n++
					return tt.answers[min(n, len(tt.answers))-1]
				})
				if store.ClassOf(err) != store.ClassOf(tt.want) || errors.Is(err, proof.ErrForked) != errors.Is(tt.want, proof.ErrForked) || (err == nil) != (tt.want == nil) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// badDisk is a disk that cannot read some bytes of a file.
type badDisk struct {
	disk.FS
	name     string
	from, to int64
}

type badFile struct {
	disk.File
	disk *badDisk
}

func (d *badDisk) wrap(name string, f disk.File, err error) (disk.File, error) {
	if err != nil || name != d.name {
		return f, err
	}
	return &badFile{f, d}, nil
}

func (d *badDisk) Open(name string) (disk.File, error) {
	f, err := d.FS.Open(name)
	return d.wrap(name, f, err)
}

func (d *badDisk) OpenWrite(name string) (disk.File, error) {
	f, err := d.FS.OpenWrite(name)
	return d.wrap(name, f, err)
}

func (f *badFile) ReadAt(p []byte, off int64) (int, error) {
	if d := f.disk; off < d.to && off+int64(len(p)) > d.from {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

// breakDisk opens an engine's spool again, and then has the disk fail to read the bytes around a text.
func breakDisk(t *testing.T, e *Engine, text string) {
	t.Helper()
	dir, at, in := filepath.Join(e.opts.Dir, SpoolDir), -1, ""
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || at >= 0 {
			return err
		}
		b, err := os.ReadFile(name)
		if strings.HasSuffix(name, ".seg") {
			at, in = strings.Index(string(b), text), d.Name()
		}
		return err
	})
	if err != nil || at < 0 {
		t.Fatalf("%q is at %d: %v", text, at, err)
	}
	if err := e.spool.Close(); err != nil {
		t.Fatal(err)
	}
	fsys, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	bad := &badDisk{FS: fsys, name: in}
	if e.spool, err = spool.Open(bad, spool.Options{Log: e.name}); err != nil {
		t.Fatal(err)
	}
	e.later(e.spool.Close)
	if err := e.wire(t.Context()); err != nil {
		t.Fatal(err)
	}
	bad.from, bad.to = int64(at), int64(at+len(text))
}

// noCheckpoint lets no checkpoint into the bucket, so that nothing is released.
type noCheckpoint struct{ *bucket }

func (s noCheckpoint) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if strings.HasSuffix(o.Key, "/checkpoint") {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Unreachable, Err: errors.New("connection refused")}
	}
	return s.bucket.Put(ctx, o)
}

// unreleased is a data directory whose records are stored and in the tree, and still in the spool.
func unreleased(t *testing.T) (*bucket, string) {
	t.Helper()
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, data)
	o.Proof.CheckpointEvery = time.Minute // the first one is tried by Stop
	o.Destination = func(context.Context, string) (*Destination, error) {
		return &Destination{Store: noCheckpoint{b}, Layout: mustLayout()}, nil
	}
	e := openEngine(t, o)
	for i := range 5 { // so large that none is read with another
		body := strings.Repeat("x", 100<<10)
		if _, err := e.Append(t.Context(), record.Record{Door: "lib", Key: fmt.Sprintf("k/%03d", i), Body: strings.NewReader(body), Size: -1}); err != nil {
			t.Fatal(err)
		}
	}
	ran := make(chan error, 1)
	go func() { ran <- e.Run(context.Background()) }()
	for e.Logged() != 5 {
		if t.Context().Err() != nil || t.Failed() {
			t.Fatal("the records do not come into the log")
		}
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	e.Stop(ctx)
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if log := e.ledger.log.Load(); log == nil || log.Next() != 6 || e.spool.Released() > 0 {
		t.Fatalf("record %d is next, %d records released", log.Next(), e.spool.Released())
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return b, data
}

// A record that the disk cannot read keeps only itself from being matched and delivered.
func TestMatchPassesAnUnreadableRecord(t *testing.T) {
	b, data := unreleased(t)
	e := openEngine(t, options(b, data))
	breakDisk(t, e, "k/004")
	if err := e.Match(t.Context()); err != nil {
		t.Errorf("match: %v", err)
	}
	from, ok, err := e.ledger.newestReadable(t.Context(), 0, 6)
	if err != nil || !ok || from.Key != "k/003" {
		t.Errorf("matched with %q, %v, %v", from.Key, ok, err)
	}
	if _, ok, err := e.ledger.newestReadable(t.Context(), 4, 6); err != nil || ok {
		t.Errorf("with only that record left: %v, %v", ok, err)
	}
}
