package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store/dir"
	"indelible/internal/torture"
)

// aged is an engine whose records 1 to n are stored and proven; odd ones are objects, even ones rows of packs, and 5 lies beside its pack.
func aged(t *testing.T, b *bucket, dir string, n int) *Engine {
	t.Helper()
	o := options(b, dir)
	for seq := 1; seq <= n; {
		o.Packs = Packs{On: seq > n/2, MaxRecords: 2, MaxAge: time.Hour}
		e := openEngine(t, o)
		end := start(t, e)
		for upto := map[bool]int{false: n / 2, true: n}[o.Packs.On]; seq <= upto; seq++ {
			body := fmt.Sprintf(`{"id":"id-%d"}`, seq)
			if seq == n-1 {
				body = `{"id":"big","messages":"` + strings.Repeat("x", 9<<20) + `"}`
			}
			if _, err := e.Append(t.Context(), record.Record{Door: "s3", Bucket: "logs", Key: fmt.Sprintf("k/%d.json", seq), Size: int64(len(body)), Body: strings.NewReader(body)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		end()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return openEngine(t, o)
}

// objects are the files of the store that hold records.
func (b *bucket) objects(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(b.root, func(path string, d os.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(b.root, path); err == nil && rerr == nil && !d.IsDir() && !strings.HasPrefix(rel, "_indelible") {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A call that dies before any of its writes, or fails at any removal, removes nothing that the log does not say; the next one finishes it.
func TestExpireIsFinished(t *testing.T) {
	errNo := errors.New("no")
	for die := 0; die < 8; die += torture.RaceStep(3) {
		b, data := newBucket(t), t.TempDir()
		e := aged(t, b, data, 8)
		vkey := strings.TrimSpace(e.ledger.keys.Key.Public())
		removes := 0
		store := b.Store.(*dir.Store)
		e.dest.Remove = func(ctx context.Context, key string) error {
			if removes++; removes > die {
				return errNo
			}
			return store.Remove(ctx, key)
		}
		check := func() {
			t.Helper()
			r, err := proof.Verify(t.Context(), b, "", vkey, proof.VerifyOptions{Packs: PackReader{}})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Faults) > 0 {
				t.Fatalf("dead at removal %d: %v", die, r.Faults)
			}
		}
		time.Sleep(2 * time.Millisecond)
		_, err := e.Expire(t.Context(), time.Millisecond, false, nil)
		if errors.Is(err, errNo) != (removes > die) {
			t.Fatalf("dead at removal %d: %v", die, err)
		}
		check()
		e.dest.Remove = store.Remove
		var told record.Seq
		x, err := e.Expire(t.Context(), time.Millisecond, false, func(_, of record.Seq) { told = of })
		if err != nil || x.Through < 6 || len(x.Kept) > 0 {
			t.Fatalf("dead at removal %d: %v, %+v", die, err, x)
		}
		if die == 0 && told != x.Through {
			t.Errorf("the progress is of %d records, and %d are removed", told, x.Through)
		}
		check()
		// The last pack waits for what comes behind it; where the long record closed the one before alone, that is gone with its body.
		if left := b.objects(t); len(left) > 2 || x.Through == 6 && len(left) != 2 {
			t.Fatalf("dead at removal %d: records up to %d are gone, and %v are left", die, x.Through, left)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Nothing younger or unproven goes.
func TestExpireSparesTheYounger(t *testing.T) { synctest.Test(t, expireSparesTheYounger) } // so that no wait takes time

func expireSparesTheYounger(t *testing.T) {
	b, data := newBucket(t), t.TempDir()
	e := aged(t, b, data, 4)
	before := len(b.objects(t))
	x, err := e.Expire(t.Context(), time.Hour, false, nil)
	if err != nil || x.Records != 0 || x.Objects != 0 || len(b.objects(t)) != before {
		t.Fatalf("%v, %+v: %v", err, x, b.objects(t))
	}
	if _, err := e.Expire(t.Context(), 0, false, nil); err == nil || !strings.Contains(err.Error(), "destination.retain is not set") {
		t.Error(err)
	}
	log, err := e.ledger.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Remove(t.Context(), "too early", proof.SeqRange{First: 4, Last: 5}); err == nil || !strings.Contains(err.Error(), "covers those up to 4") {
		t.Errorf("an unproven record was removed: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
