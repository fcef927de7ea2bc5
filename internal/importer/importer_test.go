package importer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// world is a store that others wrote, and a log and a disk that survive a process.
type world struct {
	t       *testing.T
	store   store.Store
	objects map[string]string // what the store has
	log     *log
	disk    *crashdisk.Disk
	prefix  string
	batch   int
}

// log keeps what was appended. It may die in the middle of an append.
type log struct {
	entries []record.Entry
	dieIn   int // appends from now, 0: never
	partly  int // how many records of that append are durable all the same
}

var errDead = errors.New("the process is dead")

func (l *log) AppendAll(_ context.Context, rs []record.Record) ([]record.Receipt, error) {
	var receipts []record.Receipt
	dies := false
	if l.dieIn > 0 {
		if l.dieIn--; l.dieIn == 0 {
			dies = true
		}
	}
	for i, r := range rs {
		if dies && i == l.partly {
			return nil, errDead
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sum := record.Digest(sha256.Sum256(b))
		more, err := r.Seal(sum, int64(len(b)))
		if err != nil {
			return nil, err
		}
		seq := record.Seq(len(l.entries) + 1)
		l.entries = append(l.entries, record.Entry{Info: record.Info{
			Seq: seq, Door: r.Door, Source: r.Source, Bucket: r.Bucket, Key: r.Key, Attrs: append(r.Attrs, more...), Size: int64(len(b)), Digest: sum,
		}})
		receipts = append(receipts, record.Receipt{Seq: seq, Digest: sum, Size: int64(len(b))})
	}
	if dies {
		return nil, errDead
	}
	return receipts, nil
}

func (l *log) Newest() record.Seq { return record.Seq(len(l.entries)) }

func (l *log) Records(_ context.Context, from, upto record.Seq) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for seq := from; seq <= upto; seq++ {
			if !yield(l.entries[seq-1], nil) {
				return
			}
		}
	}
}

func newWorld(t *testing.T, n int) *world {
	w := &world{t: t, objects: map[string]string{}, log: &log{}, disk: crashdisk.New()}
	w.store = dir.Open(crashdisk.NewPlain())
	for i := range n {
		w.put(fmt.Sprintf("2026-11-%02d/time-%04d.json", i%30, i), fmt.Sprintf(`{"id":"id-%d"}`, i), nil)
	}
	return w
}

func (w *world) put(key, body string, meta map[string]string) {
	w.t.Helper()
	_, err := w.store.Put(w.t.Context(), store.Object{
		Key: key, Body: strings.NewReader(body), Size: int64(len(body)), Digest: sha256.Sum256([]byte(body)), Meta: meta,
		Header: map[string]string{"content-type": "application/json"}, Condition: store.Condition{Any: true},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.objects[key] = body
}

func (w *world) run(d disk.FS) (Sum, error) {
	objects, err := layout.Parse("")
	if err != nil {
		w.t.Fatal(err)
	}
	return Run(w.t.Context(), Options{
		Store: w.store, Source: "s3://old", Prefix: w.prefix, Objects: objects, Log: w.log, LogName: "gw", Disk: d, batch: w.batch,
		Key: func(stored string) (string, string, bool) { return "old", stored, true },
	})
}

// once says that the log has every object exactly once, with its bytes.
func (w *world) once(objects map[string]string) {
	w.t.Helper()
	have := map[string]bool{}
	for _, e := range w.log.entries {
		if have[e.Key] {
			w.t.Fatalf("%s was taken twice", e.Key)
		}
		have[e.Key] = true
		if e.Digest != sha256.Sum256([]byte(objects[e.Key])) {
			w.t.Errorf("%s has other bytes", e.Key)
		}
	}
	for key := range objects {
		if !have[key] {
			w.t.Errorf("%s was not taken", key)
		}
	}
}

func TestEachObjectOnce(t *testing.T) {
	w := newWorld(t, 300)
	w.put("batch_1.jsonl", "{}\n{}\n", nil)
	w.put("long.json", strings.Repeat("x", 2*shortBody), nil)
	all := len(w.objects)
	w.put("_indelible/gw/checkpoint", "theirs", nil)
	w.put("own.json", "own", map[string]string{layout.MetaSeq: "7"})
	delete(w.objects, "_indelible/gw/checkpoint")
	delete(w.objects, "own.json")
	s, err := w.run(w.disk)
	if err != nil || !s.Done || s.Taken != int64(all) || s.Own != 1 || s.Left+s.Own != s.Seen-s.Taken {
		t.Fatalf("%v, %+v", err, s)
	}
	w.once(w.objects)
	for _, e := range w.log.entries {
		if e.Attrs.Get("content-type") != "application/json" || e.Attrs.Get(record.AttrModified) == "" || e.Door != Door {
			t.Fatalf("%+v", e.Info)
		}
	}
	if s, err := w.run(w.disk); err != nil || s.Taken != 0 || s.Already != int64(all) {
		t.Errorf("again: %v, %+v", err, s)
	}
	// What comes later is taken wherever it sorts, and what is gone is not forgotten.
	w.put("2026-11-00/aa.json", "new", nil)
	before := w.store
	w.store = without{before, "2026-11-01/"}
	if s, err := w.run(w.disk); err != nil || s.Taken != 1 {
		t.Errorf("a new one: %v, %+v", err, s)
	}
	w.store = before
	if s, err := w.run(w.disk); err != nil || s.Taken != 0 || s.Already != int64(all)+1 {
		t.Errorf("the old ones are back: %v, %+v", err, s)
	}
	w.once(w.objects)
	// The same bytes with another ETag are no news; other bytes are a new record.
	w.put("batch_1.jsonl", "{}\n{}\n{}\n", nil)
	if s, err := w.run(w.disk); err != nil || s.Taken != 1 {
		t.Errorf("changed: %v, %+v", err, s)
	}
}

// without is a store whose list lacks a prefix.
type without struct {
	store.Store
	prefix string
}

func (s without) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range s.Store.List(ctx, o) {
			if !strings.HasPrefix(info.Key, s.prefix) && !yield(info, err) {
				return
			}
		}
	}
}

// A process that dies at any write to its disk, or within any append, with a disk that forgets what was not synced,
// takes no object twice and misses none.
func TestDeathAnywhere(t *testing.T) {
	shared := newWorld(t, 45)
	for seed := range 60 {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		w := &world{t: t, store: shared.store, objects: shared.objects, log: &log{}, disk: crashdisk.New(), batch: 13}
		for life := 0; ; life++ {
			calls, dieAt := 0, rng.IntN(14)
			if life > 20 {
				dieAt = 1 << 30
			}
			w.log.dieIn, w.log.partly = 0, rng.IntN(13)
			if rng.IntN(2) == 0 {
				w.log.dieIn = 1 + rng.IntN(4)
			}
			d := faultdisk.New(w.disk, func(c faultdisk.Call) *faultdisk.Fault {
				if !c.Op.Mutates() {
					return nil
				}
				if calls++; calls > dieAt {
					return &faultdisk.Fault{Err: errDead, Apply: calls == dieAt+1 && rng.IntN(2) == 0}
				}
				return nil
			})
			s, err := w.run(d)
			if err == nil {
				if !s.Done {
					t.Fatalf("%+v", s)
				}
				break
			}
			if !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			w.disk = w.disk.Crash(rng, rng.IntN(101))
			if rng.IntN(3) == 0 { // a daemon takes other records meanwhile
				b := "other"
				w.log.dieIn = 0
				_, err := w.log.AppendAll(t.Context(), []record.Record{{Door: "s3", Key: fmt.Sprint("other-", life), Body: strings.NewReader(b), Seal: func(record.Digest, int64) (record.Attrs, error) { return nil, nil }}})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		w.log.entries = slices.DeleteFunc(w.log.entries, func(e record.Entry) bool { return e.Door != Door })
		w.once(w.objects)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestPrefixesOfOneStore(t *testing.T) {
	w := newWorld(t, 300)
	w.prefix = "2026-11-0"
	w.log.dieIn = 1
	if _, err := w.run(w.disk); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	w.prefix = ""
	if _, err := w.run(w.disk); err == nil || !strings.Contains(err.Error(), `a run over the prefix "2026-11-0" was cut short`) {
		t.Fatal(err)
	}
	for _, w.prefix = range []string{"2026-11-0", "2026-11", ""} {
		if _, err := w.run(w.disk); err != nil {
			t.Fatal(err)
		}
	}
	w.once(w.objects)
}

func TestObjectsThatCannotBeTaken(t *testing.T) {
	w := newWorld(t, 3)
	w.store = failing{w.store, map[string]store.Class{"2026-11-01/time-0001.json": store.Archived}}
	s, err := w.run(w.disk)
	if err != nil || s.Taken != 2 || s.Failed != 1 || !strings.Contains(s.Failures[0].Reason, "restore it") {
		t.Fatalf("%v, %+v", err, s)
	}
	w.store = w.store.(failing).Store
	if s, err = w.run(w.disk); err != nil || s.Taken != 1 || s.Already != 2 {
		t.Fatalf("%v, %+v", err, s)
	}
	w.once(w.objects)
}

// What was taken stays known where a later run cannot read it, for whatever reason.
func TestTakenStaysKnown(t *testing.T) {
	const key = "2026-11-01/time-0001.json"
	for _, class := range []store.Class{store.Archived, store.Poison, store.NotFound} {
		w := newWorld(t, 3)
		if s, err := w.run(w.disk); err != nil || s.Taken != 3 {
			t.Fatalf("%v, %+v", err, s)
		}
		have := w.store
		w.store = failing{moved{have, key}, map[string]store.Class{key: class}}
		if s, err := w.run(w.disk); err != nil || s.Already != 2 {
			t.Fatalf("%v, %+v", err, s)
		}
		w.store = moved{have, key}
		if s, err := w.run(w.disk); err != nil || s.Taken != 0 || s.Already != 3 {
			t.Errorf("class %v: %v, %+v", class, err, s)
		}
		w.once(w.objects)
	}
}

// Where a batch cannot be appended, nothing that sorts behind it is noted: the next run would begin there.
func TestNothingIsNotedBeforeItsTurn(t *testing.T) {
	w := newWorld(t, 3)
	if s, err := w.run(w.disk); err != nil || s.Taken != 3 {
		t.Fatalf("%v, %+v", err, s)
	}
	w.put("2026-11-01/new.json", "new", nil)
	w.store = without{w.store, "2026-11-02/"}
	w.log.dieIn, w.log.partly = 1, 1
	if _, err := w.run(w.disk); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	if s, err := w.run(w.disk); err != nil || s.Taken+s.Already != 3 {
		t.Errorf("%v, %+v", err, s)
	}
	if s, err := w.run(w.disk); err != nil || s.Taken != 0 {
		t.Errorf("%v, %+v", err, s)
	}
	w.once(w.objects)
}

// moved is a store in which one object has another ETag than before, and the same bytes.
type moved struct {
	store.Store
	key string
}

func (s moved) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for i, err := range s.Store.List(ctx, o) {
			if i.Key == s.key {
				i.ETag = "another"
			}
			if !yield(i, err) {
				return
			}
		}
	}
}

type failing struct {
	store.Store
	class map[string]store.Class
}

func (s failing) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if c, ok := s.class[key]; ok {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: c, Err: errors.New("no")}
	}
	return s.Store.Get(ctx, key, o)
}

// A manifest whose end a power loss tore goes on; one that is damaged before is refused.
func TestDamagedManifest(t *testing.T) {
	w := newWorld(t, 3)
	if _, err := w.run(w.disk); err != nil {
		t.Fatal(err)
	}
	m, err := openManifest(w.disk, "s3://old", "", "gw")
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	f, err := w.disk.OpenWrite(m.final)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("#"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.run(w.disk); err == nil || !strings.Contains(err.Error(), "take it away") {
		t.Fatal(err)
	}
}

func FuzzManifestLine(f *testing.F) {
	l, _ := json.Marshal(line{Key: "k", Seq: 3, Modified: time.Unix(1, 0)})
	h, _ := json.Marshal(head{Manifest: 1, Base: 7})
	f.Add(l)
	f.Add(h)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := &manifest{doubted: map[recordKey]line{}}
		if m.readLine(raw) && len(strings.TrimSpace(string(raw))) > 0 && m.cursor == "" && m.nextPrefix == "" && m.base == 0 && len(m.doubted) == 0 && !strings.Contains(strings.ToLower(string(raw)), "manifest") {
			t.Errorf("%q was taken for a line", raw)
		}
	})
}
