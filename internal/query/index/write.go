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
	call, name, day, hour, words, gap, noGap, position *sql.Stmt
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
		{&d.stmts.name, "INSERT OR IGNORE INTO names VALUES (?, ?)"},
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
	for _, one := range []*sql.Stmt{s.call, s.name, s.day, s.hour, s.words, s.gap, s.noGap, s.position} {
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

// batch is what one transaction adds: all of it, or nothing.
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

// add writes a batch and moves the position.
func (d *db) add(ctx context.Context, b *batch) error {
	err := d.inTx(ctx, func(tx *sql.Tx) error { return d.addIn(ctx, tx, b) })
	if err != nil {
		return fmt.Errorf("write the index: %w", classed(err))
	}
	return nil
}

func (d *db) addIn(ctx context.Context, tx *sql.Tx, b *batch) error {
	days, hours := map[dayKey]*daySum{}, map[int64][2]int64{}
	var names [][2]int64
	call, words := tx.StmtContext(ctx, d.stmts.call), tx.StmtContext(ctx, d.stmts.words)
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
			names = append(names, [2]int64{h, r})
		}
		sum(days, &doc.Row)
		span(hours, doc.Time.UnixNano()/int64(time.Hour), r)
	}
	// In the order of the table, so that equal pages are written together.
	slices.SortFunc(names, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	name := tx.StmtContext(ctx, d.stmts.name)
	for _, n := range names {
		if _, err := name.ExecContext(ctx, n[0], n[1]); err != nil {
			return err
		}
	}
	for k, s := range days {
		if _, err := tx.StmtContext(ctx, d.stmts.day).ExecContext(ctx, k.day, k.team, k.model, k.status, s.calls, s.in, s.out, s.cost, s.bytes); err != nil {
			return err
		}
	}
	for hour, r := range hours {
		if _, err := tx.StmtContext(ctx, d.stmts.hour).ExecContext(ctx, hour, r[0], r[1]); err != nil {
			return err
		}
	}
	for _, seq := range b.unread {
		if _, err := tx.StmtContext(ctx, d.stmts.gap).ExecContext(ctx, int64(seq)); err != nil {
			return err
		}
	}
	for _, seq := range b.filled {
		if _, err := tx.StmtContext(ctx, d.stmts.noGap).ExecContext(ctx, int64(seq)); err != nil {
			return err
		}
	}
	_, err := tx.StmtContext(ctx, d.stmts.position).ExecContext(ctx, int64(b.upto))
	return err
}

// rowID is the number of a row.
func rowID(seq record.Seq, line int) int64 { return int64(seq)<<lineBits | int64(line) }

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
