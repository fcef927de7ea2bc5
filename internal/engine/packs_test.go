package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/torture"
)

// verified verifies the log of an engine that has stopped, and proves one of its records offline.
func verified(t *testing.T, b *bucket, e *Engine, seq record.Seq, body string) proof.Report {
	t.Helper()
	vkey, err := os.ReadFile(filepath.Join(e.opts.Dir, "log.vkey"))
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(vkey))
	r, err := proof.Verify(t.Context(), b, "", key, proof.VerifyOptions{Packs: PackReader{}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Complete() || r.Extras > 0 {
		t.Errorf("complete %v: %v %v; extras %v", r.Complete(), r.Faults, r.Incomplete, r.ExtraKeys)
	}
	p, err := proof.Prove(t.Context(), b, "", key, PackReader{}, seq)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Check(key, strings.NewReader(body)); err != nil {
		t.Error(err)
	}
	return r
}

// readable says that every record can be found by its key, listed, and found by its number.
func readable(t *testing.T, e *Engine, n int, bodyOf func(int) string) {
	t.Helper()
	listed := 0
	before := ""
	for item, err := range e.Records().List(t.Context(), "logs", query.ListOptions{Prefix: "2026-11-30/"}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Key <= before {
			t.Errorf("%q is listed after %q", item.Key, before)
		}
		before = item.Key
		listed++
	}
	if listed != n {
		t.Errorf("%d keys are listed, not %d", listed, n)
	}
	for seq := 1; seq <= n; seq++ {
		key := fmt.Sprintf("2026-11-30/time-08-00-00-000000_id-%d.json", seq)
		found, ok, err := e.Records().Find(t.Context(), "logs", key)
		if err != nil || !ok || found.Seq != record.Seq(seq) || found.Attrs.Get("x-amz-meta-user") != "alice" {
			t.Fatalf("%s: %v, %v, %+v", key, ok, err, found.Info)
		}
		body, err := found.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(b) != bodyOf(seq) {
			t.Fatalf("%s: %v, %.40q", key, err, b)
		}
	}
	if _, ok, err := e.Records().Find(t.Context(), "logs", "2026-11-30/never"); ok || err != nil {
		t.Errorf("a key that nobody sent: %v, %v", ok, err)
	}
}

// Real packs, from the spool to a verified log; and the layout changes from one start to the next.
func TestPackLayout(t *testing.T) {
	b, dir := newBucket(t), t.TempDir()
	o := options(b, dir)
	var seq int
	bodyOf := func(n int) string {
		switch n {
		case 7:
			return "no JSON \xff"
		case 11:
			return `{"id":"big","messages":"` + strings.Repeat("x", 9<<20) + `"}`
		case 12:
			return ""
		}
		return fmt.Sprintf(`{"id":"id-%d","model":"gpt","response_cost":0.5,"messages":%q}`, n, strings.Repeat("hello ", n%50))
	}
	live := func(pack bool, n int) *Engine {
		o.Packs = Packs{On: pack, MaxRecords: 60, MaxAge: time.Second}
		e := openEngine(t, o)
		done := make(chan error, 1)
		go func() { done <- e.Run(t.Context()) }()
		for range n {
			seq++
			body := bodyOf(seq)
			_, err := e.Append(t.Context(), record.Record{
				Door: "s3", Source: "tester", Bucket: "logs", Key: fmt.Sprintf("2026-11-30/time-08-00-00-000000_id-%d.json", seq), Size: int64(len(body)), Body: strings.NewReader(body),
				Attrs: record.Attrs{{Name: "content-type", Value: "application/json"}, {Name: "x-amz-meta-user", Value: "alice"}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		readable(t, e, seq, bodyOf) // pending, being packed, and packed
		if err := e.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		readable(t, e, seq, bodyOf)
		e.Stop(t.Context())
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return e
	}
	r := verified(t, b, live(true, 150), 11, bodyOf(11))
	if r.Records != 150 || r.CheckedRows != 150 || r.Packs < 3 {
		t.Errorf("packs: %d records, %d rows in %d packs", r.Records, r.CheckedRows, r.Packs)
	}
	if left, err := os.ReadDir(filepath.Join(dir, PacksDir)); err != nil || len(left) > 0 {
		t.Errorf("left in the directory of packs: %v, %v", left, err)
	}
	r = verified(t, b, live(false, 20), 160, bodyOf(160))
	if r.Records != 170 || r.CheckedRows != 150 {
		t.Errorf("then objects: %d records, %d rows", r.Records, r.CheckedRows)
	}
	e := live(true, 20)
	found := false // what lies beside its pack has its fields in the row
	for row, err := range e.Records().PackedByID(t.Context(), "big") {
		if err != nil {
			t.Fatal(err)
		}
		found = found || row.Seq == 11
	}
	if !found {
		t.Error("the record of 9 MiB is not found by its id")
	}
	if r = verified(t, b, e, 180, bodyOf(180)); r.Records != 190 || r.CheckedRows != 170 {
		t.Errorf("then packs: %d records, %d rows", r.Records, r.CheckedRows)
	}

	// One flipped byte anywhere in a pack is found.
	packs, err := filepath.Glob(filepath.Join(b.root, "packs/*/*/*.parquet"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	whole, err := os.ReadFile(packs[len(packs)-1])
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for at := 0; at < len(whole); at += 1 + len(whole)/torture.RaceShare(40) {
		b2 := bytes.Clone(whole)
		b2[at] ^= 1
		if err := os.WriteFile(packs[len(packs)-1], b2, 0o600); err != nil {
			t.Fatal(err)
		}
		vkey, _ := os.ReadFile(filepath.Join(dir, "log.vkey"))
		r, err := proof.Verify(t.Context(), b, "", strings.TrimSpace(string(vkey)), proof.VerifyOptions{Packs: PackReader{}, NoExtras: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() {
			t.Errorf("byte %d was changed, and nobody noticed", at)
		}
		if len(r.Faults) > 1 {
			named++
		}
	}
	t.Logf("of some bytes changed, %d also name a row", named)
}

// The directory of packs is lost, and the layout is object from then on: what lies in packs is found, and is stored as no object besides.
func TestPacksLostThenObjects(t *testing.T) {
	b, dir := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, dir)
	o.Packs = Packs{On: true, MaxRecords: 10, MaxAge: time.Second}
	e := openEngine(t, o)
	add(t, e, "k", 0, 30)
	backup := filepath.Join(t.TempDir(), "backup") // as if it was killed before it noted that these are stored
	copyDir(t, filepath.Join(dir, SpoolDir), backup)
	start(t, e)()
	copyDir(t, backup, filepath.Join(dir, SpoolDir))
	if err := os.RemoveAll(filepath.Join(dir, PacksDir)); err != nil {
		t.Fatal(err)
	}
	o.Packs = Packs{}
	e = openEngine(t, o)
	end := start(t, e)
	if found, ok, err := e.Records().Find(t.Context(), "", "k/003"); err != nil || !ok || found.Seq != 4 {
		t.Errorf("in a pack: %v, %v, %+v", ok, err, found.Info)
	}
	add(t, e, "k", 30, 3)
	end()
	r := verified(t, b, e, 32, "body of k/031")
	if r.Records != 33 || r.CheckedRows != 30 || r.Extras != 0 {
		t.Errorf("%d records, %d rows, extras %v", r.Records, r.CheckedRows, r.ExtraKeys)
	}
}

// A directory that is an old copy, went on by itself and lost its memory of the log is found before anything is delivered, also where the log has packs.
func TestMatchReadsPacks(t *testing.T) { synctest.Test(t, matchReadsPacks) } // so that no wait takes time

func matchReadsPacks(t *testing.T) {
	b, dir := newBucket(t), filepath.Join(t.TempDir(), "data")
	o := options(b, dir)
	o.Packs = Packs{On: true, MaxRecords: 10, MaxAge: time.Second}
	e := openEngine(t, o)
	add(t, e, "k", 0, 5)
	start(t, e)()
	backup := filepath.Join(t.TempDir(), "backup")
	copyDir(t, dir, backup)
	e = openEngine(t, o)
	add(t, e, "k", 5, 5)
	start(t, e)()
	copyDir(t, backup, dir)
	if err := os.RemoveAll(filepath.Join(dir, "proof")); err != nil {
		t.Fatal(err)
	}
	b.set(true)
	e = openEngine(t, o)
	add(t, e, "other", 0, 8)
	b.set(false)
	if err := e.Match(t.Context()); !errors.Is(err, proof.ErrForked) {
		t.Errorf("match: %v", err)
	}
}
