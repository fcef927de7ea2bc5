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

	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
)

// verify verifies a log with the public key in dir, and fails the test for a fault.
func verify(t *testing.T, b *bucket, dir string) proof.Report {
	t.Helper()
	vkey, err := os.ReadFile(filepath.Join(dir, proof.PublicFile))
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Verify(t.Context(), b, "", strings.TrimSpace(string(vkey)), proof.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults) > 0 {
		t.Errorf("log in %s: %v", dir, r.Faults)
	}
	return r
}

// forkedCopy is a data directory put back to an old copy, which acknowledged
// more while the store was away: k/000 to k/009 are stored, k/005 to k/009 pending in the copy
// too where overlap says so, after/000 to after/019 in the copy alone.
func forkedCopy(t *testing.T, overlap bool) (*bucket, Options) {
	t.Helper()
	b, data, backup := newBucket(t), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	o := options(b, data)
	e := openEngine(t, o)
	end := start(t, e)
	add(t, e, "k", 0, 5)
	end()
	e = openEngine(t, o)
	if !overlap {
		copyDir(t, data, backup)
	}
	add(t, e, "k", 5, 5)
	if overlap {
		copyDir(t, data, backup)
	}
	start(t, e)()
	copyDir(t, backup, data)
	b.set(true)
	e = openEngine(t, o)
	add(t, e, "after", 0, 20)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b.set(false)
	return b, o
}

// all checks that each record is in the bucket, once, with its own bytes.
func all(t *testing.T, b *bucket, keys ...string) {
	t.Helper()
	found := b.records(t)
	for _, key := range keys {
		if found[key] != "body of "+key {
			t.Errorf("%s holds %q", key, found[key])
		}
		delete(found, key)
	}
	if len(found) > 0 {
		t.Errorf("also in the bucket: %v", found)
	}
}

func names(prefix string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("%s/%03d", prefix, i))
	}
	return keys
}

func TestRescueOfAFork(t *testing.T) { synctest.Test(t, rescueOfAFork) } // so that no wait takes time

func rescueOfAFork(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		b, o := forkedCopy(t, overlap)
		closed := filepath.Join(PacksDir, "closed.parquet") // the log's too: nobody else removes it
		if err := errors.Join(MakeDir(filepath.Join(o.Dir, PacksDir)), os.WriteFile(filepath.Join(o.Dir, closed), []byte("pack"), 0o600)); err != nil {
			t.Fatal(err)
		}
		rescued, err := Rescue(t.Context(), o, nil)
		if err != nil || len(rescued) != 1 || !rescued[0].Done || rescued[0].Left != 0 {
			t.Fatalf("overlap %v: %+v, %v", overlap, rescued, err)
		}
		r := rescued[0]
		if _, err := os.Stat(filepath.Join(r.Dir, oldDir, closed)); err != nil {
			t.Errorf("the old log's packs: %v", err)
		}
		all(t, b, append(names("k", 10), names("after", 20)...)...)
		report := verify(t, b, r.Dir)
		want := int64(20)
		if overlap {
			want += 5
		}
		if report.Records != want || r.Brought != uint64(want) {
			t.Errorf("overlap %v: the new log has %d records, %d are told, want %d", overlap, report.Records, r.Brought, want)
		}
		if first := leaves(t, b, r.Log)[0]; !strings.Contains(first, `"kind":"continues"`) || !strings.Contains(first, fmt.Sprintf(`"from_log":"%s","from_seq":6,`, r.From)) {
			t.Errorf("overlap %v: first leaf %s", overlap, first)
		}
		verify(t, b, filepath.Join(r.Dir, oldDir)) // the old log is what it was

		// The directory is as new.
		e := openEngine(t, o)
		if err := e.Match(t.Context()); err != nil || e.Name() == r.From || e.Name() == r.Log {
			t.Fatalf("log %s: %v", e.Name(), err)
		}
		end := start(t, e)
		add(t, e, "new", 0, 1)
		end()
		verify(t, b, o.Dir)
		if again, err := Rescue(t.Context(), o, nil); !errors.Is(err, ErrHealthy) {
			t.Errorf("rescued again: %+v, %v", again, err)
		}
	}
}

// Whatever is lost of what belongs to a log, its spool comes out.
func TestRescueOfWhatIsLeft(t *testing.T) {
	tests := map[string][]string{
		"key":                {proof.KeyFile},
		"key and name":       {proof.KeyFile, "log.name"},
		"name, key, memory":  {proof.KeyFile, proof.PublicFile, "log.name", "proof"},
		"the public key":     {proof.PublicFile, proof.KeyFile, "proof"},
		"all but the memory": {proof.KeyFile, proof.PublicFile, "log.name"},
	}
	for name, gone := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that no wait takes time
				b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
				o := options(b, data)
				e := openEngine(t, o)
				end := start(t, e)
				add(t, e, "k", 0, 5)
				end()
				e = openEngine(t, o)
				add(t, e, "k", 5, 5)
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				for _, name := range gone {
					if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
						t.Fatal(err)
					}
				}
				e, err := Open(t.Context(), o)
				if err == nil {
					err = errors.Join(e.Match(t.Context()), e.Close())
				}
				if err == nil || !strings.Contains(err.Error(), `"`+o.Rescue+`"`) {
					t.Fatalf("the refusal: %v", err)
				}
				rescued, err := Rescue(t.Context(), o, nil)
				if err != nil || len(rescued) != 1 || !rescued[0].Done {
					t.Fatalf("%+v, %v", rescued, err)
				}
				all(t, b, names("k", 10)...)
				verify(t, b, rescued[0].Dir)
			})
		})
	}
}

// A rescue that is killed between any two of its steps is followed by one that ends it;
// until then nothing is acknowledged in the directory.
func TestRescueIsCutShort(t *testing.T) { synctest.Test(t, rescueIsCutShort) } // so that no wait takes time

func rescueIsCutShort(t *testing.T) {
	for cut := 0; cut <= len(moved)+1; cut += torture.RaceStep(3) {
		b, o := forkedCopy(t, false)
		data, err := osdisk.Open(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := o.plan(data, "the test says so")
		if err != nil {
			t.Fatal(err)
		}
		home := rescuedDir + "/" + plan.Log
		if cut > 0 {
			if err := data.MkdirAll(home + "/" + oldDir); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range moved[:max(0, cut-1)] {
			to := home + "/" + oldDir + "/" + name
			if name == SpoolDir {
				to = home + "/" + name
			}
			if err := move(data, o.Dir, name, to); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), o.Rescue) {
			t.Fatalf("cut %d: open: %v", cut, err)
		}
		if err := Inspect(o); err == nil || !strings.Contains(err.Error(), o.Rescue) {
			t.Fatalf("cut %d: inspect: %v", cut, err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		rescued, err := Rescue(t.Context(), o, nil)
		if err != nil || len(rescued) != 1 || !rescued[0].Done || rescued[0].Log != plan.Log {
			t.Fatalf("cut %d: %+v, %v", cut, rescued, err)
		}
		all(t, b, append(names("k", 10), names("after", 20)...)...)
		verify(t, b, rescued[0].Dir)
	}
}

// Where the destination is away the directory is free all the same, and a later rescue delivers.
func TestRescueWithTheStoreAway(t *testing.T) { synctest.Test(t, rescueWithTheStoreAway) } // so that no wait takes time

func rescueWithTheStoreAway(t *testing.T) {
	b, o := forkedCopy(t, false)
	e := openEngine(t, o)
	if err := e.Match(t.Context()); !errors.Is(err, proof.ErrForked) {
		t.Fatalf("match: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Inspect(o); !errors.Is(err, proof.ErrForked) {
		t.Errorf("inspect: %v", err)
	}
	b.set(true)
	rescued, err := Rescue(t.Context(), o, nil)
	if err == nil || len(rescued) != 1 || rescued[0].Done || rescued[0].Left != 20 {
		t.Fatalf("%+v, %v", rescued, err)
	}
	if err := Inspect(o); err == nil || !strings.Contains(err.Error(), o.Rescue) {
		t.Errorf("inspect: %v", err)
	}
	e = openEngine(t, o)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b.set(false)
	if rescued, err = Rescue(t.Context(), o, nil); err != nil || !rescued[0].Done {
		t.Fatalf("%+v, %v", rescued, err)
	}
	all(t, b, append(names("k", 10), names("after", 20)...)...)
	verify(t, b, rescued[0].Dir)
	if err := Inspect(o); err != nil {
		t.Errorf("inspect when all is done: %v", err)
	}
}

// A directory in which nothing is wrong stays as it is, also when that cannot be found out.
func TestRescueOfAHealthyLog(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, data)
	e := openEngine(t, o)
	add(t, e, "k", 0, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if rescued, err := Rescue(t.Context(), o, nil); !errors.Is(err, ErrHealthy) {
		t.Errorf("%+v, %v", rescued, err)
	}
	b.set(true)
	if rescued, err := Rescue(t.Context(), o, nil); err == nil || errors.Is(err, ErrHealthy) {
		t.Errorf("the store away: %+v, %v", rescued, err)
	}
	b.set(false)
	e = openEngine(t, o)
	start(t, e)()
	all(t, b, names("k", 3)...)
}

// Records that were parked long before, far behind the others, come too.
func TestRescueOfParked(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, data)
	e := openEngine(t, o)
	add(t, e, "k", 0, 3)
	for entry, err := range e.spool.Entries(t.Context(), 2) {
		if err != nil {
			t.Fatal(err)
		}
		if err := e.spool.Settle(t.Context(), record.Outcome{Info: entry.Info, State: record.Quarantined, Reason: "refused"}); err != nil {
			t.Fatal(err)
		}
		break
	}
	end := start(t, e)
	end()
	if released := e.spool.Released(); released != 3 {
		t.Fatalf("released up to %d", released)
	}
	e = openEngine(t, o)
	add(t, e, "k", 3, 2)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(data, proof.KeyFile)); err != nil {
		t.Fatal(err)
	}
	rescued, err := Rescue(t.Context(), o, nil)
	if err != nil || !rescued[0].Done || rescued[0].Brought != 3 {
		t.Fatalf("%+v, %v", rescued, err)
	}
	all(t, b, names("k", 5)...)
	if report := verify(t, b, rescued[0].Dir); report.Records != 3 {
		t.Errorf("the new log has %d records", report.Records)
	}
}

// A name that a configuration pins is used up by a rescue.
func TestRescuedNameIsNotTakenAgain(t *testing.T) {
	b, data := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, data)
	o.Name = "pinned"
	e := openEngine(t, o)
	add(t, e, "k", 0, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(data, proof.KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Rescue(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); !errors.As(err, new(*EndedError)) {
		t.Errorf("open under the old name: %v", err)
	}
	o.Name = "another"
	if err := openEngine(t, o).Match(t.Context()); err != nil {
		t.Error(err)
	}
}

// The log of a rescue can come to its end too, as when the bucket is lost: the same command goes on.
func TestRescueOfARescuedLog(t *testing.T) { synctest.Test(t, rescueOfARescuedLog) } // so that no wait takes time

func rescueOfARescuedLog(t *testing.T) {
	_, o := forkedCopy(t, false)
	open := o.Destination
	o.Destination = func(ctx context.Context, log string) (*Destination, error) {
		d, err := open(ctx, log)
		if err == nil {
			d.Store = &refusing{Store: d.Store, suffix: "after/019"}
		}
		return d, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	first, err := Rescue(ctx, o, nil)
	if len(first) != 1 || first[0].Left == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	lost := newBucket(t) // what is there now in the bucket's place
	again := options(lost, o.Dir)
	second, err := Rescue(t.Context(), again, nil)
	if err != nil || len(second) != 1 || !second[0].Done || second[0].From != first[0].Log || second[0].Left != 0 || second[0].Brought == 0 {
		t.Fatalf("%+v, %v", second, err)
	}
	all(t, lost, "after/019")
	verify(t, lost, second[0].Dir)
	if _, err := Rescue(t.Context(), again, nil); !errors.Is(err, ErrHealthy) {
		t.Errorf("once more: %v", err)
	}
}

// refusing is a store that keeps one object from being stored.
type refusing struct {
	store.Store
	suffix string
}

func (s *refusing) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if strings.HasSuffix(o.Key, s.suffix) {
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Unreachable, Err: errors.New("connection refused")}
	}
	return s.Store.Put(ctx, o)
}

// What waits is counted also where the directory of the rescue cannot be opened.
func TestRescueCountsWhatIsLeft(t *testing.T) { synctest.Test(t, rescueCountsWhatIsLeft) } // so that no wait takes time

func rescueCountsWhatIsLeft(t *testing.T) {
	_, o := forkedCopy(t, false)
	o.Destination = func(context.Context, string) (*Destination, error) { return nil, errors.New("no such place") }
	if err := o.carryOut("a test"); err != nil {
		t.Fatal(err)
	}
	r, err := Rescue(t.Context(), o, nil)
	if err == nil || len(r) != 1 || r[0].Left != 20 {
		t.Errorf("%+v, %v", r, err)
	}
}
