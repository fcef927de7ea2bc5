package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"

	"indelible/internal/fields"
	"indelible/internal/layout/pack"
	"indelible/internal/query/filter"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Row is a record, and what its row in a pack says of its body.
type Row struct {
	record.Entry
	// Fields is what the body says, as fields.Extract gives it. nil: that is not known without reading the body.
	Fields *fields.Fields
}

// Walk says which rows of a pack are wanted, and what of them.
type Walk struct {
	From, Upto record.Seq // rows outside are passed over; row groups without one of them are not read
	Back       bool       // the newest first
	// Filter leaves out rows none of whose calls can match it; what it lets pass has still to be asked. nil: all.
	Filter *filter.Filter
	// Bodies: words of Filter are looked for in bodies, too.
	Bodies bool
	// ID leaves out rows whose calls cannot carry this id, in the body or in the key; "": none.
	ID string
	// Only are the columns that are wanted, besides seq, time and size; nil: all. A row whose Fields are known has nothing else then, and cannot be opened.
	Only []string
	// Passed is told how many rows were looked at, and left out. nil: nobody asks.
	Passed func(n int)
}

// Rows yields rows of the pack under a stored key, in the order of their seqs or the newest first. Only the columns that the
// walk asks for are read, and a body when its entry is opened: it is compared with its digest then. It ends after an error.
func (r *Reader) Rows(ctx context.Context, stored, version string, w Walk) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if err := r.rows(ctx, stored, version, &w, yield); err != nil {
			yield(Row{}, err)
		}
	}
}

// Ahead opens the pack under a stored key, so that Rows finds it open.
func (r *Reader) Ahead(ctx context.Context, stored, version string) error {
	if r.packs == nil {
		return nil
	}
	obj, err := r.store.Head(ctx, stored, store.GetOptions{Version: version})
	if err == nil {
		_, err = r.packs.reader(ctx, packName{key: stored, size: obj.Size, version: obj.Version})
	}
	return err
}

func (r *Reader) rows(ctx context.Context, stored, version string, w *Walk, yield func(Row, error) bool) error {
	packs := r.packs
	if packs == nil { // a log that has packs of an earlier setting
		packs = newPacks(r.pending, r.store, r.layout)
	}
	obj, err := r.store.Head(ctx, stored, store.GetOptions{Version: version})
	if err != nil {
		return err
	}
	n := packName{key: stored, size: obj.Size, version: obj.Version}
	p, err := packs.reader(ctx, n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for one := range inOrder(ctx, w.blocks(p), w.ahead(), func(i int) picked { return w.pick(packs, n, p, i) }) {
		if one.err != nil {
			return fmt.Errorf("read the pack %s: %w", stored, one.err)
		}
		for _, row := range one.rows {
			if !yield(row, nil) {
				return nil
			}
		}
		if w.Passed != nil {
			w.Passed(one.passed)
		}
	}
	return ctx.Err()
}

// ahead is how many row groups are decoded before they are needed. Who leaves most rows out waits for the decoding, and as many are
// decoded at once as there are processors; who takes all of them has more to do with them, and they take memory.
func (w *Walk) ahead() int {
	if w.Filter == nil && w.ID == "" {
		return 1
	}
	return min(max(runtime.GOMAXPROCS(0), 2), 4)
}

// inOrder does something with each of a list, ahead of them at once, and yields the results in the order of the list.
func inOrder[T any](ctx context.Context, list []int, ahead int, do func(int) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		var wg sync.WaitGroup
		defer wg.Wait()
		var queue []chan T
		begin := func() {
			if len(list) == 0 || ctx.Err() != nil {
				return
			}
			one, i := make(chan T, 1), list[0]
			list, queue = list[1:], append(queue, one)
			wg.Go(func() { one <- do(i) })
		}
		for range ahead {
			begin()
		}
		for len(queue) > 0 {
			one := <-queue[0]
			queue = queue[1:]
			begin()
			if !yield(one) {
				return
			}
		}
	}
}

// picked are the rows of one row group that are wanted.
type picked struct {
	rows   []Row
	passed int
	err    error
}

// pick reads one row group.
func (w *Walk) pick(packs *packs, n packName, p *pack.Reader, i int) (got picked) {
	b, err := p.Block(i)
	if err != nil {
		return picked{err: err}
	}
	s, err := newSieve(b, w)
	if err != nil {
		return picked{err: err}
	}
	if w.Only != nil {
		b.Only(w.Only)
	}
	shared := &bodiesOf{packs: packs, pack: n.key, block: b}
	for j := range b.Len() {
		if seq := b.Seq(j); seq < w.From || seq > w.Upto {
			continue
		}
		may, known := s.may(j)
		if !may {
			got.passed++
			continue
		}
		row, err := w.row(shared, j, known)
		if err != nil {
			return picked{err: err}
		}
		got.rows = append(got.rows, row)
	}
	b.Done() // the rows have what they need of the columns, and may wait long
	if w.Back {
		slices.Reverse(got.rows)
	}
	return got
}

// row is row j of a row group, of the wanted columns alone where these are enough.
func (w *Walk) row(of *bodiesOf, j int, known bool) (Row, error) {
	if known && w.Only != nil {
		row, err := of.block.Part(j)
		return Row{Entry: record.Entry{Info: row.Info, Open: partial}, Fields: &row.Fields}, err
	}
	row, err := of.block.Row(j)
	if err != nil {
		return Row{}, err
	}
	one, object, version := Row{Entry: record.Entry{Info: row.Info}}, row.Object, row.ObjectVersion
	if known {
		one.Fields = new(row.Fields)
	}
	size, digest := row.Info.Size, row.Info.Digest
	one.Open = func() (io.ReadSeekCloser, error) {
		if object != "" {
			return newBody(of.packs.store, store.Info{Key: object, Size: size, Version: version}, digest), nil
		}
		return of.open(j, digest)
	}
	return one, nil
}

// bodiesOf opens the bodies of a row group's rows.
type bodiesOf struct {
	packs *packs
	pack  string // its key

	mu    sync.Mutex  // several goroutines may open entries
	block *pack.Block // guarded by mu once the rows were given away
}

func (o *bodiesOf) open(j int, digest record.Digest) (io.ReadSeekCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	body, err := o.block.Body(j)
	if err != nil {
		return nil, fmt.Errorf("read the pack %s: %w", o.pack, err)
	}
	return newPackedBody(o.pack, body, digest)
}

// partial opens a row of which some columns were read.
func partial() (io.ReadSeekCloser, error) {
	return nil, errors.New("open a row: only some of its columns were read")
}

// blocks are the row groups that may have a wanted row, in the order of the walk.
func (w *Walk) blocks(p *pack.Reader) (list []int) {
	for i := range p.Blocks() {
		if first, last := p.Span(i); last < w.From || first > w.Upto {
			continue
		}
		if first, last, ok := p.Times(i); ok && w.Filter != nil && !w.Filter.MayArrive(first, last) {
			continue
		}
		list = append(list, i)
	}
	if w.Back {
		slices.Reverse(list)
	}
	return list
}
