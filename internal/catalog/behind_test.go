package catalog_test

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"indelible/internal/catalog"
	"indelible/internal/query"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// An answer tells how many records the index does not know yet, and has them all the same.
func TestAnswersTellHowFarTheIndexIs(t *testing.T) {
	w := newWorld(t, "")
	for i := range 5 {
		w.send("audit", fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"id":"x%d","model":"m"}`, i))
	}
	o := catalog.Options{
		Records: query.New(w.spool, w.store, w.layout), Objects: w.layout, Log: "test", Spool: true, Parked: w.spool.Parked,
		Reached: func() (stored, proven record.Seq) { return 0, 0 }, Newest: func() record.Seq { return 5 },
		Index: index.New(index.Options{Path: filepath.Join(t.TempDir(), index.File), Log: "test"}),
	}
	if err := o.Index.Make(t.Context(), halfRead{catalog.New(o), 0}, 3, func(record.Seq) {}); err != nil {
		t.Fatal(err)
	}
	if err := o.Index.OpenRead(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Index.Close() }()
	c := catalog.New(o)
	for limit, want := range map[int]int{0: 5, 1: 1} { // also where the newest are enough
		calls := 0
		sum, err := c.Search(t.Context(), catalog.Query{Expr: []string{"model=m"}, Limit: limit}, func(catalog.Hit) bool { calls++; return true })
		if err != nil || calls != want || sum.Behind != 2 || sum.Indexed != 3 {
			t.Errorf("search, limit %d: %d calls, %+v, %v", limit, calls, sum, err)
		}
	}
	sums, sum, err := c.Stats(t.Context(), catalog.StatsQuery{By: []string{"model"}})
	if err != nil || len(sums) != 1 || sums[0].Calls != 5 || sum.Behind != 2 {
		t.Errorf("stats: %+v, %+v, %v", sums, sum, err)
	}
	calls := 0
	sum, err = c.Export(t.Context(), catalog.ExportQuery{Expr: []string{"model=m"}}, func(catalog.Hit, io.Reader) error { calls++; return nil })
	if err != nil || calls != 5 || sum.Behind != 2 {
		t.Errorf("export: %d calls, %+v, %v", calls, sum, err)
	}
}
