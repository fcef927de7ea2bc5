package index

import (
	"context"
	"database/sql"
	"errors"
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
