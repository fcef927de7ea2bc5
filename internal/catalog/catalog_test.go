package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/layout"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// world is a spool and a store, and what is between them.
type world struct {
	t      *testing.T
	spool  *spool.Spool
	store  *awayStore
	layout layout.Objects
	proven record.Seq
}

// awayStore is a store that can be away, and counts what it is asked.
type awayStore struct {
	store.Store
	away  bool
	gone  string // listed, and removed before it can be read
	heads atomic.Int64
}

var errAway = &store.Error{Op: "ask", Class: store.Unreachable, Err: errors.New("no route to it")}

func (s *awayStore) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	s.heads.Add(1)
	if s.away {
		return store.Info{}, errAway
	}
	return s.Store.Head(ctx, key, o)
}

func (s *awayStore) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	if s.away {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, errAway) }
	}
	return func(yield func(store.Info, error) bool) {
		if s.gone != "" && strings.HasPrefix(s.gone, o.Prefix) && s.gone > o.After && !yield(store.Info{Key: s.gone, Size: 1}, nil) {
			return
		}
		for info, err := range s.Store.List(ctx, o) {
			if !yield(info, err) {
				return
			}
		}
	}
}

func newWorld(t *testing.T, prefix string) *world {
	t.Helper()
	sp, err := spool.Open(crashdisk.New(), spool.Options{Log: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	l, err := layout.Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, spool: sp, store: &awayStore{Store: dir.Open(crashdisk.New())}, layout: l}
}

func (w *world) catalog() *catalog.Catalog {
	return catalog.New(catalog.Options{
		Records: query.New(w.spool, w.store, w.layout), Objects: w.layout, Log: "test", Spool: true, Parked: w.spool.Parked,
		Reached: func() (stored, proven record.Seq) { return w.proven, w.proven },
	})
}

// send acknowledges a record, and returns what has to be delivered.
func (w *world) send(bucket, key, body string) record.Info {
	w.t.Helper()
	r, err := w.spool.Append(w.t.Context(), record.Record{Door: "s3", Bucket: bucket, Key: key, Body: strings.NewReader(body), Size: int64(len(body))})
	if err != nil {
		w.t.Fatal(err)
	}
	return record.Info{Seq: r.Seq, Time: time.Unix(int64(r.Seq), 0), Door: "s3", Bucket: bucket, Key: key, Size: int64(len(body)), Digest: r.Digest}
}

// store puts a record into the store; the spool is told by settle.
func (w *world) put(i record.Info, name, body string) {
	w.t.Helper()
	o := w.layout.Object(i, name, "test")
	o.Body = bytes.NewReader([]byte(body))
	if _, err := w.store.Put(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) settle(i record.Info) {
	w.t.Helper()
	if err := errors.Join(w.spool.Settle(w.t.Context(), record.Outcome{Info: i, State: record.Stored}), w.spool.Release(w.t.Context(), i.Seq)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) list(o catalog.ListOptions) (rows []string, sum catalog.Summary) {
	w.t.Helper()
	sum, err := w.catalog().List(w.t.Context(), o, func(r catalog.Row) bool {
		rows = append(rows, fmt.Sprintf("%d %s %s/%s", r.Seq, r.State, r.Bucket, r.Key))
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(rows)
	return rows, sum
}

// Every acked record is listed once, whatever its bucket, and wherever it is on its way.
func TestListEachOnce(t *testing.T) {
	w := newWorld(t, "")
	delivered := w.send("a", "k1", "1")
	w.put(delivered, "k1", "1")
	w.settle(delivered)
	stored := w.send("a", "k2", "2") // stored, and not released yet
	w.put(stored, "k2", "2")
	w.send("b", "k1", "3") // another bucket's record of that name
	w.send("", "k3", "4")  // of a door that knows no bucket
	for _, limit := range []int{0, 100} {
		rows, sum := w.list(catalog.ListOptions{Limit: limit})
		want := []string{"1 stored a/k1", "2 stored a/k2", "3 pending b/k1", "4 pending /k3"}
		if !slices.Equal(rows, want) || sum.Total != 4 || sum.Missing != "" {
			t.Errorf("limit %d: %q, %+v, want %q", limit, rows, sum, want)
		}
		if rows, _ := w.list(catalog.ListOptions{Limit: limit, Bucket: "a"}); !slices.Equal(rows, want[:2]) {
			t.Errorf("limit %d, bucket a: %q", limit, rows)
		}
	}
	w.store.away = true
	rows, sum := w.list(catalog.ListOptions{})
	if want := []string{"2 pending a/k2", "3 pending b/k1", "4 pending /k3"}; !slices.Equal(rows, want) || !strings.Contains(sum.Missing, "no route") {
		t.Errorf("with the store away: %q, %+v", rows, sum)
	}
	if rows, _ := w.list(catalog.ListOptions{Prefix: "k3"}); !slices.Equal(rows, []string{"4 pending /k3"}) {
		t.Errorf("prefix: %q", rows)
	}
}

// The newest rows cost requests, and the others none.
func TestListAsksForWhatItShows(t *testing.T) {
	w := newWorld(t, "")
	for n := range 300 {
		i := w.send("a", fmt.Sprintf("k%03d", n), "x")
		w.put(i, i.Key, "x")
		w.settle(i)
	}
	w.store.heads.Store(0)
	rows, sum := w.list(catalog.ListOptions{Limit: 10})
	if len(rows) != 10 || sum.Total != 300 || w.store.heads.Load() > 100 {
		t.Errorf("%d rows of %d, %d requests", len(rows), sum.Total, w.store.heads.Load())
	}
}

// A key that the destination cannot be asked about is found where this disk has it, in
// whatever bucket.
func TestFindAway(t *testing.T) {
	w := newWorld(t, "")
	w.send("a", "other", "1")
	w.send("", "day/time-10-00-00-000000_id-1.json", "2")
	w.store.away = true
	c := w.catalog()
	for _, ref := range []catalog.Ref{{Name: "2"}, {Name: "id-1"}, {Name: "day/time-10-00-00-000000_id-1.json"}, {Name: "id-1", Kind: catalog.ID}, {Name: "test/2/" + mustFind(t, c, "2").SHA256}} {
		if f, err := c.Find(t.Context(), ref); err != nil || f.Seq != 2 || f.State != record.Pending {
			t.Errorf("%+v: %+v, %v", ref, f, err)
		}
	}
	_, err := c.Find(t.Context(), catalog.Ref{Name: "nosuch"})
	if _, ok := errors.AsType[*catalog.AwayError](err); !ok {
		t.Errorf("nosuch: %v", err)
	}
}

func mustFind(t *testing.T, c *catalog.Catalog, name string) catalog.Found {
	t.Helper()
	f, err := c.Find(t.Context(), catalog.Ref{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Two buckets have a key: the same bytes are one answer, others are for the caller to choose.
func TestFindInTwoBuckets(t *testing.T) {
	w := newWorld(t, "x/{bucket}")
	w.send("a", "k", "1")
	w.send("b", "k", "1")
	c := w.catalog()
	if f, err := c.Find(t.Context(), catalog.Ref{Name: "k", Kind: catalog.Key}); err != nil || f.Seq != 2 || len(f.Others) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	w.send("b", "k", "2")
	_, err := c.Find(t.Context(), catalog.Ref{Name: "k", Kind: catalog.Key})
	if ambiguous, ok := errors.AsType[*catalog.AmbiguousError](err); !ok || len(ambiguous.Candidates) != 2 {
		t.Errorf("%v", err)
	}
	if f, err := c.Find(t.Context(), catalog.Ref{Name: "k", Bucket: "a"}); err != nil || f.Seq != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

// A batch file with a line that is too long, and one that is gone, keep no id from being found.
func TestFindByIDPastLongLinesAndLostFiles(t *testing.T) {
	w := newWorld(t, "")
	w.store.gone = "batch_0.jsonl"
	long := `{"id":"long","x":"` + strings.Repeat("y", 17<<20) + "\"}\n"
	w.send("b", "batch_1.jsonl", long+`{"id":"after"}`+"\n")
	w.send("b", "batch_2.jsonl", `{"id":"other"}`) // no newline at its end
	for id, key := range map[string]string{"after": "batch_1.jsonl", "other": "batch_2.jsonl"} {
		if f, err := w.catalog().Find(t.Context(), catalog.Ref{Name: id, Kind: catalog.ID}); err != nil || f.Key != key {
			t.Errorf("%s: %q, %v", id, f.Key, err)
		}
	}
	if _, err := w.catalog().Find(t.Context(), catalog.Ref{Name: "long", Kind: catalog.ID}); err == nil || !strings.Contains(err.Error(), "not searched") {
		t.Errorf("in a line that is not searched: %v", err)
	}
}
