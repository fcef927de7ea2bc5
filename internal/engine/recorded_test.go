package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// TestRecorded finds a record while it is in the spool, and in the log when it was released, as an object and as a row of a pack; not there
// where no network is to be asked, nor where the destination is away.
func TestRecorded(t *testing.T) {
	for _, packs := range []bool{false, true} {
		b := newBucket(t)
		o := options(b, filepath.Join(t.TempDir(), "data"))
		o.Packs = Packs{On: packs, MaxAge: 10 * time.Millisecond}
		e := openEngine(t, o)
		const key = "proxy/2026-11-30/21/time-21-00-00-000001_id.json"
		add := func(key string) {
			t.Helper()
			if _, err := e.Append(t.Context(), record.Record{Door: "proxy", Key: key, Body: bytes.NewBufferString("{}"), Size: 2}); err != nil {
				t.Fatal(err)
			}
		}
		is := func(anywhere, want bool, when string) {
			t.Helper()
			if got, err := e.Recorded(t.Context(), key, anywhere); err != nil || got != want {
				t.Errorf("packs %v, %s: %v, %v", packs, when, got, err)
			}
		}
		is(true, false, "never sent")
		add("another")
		add(key)
		is(false, true, "pending")
		is(true, true, "pending, asked everywhere")
		end := start(t, e)
		if err := e.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := e.spool.Stats(); s.Released < 2 {
			t.Fatalf("released up to %d after a drain", s.Released)
		}
		is(true, true, "delivered")
		is(false, false, "delivered, and the spool alone asked")
		b.set(true)
		if _, err := e.Recorded(t.Context(), key, true); err == nil {
			t.Errorf("packs %v, away: no error", packs)
		}
		b.set(false)
		end()
	}
}

// TestForgedObjectIsNoRecord has somebody who can write the destination put objects under a record's key that was never acknowledged, or
// whose record the log does not have under this key: they must not keep it from being recorded.
func TestForgedObjectIsNoRecord(t *testing.T) {
	b := newBucket(t)
	e := openEngine(t, options(b, filepath.Join(t.TempDir(), "data")))
	if _, err := e.Append(t.Context(), record.Record{Door: "proxy", Key: "another", Body: bytes.NewBufferString("{}"), Size: 2}); err != nil {
		t.Fatal(err)
	}
	end := start(t, e)
	defer end()
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := []byte("{}")
	for key, info := range map[string]*record.Info{"plain": nil, "another's": {Seq: 1}, "not proven": {Seq: 1 << 40}} {
		key = "proxy/2026-11-30/21/time-21-00-00-000001_" + key + ".json"
		stored := e.dest.Layout.Key("", key)
		obj := store.Object{Key: stored, Size: int64(len(body)), Digest: sha256.Sum256(body)}
		if info != nil {
			info.Door, info.Key, info.Size, info.Digest, info.Time = "proxy", key, obj.Size, obj.Digest, time.Now()
			obj = e.dest.Layout.Object(*info, stored, e.name)
		}
		obj.Body = bytes.NewReader(body)
		if _, err := b.Put(context.Background(), obj); err != nil {
			t.Fatal(err)
		}
		if found, err := e.Recorded(t.Context(), key, true); found || err != nil {
			t.Errorf("%s: recorded %v, %v", key, found, err)
		}
	}
}

// TestRecordedWaitsForTheLog asks about a released record right after a start, when the log is not open yet: the answer waits for it, or
// every restart would record once more what a power cut brought back.
func TestRecordedWaitsForTheLog(t *testing.T) {
	b := newBucket(t)
	o := options(b, filepath.Join(t.TempDir(), "data"))
	const key = "proxy/2026-11-30/21/time-21-00-00-000001_id.json"
	e := openEngine(t, o)
	if _, err := e.Append(t.Context(), record.Record{Door: "proxy", Key: key, Body: bytes.NewBufferString("{}"), Size: 2}); err != nil {
		t.Fatal(err)
	}
	start(t, e)() // delivered, and closed
	e = openEngine(t, o)
	done := make(chan error, 1)
	go func() {
		is, err := e.Recorded(t.Context(), key, true)
		if err == nil && !is {
			err = errors.New("it is not recorded")
		}
		done <- err
	}()
	end := start(t, e)
	if err := <-done; err != nil {
		t.Error(err)
	}
	end()
}
