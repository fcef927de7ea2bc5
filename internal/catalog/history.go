package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
)

const (
	bodiesAhead = 16       // stored bodies that are read before they are needed
	smallBody   = 64 << 10 // longer ones are not
)

// Newest is the seq of the newest record that is known: the newest durable one here, or, without a spool, the
// newest in the log.
func (c *Catalog) Newest(ctx context.Context) (record.Seq, error) {
	if c.o.Newest != nil {
		return c.o.Newest(), nil
	}
	if c.o.Leaves == nil {
		return 0, errNoLog
	}
	for l, err := range c.o.Leaves(ctx, 1<<62, true) {
		return max(l.Seq, l.Last), err
	}
	return 0, nil
}

var errNoLog = errors.New("the records cannot be gone through in their order: neither a spool nor the log's public key (log.vkey) is in the data directory")

// Records yields the records from seq up to upto, in the order of seq, wherever they are: those
// that the spool has let go of are found by the signed log, and read from the destination. For its errors see index.Source.
func (c *Catalog) Records(ctx context.Context, from, upto record.Seq) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for row, err := range c.Rows(ctx, from, upto) {
			if !yield(row.Entry, err) {
				return
			}
		}
	}
}

// Rows is Records with what rows of packs say of the bodies, which are read only when an entry is opened.
func (c *Catalog) Rows(ctx context.Context, from, upto record.Seq) iter.Seq2[query.Row, error] {
	return c.walk(ctx, query.Walk{From: from, Upto: upto})
}

// walk is Rows as a Walk says. What it leaves out by its filter it leaves out of packs alone.
func (c *Catalog) walk(ctx context.Context, how query.Walk) iter.Seq2[query.Row, error] {
	return func(yield func(query.Row, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		how.From = max(how.From, 1)
		w := &walk{Catalog: c, Walk: how, yield: yield}
		w.run(ctx)
	}
}

// walk is one walk under way: what is left of it lies from From to Upto.
type walk struct {
	*Catalog
	query.Walk
	yield func(query.Row, error) bool
}

func (w *walk) run(ctx context.Context) {
	for w.From <= w.Upto && w.Upto > 0 {
		if err := ctx.Err(); err != nil {
			w.yield(query.Row{}, err)
			return
		}
		seq := w.From
		if w.Back {
			seq = w.Upto
		}
		e, ok, err := w.o.Records.BySeq(ctx, seq)
		_, gap := errors.AsType[*record.GapError](err)
		_, unread := errors.AsType[*record.ReadError](err)
		switch {
		case ok || gap || unread:
			if !w.give(seq, seq, query.Row{Entry: e}, err) {
				return
			}
		case err != nil:
			w.yield(query.Row{}, err)
			return
		case !w.stored(ctx, seq):
			return
		}
	}
}

// give yields what there is for the seqs from first to last, and goes on behind them.
func (w *walk) give(first, last record.Seq, e query.Row, err error) bool {
	if w.Back {
		w.Upto = first - 1
	} else {
		w.From = last + 1
	}
	return w.yield(e, err)
}

// stored yields records that the spool does not have any more, from seq on, by their leaves. It returns false where the walk has ended.
func (w *walk) stored(ctx context.Context, seq record.Seq) bool {
	if w.o.Leaves == nil {
		w.yield(query.Row{}, errNoLog)
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	moved := false
	for one := range w.ahead(ctx, seq) {
		got := <-one
		if got.err != nil {
			return w.yield(query.Row{}, got.err) && false
		}
		if got.first > w.Upto || got.last < w.From {
			break
		}
		moved = true
		if got.pack != nil {
			if !w.pack(ctx, got.pack) {
				return false
			}
			continue
		}
		if !w.give(got.first, got.last, query.Row{Entry: got.entry}, got.gap) {
			return false
		}
	}
	if err := ctx.Err(); err != nil {
		return false
	}
	if !moved { // neither the spool nor the log has it: released, and the newest checkpoint is not to be seen yet
		return w.yield(query.Row{}, fmt.Errorf("record %d is neither in the spool nor in the signed log in the destination: it is there once the checkpoint is", seq)) && false
	}
	return true
}

// pack yields the rows of a pack that are left.
func (w *walk) pack(ctx context.Context, l *proof.Leaf) bool {
	for e, err := range w.o.Records.Rows(ctx, l.Key, l.VersionID, w.Walk) {
		if err != nil {
			first, last := max(l.First, w.From), min(l.Last, w.Upto)
			if gap := w.removedGap(ctx, first, last, err); gap != nil {
				return w.give(first, last, query.Row{}, gap)
			}
			return w.yield(query.Row{}, err) && false
		}
		if !w.give(e.Seq, e.Seq, e, nil) {
			return false
		}
	}
	// What the pack lacks is verify's to find.
	if w.Back {
		w.Upto = min(w.Upto, l.First-1)
	} else {
		w.From = max(w.From, l.Last+1)
	}
	return true
}

// fetched is a record that a leaf tells of, or a pack of them.
type fetched struct {
	first, last record.Seq
	entry       record.Entry
	pack        *proof.Leaf
	gap, err    error
}

// ahead reads leaves, and the small bodies of their records, before they are needed.
func (w *walk) ahead(ctx context.Context, seq record.Seq) <-chan chan fetched {
	queue := make(chan chan fetched, bodiesAhead)
	from, upto := w.From, w.Upto // what w has left changes meanwhile
	go func() {
		defer close(queue)
		put := func(do func() fetched) bool {
			one := make(chan fetched, 1)
			select {
			case queue <- one:
			case <-ctx.Done():
				return false
			}
			go func() { one <- do() }()
			return true
		}
		for l, err := range w.o.Leaves(ctx, seq, w.Back) {
			if err != nil {
				put(func() fetched { return fetched{err: err} })
				return
			}
			if !w.Back && max(l.Seq, l.First) > upto || w.Back && max(l.Seq, l.Last) < from {
				return
			}
			if !put(func() fetched { return w.fetch(ctx, &l) }) {
				return
			}
		}
	}()
	return queue
}

// fetch finds the record of a leaf.
func (c *Catalog) fetch(ctx context.Context, l *proof.Leaf) fetched {
	f := fetched{first: l.Seq, last: l.Seq}
	switch l.Kind {
	case proof.Gap:
		f.first, f.last = l.First, l.Last
		f.gap = &record.GapError{First: l.First, Last: l.Last, Cause: l.Reason}
		return f
	case proof.Pack:
		f.first, f.last, f.pack = l.First, l.Last, l
		_ = c.o.Records.Ahead(ctx, l.Key, l.VersionID) // Rows tells what is wrong
		return f
	case proof.Record:
		e := c.ofLeaf(l)
		if f.entry = inMemory(e); e.Size <= smallBody {
			body, err := f.entry.Open()
			if err == nil {
				_, err = body.Read(make([]byte, 1)) // what could be read is in memory
				_ = body.Close()
			}
			if store.ClassOf(err) == store.NotFound {
				f.gap = c.removedGap(ctx, l.Seq, l.Seq, err)
			}
		}
		return f
	}
	e, ok, err := c.late(ctx, l)
	if err != nil || !ok {
		f.gap = &record.ReadError{Seq: l.Seq, Err: errors.Join(fmt.Errorf("it was parked, and is neither in the spool nor under its key"), err)}
	}
	f.entry = e
	return f
}

// ofLeaf is the record that a leaf describes.
func (c *Catalog) ofLeaf(l *proof.Leaf) record.Entry {
	info := record.Info{Seq: l.Seq, Time: l.Time, Door: l.Door, Source: l.Source, Bucket: l.Bucket, Key: l.SentKey, Size: l.Size, Digest: l.Digest}
	if info.Key == "" {
		info.Key = l.Key
		if sent, ok := c.o.Objects.Sent(l.Bucket, l.Key); ok {
			info.Key = sent
		}
	}
	return c.o.Records.Object(info, l.Key, l.VersionID)
}

// late finds a record that was parked when it had its turn: in the spool, or stored since under its key or a variant of it.
func (c *Catalog) late(ctx context.Context, l *proof.Leaf) (record.Entry, bool, error) {
	if e, ok, err := c.o.Records.BySeq(ctx, l.Seq); ok || err != nil || l.SentKey == "" {
		return e, ok, err
	}
	stored := c.o.Objects.Key(l.Bucket, l.SentKey)
	for _, name := range []string{stored, c.o.Objects.Variant(stored, l.Seq)} {
		e, ok, err := c.o.Records.At(ctx, name)
		if err != nil {
			return e, false, err
		}
		if ok && e.Seq == l.Seq && e.Digest == l.Digest {
			return e, true, nil
		}
	}
	return record.Entry{}, false, nil
}

// inMemory reads a small body now, where that works; else it is read when it is opened.
func inMemory(e record.Entry) record.Entry {
	if e.Size > smallBody {
		return e
	}
	body, err := e.Open()
	if err != nil {
		return e
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(body)
	if err != nil {
		return e
	}
	e.Open = func() (io.ReadSeekCloser, error) { return readSeekCloser{bytes.NewReader(b)}, nil }
	return e
}

type readSeekCloser struct{ io.ReadSeeker }

// Close is io.Closer's.
func (readSeekCloser) Close() error { return nil }
