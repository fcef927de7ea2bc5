package index

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// What is forgotten is found by no name, field or word, and what is kept still is.
func TestForget(t *testing.T) {
	for _, text := range []Text{TextFields, TextBody} {
		l := three()
		l.append("2026-11-01/4.json", payload("a4", "alpha", "gpt-5", "failure", 1, "the refund policy"))
		x, stop := running(t, l, Options{Path: filepath.Join(t.TempDir(), File), Text: text})
		reaches(t, x, 4)
		keep := func(seq record.Seq) bool { return seq == 2 }
		if err := x.Forget(t.Context(), 3, keep); err != nil {
			t.Fatal(err)
		}
		for _, expr := range []string{"team=alpha", "alpha", "status=failure", "prod"} {
			for _, seq := range search(t, x, expr) {
				if seq != 2 && seq != 4 {
					t.Errorf("%s: %s finds record %d", text, expr, seq)
				}
			}
		}
		if got := find(t, x, "a1"); len(got) > 0 {
			t.Errorf("%s: a1 is %v", text, got)
		}
		if got := find(t, x, "b2"); len(got) != 1 {
			t.Errorf("%s: b2 is %v", text, got)
		}
		if err := x.with(func(d *db) error {
			var n, names int
			err := d.read.QueryRowContext(context.Background(), "SELECT (SELECT count(*) FROM calls), (SELECT count(DISTINCT r) FROM names)").Scan(&n, &names)
			if n != 2 || names != 2 {
				t.Errorf("%s: %d calls and the names of %d are left", text, n, names)
			}
			if err != nil || text != TextFields {
				return err
			}
			// The words themselves are gone, too.
			_, err = d.write.ExecContext(context.Background(), "INSERT INTO words (words) VALUES ('integrity-check')")
			var rows int
			if err == nil {
				err = d.read.QueryRowContext(context.Background(), "SELECT count(*) FROM words WHERE words MATCH 'claude'").Scan(&rows)
			}
			if rows != 0 {
				t.Errorf("%d rows still have a word of a record that was forgotten", rows)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		f, err := filter.Parse([]string{"alpha"}, begin)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := x.Search(t.Context(), f, knows(t, x), func(filter.Row) bool { n++; return false }); err != nil || n != 1 {
			t.Errorf("%d rows after the first was refused, %v", n, err)
		}
		stop()
		var out lockedBuffer
		x, _ = running(t, l, Options{Path: x.o.Path, Text: text, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		reaches(t, x, 4)
		if got := search(t, x); len(got) != 2 || out.String() != "" {
			t.Errorf("%s: after a restart %v are there, and it said %q", text, got, out.String())
		}
	}
}

// Records that are forgotten while they are on their way into the index, read of the log but not committed, do not come back.
func TestForgetWhatIsOnItsWay(t *testing.T) {
	t.Run("before a transaction", func(t *testing.T) { forgetOnItsWay(t, batchDocs-10) })
	t.Run("in a transaction", func(t *testing.T) { forgetOnItsWay(t, 2*batchDocs+50) })
}

func forgetOnItsWay(t *testing.T, at record.Seq) {
	const n, through = 2*batchDocs + 100, 2*batchDocs + 20
	l := newLog()
	for i := range n {
		l.append(fmt.Sprint("k", i), payload(fmt.Sprint("id-", i), "alpha", "m", "success", 1, ""))
	}
	x := New(Options{Path: filepath.Join(t.TempDir(), File), Log: "test"})
	forgot := make(chan error, 1)
	begin := sync.OnceFunc(func() {
		l.mu.Lock()
		for seq := record.Seq(1); seq <= through; seq++ {
			l.lost[seq] = true // as when its object was removed
		}
		l.mu.Unlock()
		go func() { forgot <- x.Forget(t.Context(), through, func(record.Seq) bool { return false }) }()
		if at < batchDocs {
			must(t, <-forgot)
			forgot <- nil
			return
		}
		for waits := true; waits; time.Sleep(time.Millisecond) {
			must(t, x.with(func(d *db) error { waits = d.forgets.Load() == 0; return nil }))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx, &brokenLog{logOf: l, at: at, do: begin}) }()
	reaches(t, x, n)
	must(t, <-forgot)
	if got := search(t, x); len(got) != n-through {
		t.Errorf("%d calls are found, and %d are left", len(got), n-through)
	}
	cancel()
	must(t, <-done)
}
