package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"indelible/internal/fields"
	"indelible/internal/query"
	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// advance adds the records behind at, up to upto, in one walk and in transactions of many. It returns early, without an
// error, where the index is to be opened again.
func (f *follower) advance(ctx context.Context, at, upto record.Seq) error {
	p := put{f: f, b: batch{upto: at}, forgets: f.db.forgets.Load()} // Run alone changes f.db
	defer p.abandon()
	var failed error
	for e, err := range f.source.Rows(ctx, at+1, upto) {
		b := &p.b
		if gap, ok := errors.AsType[*record.GapError](err); ok {
			b.upto = max(b.upto, min(gap.Last, upto))
			continue
		}
		if unread, ok := errors.AsType[*record.ReadError](err); ok && unread.Seq > b.upto {
			b.unread, b.upto = append(b.unread, unread.Seq), unread.Seq
			continue
		}
		if err != nil {
			failed = err
			break
		}
		if e.Seq <= b.upto {
			continue
		}
		if !f.take(b, e) {
			b.unread = append(b.unread, e.Seq)
		}
		b.upto = e.Seq
		if len(b.docs) >= batchDocs || b.bytes >= batchBytes {
			if more, err := p.batch(ctx); errors.Is(err, errForgot) {
				return nil // it is read again
			} else if err != nil || !more {
				return err
			}
		}
	}
	if failed == nil && p.b.upto == at {
		return fmt.Errorf("read the log: it gives nothing behind record %d, and record %d was acknowledged", at, upto)
	}
	if failed != nil && p.load == nil && p.b.upto == at {
		return failed
	}
	if err := p.finish(ctx); err != nil && !errors.Is(err, errForgot) {
		return err
	}
	return failed
}

// put is an advance's way into the index.
type put struct {
	f     *follower
	b     batch
	load  *load // nil: none is under way
	begun time.Time

	forgets int64 // of the db, before the walk
}

// batch adds what was gathered, and commits once that is much; more is false where the walk is to end.
func (p *put) batch(ctx context.Context) (more bool, err error) {
	if err := p.add(ctx); err != nil {
		return false, err
	}
	if p.load.calls >= p.f.most || time.Since(p.begun) >= loadTime {
		if err := p.commit(ctx); err != nil {
			return false, err
		}
		if more, err := p.f.committed(ctx, p.b.upto); err != nil || !more {
			return false, err
		}
	}
	return true, p.f.pace.rest(ctx, p.f.source)
}

func (p *put) add(ctx context.Context) (err error) {
	if p.load == nil {
		if p.load, err = p.f.db.begin(ctx, p.forgets); err != nil { // Run alone changes f.db
			return err
		}
		p.begun = time.Now()
	}
	if err := p.load.add(ctx, &p.b); err != nil {
		return err
	}
	p.b = batch{docs: p.b.docs[:0], upto: p.b.upto}
	return nil
}

func (p *put) commit(ctx context.Context) error {
	l := p.load
	p.load = nil
	return l.commit(ctx)
}

// finish commits what is left.
func (p *put) finish(ctx context.Context) error {
	if err := p.add(ctx); err != nil {
		return err
	}
	if err := p.commit(ctx); err != nil {
		return err
	}
	if p.f.progress != nil {
		p.f.progress(p.b.upto)
	}
	return nil
}

// abandon takes back what was not committed.
func (p *put) abandon() {
	if p.load != nil {
		_ = p.load.rollback() // it is made again from the log
	}
}

// take adds a record's calls to a batch; false if its body cannot be read now.
func (f *follower) take(b *batch, e query.Row) bool {
	info := e.Info
	info.Attrs = nil
	return Calls(e, f.o.Text == TextBody, func(line int, one fields.Fields, body []byte) {
		d := doc{Row: filter.Row{Info: info, Line: line, Fields: one}}
		switch f.o.Text {
		case TextFields:
			d.text = filter.FieldText(&d.Row)
		case TextBody:
			d.text = filter.FieldText(&d.Row) + filter.BodyText(body, maxBodyText)
		}
		b.bytes += len(d.text) + len(info.Key) + 512
		b.docs = append(b.docs, d)
	})
}

// bodyOf is a record's body, nil where it is longer than fields are looked for in; false if it cannot be read now.
func bodyOf(e record.Entry) (body []byte, ok bool) {
	if e.Size > fields.MaxBody {
		return nil, true
	}
	r, err := e.Open()
	if err != nil {
		return nil, false
	}
	defer func() { _ = r.Close() }()
	body = make([]byte, e.Size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, false
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF { // here its digest is compared
		return nil, false
	}
	return body, true
}

// Calls gives each call that a record holds to add: the record itself, with line 0, or, of one that
// LiteLLM wrote as a batch or that is NDJSON by its name, the lines, from 1. Its body is read where its row does not tell
// what is in it, or where bodies says that add wants it; ok is false if it cannot be read now.
func Calls(row query.Row, bodies bool, add func(line int, f fields.Fields, body []byte)) (ok bool) {
	if row.Fields != nil && !bodies {
		add(0, *row.Fields, nil)
		return true
	}
	body, ok := bodyOf(row.Entry)
	if !ok {
		return false
	}
	if row.Fields != nil {
		add(0, *row.Fields, body)
		return true
	}
	if !query.HoldsLines(row.Key) {
		add(0, fields.Extract(body), body)
		return true
	}
	n := 0
	for line := range bytes.Lines(body) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if n++; n > maxLines {
			break
		}
		add(n, fields.Extract(line), line)
	}
	if n == 0 {
		add(0, fields.Fields{}, body)
	}
	return true
}
