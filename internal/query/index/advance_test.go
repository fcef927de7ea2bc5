package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"testing"

	"indelible/internal/query"
	"indelible/internal/record"
)

// What the index lacks it reads in one walk: each walk has to find its place in the log and in a pack again.
func TestOneWalk(t *testing.T) {
	const n = 3*batchDocs + 7
	l := newLog()
	for i := range n {
		l.append(fmt.Sprint("k", i), payload(fmt.Sprint("id-", i), "alpha", "m", "success", 1, ""))
	}
	x := New(Options{Path: filepath.Join(t.TempDir(), File), Log: "test"})
	var told []record.Seq
	must(t, x.Make(t.Context(), l, n, func(at record.Seq) { told = append(told, at) }))
	if l.walks != 1 || len(told) == 0 || told[len(told)-1] != n {
		t.Errorf("%d walks, and it told of %v", l.walks, told)
	}
	x, _ = running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, n)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.walks != 2 {
		t.Errorf("%d walks", l.walks-1)
	}
}

// An error in the middle of a transaction, of the log or of the file, leaves what was complete before it, and the rest is read again.
func TestErrorInTheMiddle(t *testing.T) {
	const n = 2*batchDocs + 100
	l := newLog()
	for i := range n {
		l.append(fmt.Sprint("k", i), payload(fmt.Sprint("id-", i), "alpha", "m", "success", 1, ""))
	}
	x := New(Options{Path: filepath.Join(t.TempDir(), File), Log: "test"})
	broken := &brokenLog{logOf: l, at: n - 50}
	if err := x.Make(t.Context(), broken, n, func(record.Seq) {}); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	must(t, x.OpenRead(t.Context()))
	at := knows(t, x)
	if got := search(t, x); len(got) != int(at) || at != n-51 {
		t.Errorf("it is at %d, and has %d calls", at, len(got))
	}
	must(t, x.Close())
	ctx, cancel := context.WithCancel(t.Context())
	broken = &brokenLog{logOf: l, at: n - 50, do: cancel}
	if err := x.Make(ctx, broken, n, func(record.Seq) {}); err == nil {
		t.Fatal("it was cancelled")
	}
	x, _ = running(t, l, Options{Path: x.o.Path})
	reaches(t, x, n)
	for i := 0; i < n; i += 13 {
		if got := find(t, x, fmt.Sprint("id-", i)); len(got) != 1 {
			t.Fatalf("id-%d is found %d times", i, len(got))
		}
	}
	must(t, x.with(func(d *db) error { return d.examine(t.Context()) }))
}

var errBroken = errors.New("the log broke off")

// brokenLog is a log that breaks off at a record, or does something there.
type brokenLog struct {
	*logOf
	at record.Seq
	do func()
}

func (b *brokenLog) Rows(ctx context.Context, from, upto record.Seq) iter.Seq2[query.Row, error] {
	return func(yield func(query.Row, error) bool) {
		for row, err := range b.logOf.Rows(ctx, from, upto) {
			if row.Seq == b.at && b.do == nil {
				row, err = query.Row{}, errBroken
			} else if row.Seq == b.at {
				b.do()
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
