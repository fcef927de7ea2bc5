package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// statements are the prepared ones of the writer.
type statements struct {
	call, name, names, day, hour, words, gap, noGap, position *sql.Stmt
}

// prepare prepares what the writer needs.
func (d *db) prepare(ctx context.Context, text Text) error {
	d.text = text
	if d.write == nil {
		return nil
	}
	marks := strings.Repeat(", ?", len(base)+len(extracted))
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&d.stmts.call, "INSERT INTO calls (r, " + columns() + ") VALUES (?" + marks + ")"},
		{&d.stmts.name, "INSERT OR IGNORE INTO names VALUES (?, ?, ?)"},
		{&d.stmts.names, "INSERT OR IGNORE INTO names VALUES (?, ?, ?)" + strings.Repeat(", (?, ?, ?)", nameRows-1)},
		{&d.stmts.day, `INSERT INTO days VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
			tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out, cost = cost + excluded.cost, bytes = bytes + excluded.bytes`},
		{&d.stmts.hour, "INSERT INTO hours VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"},
		{&d.stmts.words, "INSERT INTO words (rowid, text) VALUES (?, ?)"},
		{&d.stmts.gap, "INSERT OR IGNORE INTO gaps VALUES (?)"},
		{&d.stmts.noGap, "DELETE FROM gaps WHERE seq = ?"},
		{&d.stmts.position, "UPDATE about SET position = max(position, ?), clean = 0"},
	} {
		s, err := d.write.PrepareContext(ctx, p.text)
		if err != nil {
			return err
		}
		*p.into = s
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, one := range []*sql.Stmt{s.call, s.name, s.names, s.day, s.hour, s.words, s.gap, s.noGap, s.position} {
		if one != nil {
			errs = append(errs, one.Close())
		}
	}
	return errors.Join(errs...)
}

// doc is a row and the text in which its words are looked for.
type doc struct {
	filter.Row
	text string
}

// batch is what is added at a time.
type batch struct {
	docs   []doc
	unread []record.Seq // could not be read now
	filled []record.Seq // could not be read before, and are dealt with now
	upto   record.Seq   // everything up to here is in docs, unread, or in the index
	bytes  int          // of the texts
}

// dayKey is one row of the sums.
type dayKey struct {
	day                 int64
	team, model, status string
}

type daySum struct {
	calls, in, out, bytes int64
	cost                  float64
}

const day = int64(24 * time.Hour)

// load is one transaction: what several batches add is in the index with its commit, all of it or nothing.
type load struct {
	d     *db
	tx    *sql.Tx
	calls int
	names [][3]int64 // part, hash and row; written at the end, in the order of the table, so that each page is written once
	days  map[dayKey]*daySum
	hours map[int64][2]int64
	upto  record.Seq
}

func (d *db) begin(ctx context.Context) (*load, error) {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("write the index: %w", classed(err))
	}
	return &load{d: d, tx: tx, days: map[dayKey]*daySum{}, hours: map[int64][2]int64{}}, nil
}

// add writes a batch in a transaction of its own.
func (d *db) add(ctx context.Context, b *batch) error {
	l, err := d.begin(ctx)
	if err != nil {
		return err
	}
	if err := l.add(ctx, b); err != nil {
		return errors.Join(err, l.rollback())
	}
	return l.commit(ctx)
}

// add writes a batch. After an error only rollback is allowed.
func (l *load) add(ctx context.Context, b *batch) error {
	if err := l.write(ctx, b); err != nil {
		return fmt.Errorf("write the index: %w", classed(err))
	}
	return nil
}

func (l *load) write(ctx context.Context, b *batch) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx = context.WithoutCancel(ctx) // the driver starts a goroutine for each statement that can be cancelled
	call, words := l.tx.StmtContext(ctx, l.d.stmts.call), l.tx.StmtContext(ctx, l.d.stmts.words)
	args := make([]any, 1+len(base)+len(extracted))
	for i := range b.docs {
		doc := &b.docs[i]
		r := rowID(doc.Seq, doc.Line)
		rowArgs(args, r, &doc.Row)
		if _, err := call.ExecContext(ctx, args...); err != nil {
			return err
		}
		if doc.text != "" {
			if _, err := words.ExecContext(ctx, r, doc.text); err != nil {
				return err
			}
		}
		for _, h := range hashesOf(&doc.Row) {
			l.names = append(l.names, [3]int64{partOf(r), h, r})
		}
		sum(l.days, &doc.Row)
		span(l.hours, doc.Time.UnixNano()/int64(time.Hour), r)
	}
	for _, seq := range b.unread {
		if _, err := l.tx.StmtContext(ctx, l.d.stmts.gap).ExecContext(ctx, int64(seq)); err != nil {
			return err
		}
	}
	for _, seq := range b.filled {
		if _, err := l.tx.StmtContext(ctx, l.d.stmts.noGap).ExecContext(ctx, int64(seq)); err != nil {
			return err
		}
	}
	l.calls, l.upto = l.calls+len(b.docs), max(l.upto, b.upto)
	return nil
}

// rollback leaves the index as it was.
func (l *load) rollback() error { return l.tx.Rollback() }

// commit makes all that was added visible and moves the position. An error leaves the index as it was.
func (l *load) commit(ctx context.Context) error {
	err := l.finish(ctx)
	if err != nil {
		err = errors.Join(err, l.tx.Rollback())
	} else {
		err = l.tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("write the index: %w", classed(err))
	}
	return nil
}

// finish writes what was gathered over the batches.
func (l *load) finish(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := l.writeNames(ctx); err != nil {
		return err
	}
	for k, s := range l.days {
		if _, err := l.tx.StmtContext(ctx, l.d.stmts.day).ExecContext(ctx, k.day, k.team, k.model, k.status, s.calls, s.in, s.out, s.cost, s.bytes); err != nil {
			return err
		}
	}
	for hour, r := range l.hours {
		if _, err := l.tx.StmtContext(ctx, l.d.stmts.hour).ExecContext(ctx, hour, r[0], r[1]); err != nil {
			return err
		}
	}
	_, err := l.tx.StmtContext(ctx, l.d.stmts.position).ExecContext(ctx, int64(l.upto))
	return err
}

// nameRows is how many names one statement inserts: most of the time goes into the statements, not the rows.
const nameRows = 64

func (l *load) writeNames(ctx context.Context) error {
	slices.SortFunc(l.names, func(a, b [3]int64) int { return slices.Compare(a[:], b[:]) })
	many, one := l.tx.StmtContext(ctx, l.d.stmts.names), l.tx.StmtContext(ctx, l.d.stmts.name)
	args := make([]any, 0, 3*nameRows)
	for part := range slices.Chunk(l.names, nameRows) {
		args = args[:0]
		for _, n := range part {
			args = append(args, n[0], n[1], n[2])
		}
		if len(part) == nameRows {
			if _, err := many.ExecContext(ctx, args...); err != nil {
				return err
			}
			continue
		}
		for i := range part {
			if _, err := one.ExecContext(ctx, args[3*i:3*i+3]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// rowID is the number of a row.
func rowID(seq record.Seq, line int) int64 { return int64(seq)<<lineBits | int64(line) }

// partOf is the part of the names in which those of a row lie.
func partOf(r int64) int64 { return r >> (lineBits + partBits) }

// rowArgs are the values of a row in the order of columns.
func rowArgs(args []any, r int64, row *filter.Row) {
	clear(args)
	args[0], args[1], args[2] = r, row.Time.UnixNano(), row.Size
	args[3], args[4], args[5] = null(row.Door), null(row.Source), null(row.Bucket)
	args[6], args[7] = row.Key, row.Digest[:]
	at := 1 + len(base)
	for name, v := range row.Fields.All() {
		for extracted[at-1-len(base)] != name {
			at++
		}
		switch v := v.(type) {
		case time.Time:
			args[at] = v.UnixNano()
		case []string:
			args[at] = tagBreak + strings.Join(v, tagBreak) + tagBreak
		default:
			args[at] = v
		}
		at++
	}
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func sum(days map[dayKey]*daySum, row *filter.Row) {
	f := &row.Fields
	k := dayKey{row.Time.UnixNano() / day, or(f.Team), or(f.Model), or(f.Status)}
	s := days[k]
	if s == nil {
		s = &daySum{}
		days[k] = s
	}
	s.calls++
	s.in, s.out, s.cost = s.in+or(f.TokensIn), s.out+or(f.TokensOut), s.cost+or(f.Cost)
	if row.Line <= 1 {
		s.bytes += row.Size
	}
}

// or is what p points at, or the zero value.
func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func span(hours map[int64][2]int64, hour, r int64) {
	s, ok := hours[hour]
	if !ok {
		s = [2]int64{r, r}
	}
	hours[hour] = [2]int64{min(s[0], r), max(s[1], r)}
}
