package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/proof"
)

// checkStuck wants a directory refused before it acknowledges anything, with the way out, and that way to work.
func checkStuck(t *testing.T, b *bucket, o Options, keys []string) {
	t.Helper()
	e, err := Open(t.Context(), o)
	if err == nil {
		err = errors.Join(e.Match(t.Context()), e.Close())
		t.Fatalf("open succeeded; match: %v", err)
	}
	if !errors.As(err, new(*StuckError)) || !strings.Contains(err.Error(), `"`+o.Rescue+`"`) {
		t.Fatalf("open: %v", err)
	}
	rescued, err := Rescue(t.Context(), o, nil)
	if err != nil || len(rescued) != 1 || !rescued[0].Done {
		t.Fatalf("rescue: %+v, %v", rescued, err)
	}
	all(t, b, keys...)
	verify(t, b, rescued[0].Dir)
}

func TestMemoryOfAnotherLog(t *testing.T) {
	b, one, two := newBucket(t), filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	for _, data := range []string{one, two} {
		e := openEngine(t, options(b, data))
		end := start(t, e)
		add(t, e, filepath.Base(data), 0, 3)
		end()
	}
	e := openEngine(t, options(b, one))
	add(t, e, "one", 3, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	copyDir(t, filepath.Join(two, "proof"), filepath.Join(one, "proof"))
	checkStuck(t, b, options(b, one), append(names("one", 6), names("two", 3)...))
}

func TestSecretOfTheNextKeyGone(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, data)
	e := openEngine(t, o)
	end := start(t, e)
	add(t, e, "k", 0, 3)
	end()
	e = openEngine(t, o)
	if err := e.Match(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, e, "k", 3, 3)
	b.set(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the store is away for as long as it is asked
	defer cancel()
	if _, err := e.Rotate(ctx); err == nil {
		t.Fatal("rotated without a store")
	}
	b.set(false)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, o) // the secret is there, and nothing is wrong
	if err := errors.Join(e.Match(t.Context()), e.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(data, proof.NextFile)); err != nil {
		t.Fatal(err)
	}
	checkStuck(t, b, o, names("k", 6))
}
