package engine

import (
	"bytes"
	"path/filepath"
	"testing"

	"indelible/internal/record"
)

// TestRecorded finds a record while it is in the spool, and in the destination when it was released; not there where no network is
// to be asked, nor where the destination is away.
func TestRecorded(t *testing.T) {
	b := newBucket(t)
	e := openEngine(t, options(b, filepath.Join(t.TempDir(), "data")))
	const key = "proxy/2026-11-30/21/time-21-00-00-000001_id.json"
	if _, err := e.Append(t.Context(), record.Record{Door: "proxy", Key: key, Body: bytes.NewBufferString("{}"), Size: 2}); err != nil {
		t.Fatal(err)
	}
	is := func(anywhere, want bool, when string) {
		t.Helper()
		if got, err := e.Recorded(t.Context(), key, anywhere); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	is(false, true, "pending")
	is(true, true, "pending, asked everywhere")
	end := start(t, e)
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	is(true, true, "delivered")
	b.set(true)
	if e.spool.Stats().Released > 0 {
		if _, err := e.Recorded(t.Context(), key, true); err == nil {
			t.Error("away: no error")
		}
	}
	b.set(false)
	end()
}
