package catalog_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/query"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// held is a log of which the index learns the last records only when it is let.
type held struct {
	*catalog.Catalog
	first, all record.Seq
	let        chan struct{}
}

func (h held) Wait(ctx context.Context, after record.Seq) (record.Seq, error) {
	if after < h.first {
		return h.first, nil
	}
	if after < h.all {
		select {
		case <-h.let:
			return h.all, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// watched calls do when a record of the spool is read.
type watched struct {
	query.Pending
	do func()
}

func (p watched) Entry(ctx context.Context, seq record.Seq) (record.Entry, bool, error) {
	p.do()
	return p.Pending.Entry(ctx, seq)
}

// An index that goes on while an answer is put together gives no record twice.
func TestIndexMovesMeanwhile(t *testing.T) {
	const first, all = 1000, 1005 // first: a page of what Export asks the index for
	for _, what := range []string{"search", "stats", "stats by state", "export"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, "")
			for i := range all {
				w.send("audit", fmt.Sprintf("%d.json", i), `{"id":"x","model":"m"}`)
			}
			x := index.New(index.Options{Path: filepath.Join(t.TempDir(), index.File), Log: "test"})
			o := catalog.Options{
				Objects: w.layout, Log: "test", Spool: true, Parked: w.spool.Parked, Index: x,
				Reached: func() (stored, proven record.Seq) { return 0, 0 }, Newest: func() record.Seq { return all },
			}
			o.Records = query.New(w.spool, w.store, w.layout)
			source := held{catalog.New(o), first, all, make(chan struct{})}
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = x.Run(ctx, source) })
			defer wg.Wait()
			defer stop()
			reaches := func(seq record.Seq) {
				for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
					if at, err := x.Position(ctx); err == nil && at == seq {
						return
					} else if time.Now().After(end) {
						t.Errorf("the index is at %d (%v), want %d", at, err, seq)
						return
					}
				}
			}
			reaches(first)
			move := sync.OnceFunc(func() {
				close(source.let)
				reaches(all)
			})
			o.Records = query.New(watched{w.spool, move}, w.store, w.layout)
			c, seen := catalog.New(o), map[record.Seq]int{}
			var err error
			switch what {
			case "search":
				_, err = c.Search(t.Context(), catalog.Query{Expr: []string{"model=m"}}, func(h catalog.Hit) bool { seen[h.Seq]++; return true })
			case "export":
				_, err = c.Export(t.Context(), catalog.ExportQuery{Expr: []string{"model=m"}}, func(h catalog.Hit, r io.Reader) error {
					move()
					seen[h.Seq]++
					_, err := io.Copy(io.Discard, r)
					return err
				})
			default:
				q := catalog.StatsQuery{}
				if what == "stats by state" {
					q.Expr = []string{"state=" + string(record.Pending)}
				}
				var sums []index.Sum
				if sums, _, err = c.Stats(t.Context(), q); err == nil && (len(sums) != 1 || sums[0].Calls != all) {
					t.Errorf("%+v, want %d calls", sums, all)
				}
				seen = nil
			}
			if err != nil {
				t.Fatal(err)
			}
			for seq := record.Seq(1); seen != nil && seq <= all; seq++ {
				if seen[seq] != 1 {
					t.Errorf("record %d came %d times", seq, seen[seq])
				}
			}
		})
	}
}
