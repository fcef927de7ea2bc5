package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"testing"

	"indelible/internal/catalog"
	"indelible/internal/query"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// halfRead is a log of which one record could not be read when the index was made.
type halfRead struct {
	*catalog.Catalog
	unread record.Seq
}

func (halfRead) Wait(context.Context, record.Seq) (record.Seq, error) { return 0, io.EOF }

func (h halfRead) Rows(ctx context.Context, from, upto record.Seq) iter.Seq2[query.Row, error] {
	return func(yield func(query.Row, error) bool) {
		for e, err := range h.Catalog.Rows(ctx, from, upto) {
			if e.Seq == h.unread {
				e, err = query.Row{}, &record.ReadError{Seq: h.unread, Err: errors.New("I/O error")}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// What the index could not read is missing in its answers, and they say so: search, export and sums.
func TestAnswersTellWhatTheIndexCouldNotRead(t *testing.T) {
	w := newWorld(t, "")
	for i := range 3 {
		w.send("audit", fmt.Sprintf("%d.json", i), `{"id":"x","model":"m"}`)
	}
	o := catalog.Options{
		Records: query.New(w.spool, w.store, w.layout), Objects: w.layout, Log: "test", Spool: true, Parked: w.spool.Parked,
		Reached: func() (stored, proven record.Seq) { return 0, 0 }, Newest: func() record.Seq { return 3 },
		Index: index.New(index.Options{Path: filepath.Join(t.TempDir(), index.File), Log: "test"}),
	}
	if err := o.Index.Make(t.Context(), halfRead{catalog.New(o), 2}, 3, func(record.Seq) {}); err != nil {
		t.Fatal(err)
	}
	if err := o.Index.OpenRead(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Index.Close() }()
	c, calls := catalog.New(o), 0
	sum, err := c.Search(t.Context(), catalog.Query{Expr: []string{"model=m"}}, func(catalog.Hit) bool { calls++; return true })
	if err != nil || calls != 2 || sum.Unread != 1 {
		t.Errorf("search: %d calls, %+v, %v", calls, sum, err)
	}
	sums, sum, err := c.Stats(t.Context(), catalog.StatsQuery{By: []string{"model"}})
	if err != nil || len(sums) != 1 || sums[0].Calls != 2 || sum.Unread != 1 {
		t.Errorf("stats: %+v, %+v, %v", sums, sum, err)
	}
	for after, unread := range map[record.Seq]int{0: 1, 1: 1, 2: 0} {
		n := 0
		sum, err = c.Export(t.Context(), catalog.ExportQuery{Expr: []string{"model=m"}, After: after}, func(h catalog.Hit, r io.Reader) error {
			n++
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil || n+sum.Unread != 3-int(after) || sum.Unread != unread {
			t.Errorf("export behind %d: %d records, %+v, %v", after, n, sum, err)
		}
	}
}

// failing cannot read one record.
type failing struct {
	query.Pending
	unread record.Seq
}

func (f failing) Entry(ctx context.Context, seq record.Seq) (record.Entry, bool, error) {
	if seq == f.unread {
		return record.Entry{}, false, &record.ReadError{Seq: seq, Err: errors.New("I/O error")}
	}
	return f.Pending.Entry(ctx, seq)
}

// Who follows is told of a record that cannot be read, and goes on behind it.
func TestFollowTellsWhatItPassesOver(t *testing.T) {
	w := newWorld(t, "")
	for i := range 3 {
		w.send("audit", fmt.Sprintf("%d.json", i), `{"id":"x","model":"m"}`)
	}
	done := errors.New("no more")
	c := catalog.New(catalog.Options{
		Records: query.New(failing{w.spool, 2}, w.store, w.layout), Objects: w.layout, Log: "test", Spool: true, Parked: w.spool.Parked,
		Reached: func() (stored, proven record.Seq) { return 0, 0 }, Newest: func() record.Seq { return 3 },
		Wait: func(_ context.Context, after record.Seq) (record.Seq, error) {
			if after >= 3 {
				return 0, done
			}
			return 3, nil
		},
	})
	var got []string
	err := c.Follow(t.Context(), []string{"model=m"}, 1, func(hit catalog.Hit) bool {
		var h catalog.Hit // as a daemon sends it
		if b, err := json.Marshal(hit); err != nil || json.Unmarshal(b, &h) != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprint(h.Seq, h.Unread != ""))
		return true
	})
	if !errors.Is(err, done) || fmt.Sprint(got) != "[2 true 3 false]" {
		t.Errorf("%v %v", got, err)
	}
}
