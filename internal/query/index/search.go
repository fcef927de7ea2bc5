package index

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"
	"time"

	"indelible/internal/fields"
	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// clause is a condition in SQL and what its marks stand for. A person's text is never part of the SQL.
type clause struct {
	sql  []string
	args []any
}

func (c *clause) and(sql string, args ...any) {
	c.sql = append(c.sql, sql)
	c.args = append(c.args, args...)
}

func (c *clause) where() string {
	if len(c.sql) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.sql, " AND ")
}

// asker asks the file: the pool of readers, or a transaction.
type asker interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// compile is a filter as SQL, but for its terms about the state, which the index does not know. Words are looked for in the rows from first to last alone.
func compile(ctx context.Context, d asker, f *filter.Filter, first, last int64) (*clause, error) {
	c := &clause{}
	for i := range f.Terms {
		t := &f.Terms[i]
		switch {
		case t.Field == nil:
			c.and("(r IN (SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?) OR r IN ("+rowsNamed(1)+"))", phrase(t), first, last, hash(t.Text))
		case t.Field.Name == "state":
		case t.Field.Name == "seq":
			c.and("(r >> ?) "+string(t.Op)+" ?", lineBits, t.Num)
			c.seqs(t)
		case t.Field.Name == "time":
			c.and("time "+string(t.Op)+" ?", t.Time.UnixNano())
			if err := hours(ctx, d, c, t); err != nil {
				return nil, err
			}
		case t.Field.Name == "sha256":
			c.and(text(`lower(hex("sha256"))`, t), textArgs(t)...)
		case t.Field.Kind == filter.Text:
			c.and(text(quoted(t), t), textArgs(t)...)
			if isName := t.Field.Name == "id" || t.Field.Name == "call_id" || t.Field.Name == "trace_id"; isName && t.Op == filter.Equal && t.Text != "" {
				c.and("r IN ("+rowsNamed(1)+")", hash(t.Text))
			}
		case t.Field.Kind == filter.List:
			c.list(t)
		case t.Field.Kind == filter.Number:
			c.compare(t, t.Num)
		case t.Field.Kind == filter.Time:
			c.compare(t, t.Time.UnixNano())
		case t.Field.Kind == filter.Bool:
			c.compare(t, t.Bool)
		}
	}
	return c, nil
}

// quoted is a field's column.
func quoted(t *filter.Term) string { return `"` + t.Field.Name + `"` }

func (c *clause) compare(t *filter.Term, v any) {
	if t.Op == filter.NotEqual {
		c.and("("+quoted(t)+" IS NULL OR "+quoted(t)+" <> ?)", v)
		return
	}
	c.and(quoted(t)+" "+string(t.Op)+" ?", v)
}

// text is a comparison of a column of texts.
func text(column string, t *filter.Term) string {
	switch {
	case t.Op == filter.Equal && t.Text == "":
		return column + " IS NULL"
	case t.Op == filter.NotEqual && t.Text == "":
		return column + " IS NOT NULL"
	case t.Op == filter.Equal:
		return column + " = ?"
	case t.Op == filter.NotEqual:
		return column + " IS NOT ?"
	case t.Op == filter.Contains:
		return "instr(lower(" + column + "), ?) > 0"
	}
	return "ifnull(instr(lower(" + column + "), ?), 0) = 0"
}

func textArgs(t *filter.Term) []any {
	switch {
	case t.Text == "":
		return nil
	case t.Op == filter.Contains || t.Op == filter.Lacks:
		return []any{filter.FoldASCII(t.Text)}
	}
	return []any{t.Text}
}

// list is a comparison of a column of several texts, each between two breaks.
func (c *clause) list(t *filter.Term) {
	whole := tagBreak + t.Text + tagBreak
	switch {
	case t.Text == "" || t.Op == filter.Contains || t.Op == filter.Lacks:
		c.and(text(quoted(t), t), textArgs(t)...)
	case t.Op == filter.Equal:
		c.and("instr("+quoted(t)+", ?) > 0", whole)
	default:
		c.and("ifnull(instr("+quoted(t)+", ?), 0) = 0", whole)
	}
}

// seqs bounds the rows to be looked at by a comparison of seq.
func (c *clause) seqs(t *filter.Term) {
	n := math.Min(math.Max(t.Num, 0), 1<<42)
	switch t.Op {
	case filter.Equal:
		c.and("r BETWEEN ? AND ?", int64(n)<<lineBits, (int64(n)+1)<<lineBits)
	case filter.More, filter.MoreEqual:
		c.and("r >= ?", int64(n)<<lineBits)
	case filter.Less, filter.LessEqual:
		c.and("r < ?", (int64(n)+1)<<lineBits)
	}
}

// hours bounds the rows to be looked at by a comparison of the arrival.
func hours(ctx context.Context, d asker, c *clause, t *filter.Term) error {
	hour := t.Time.UnixNano() / int64(time.Hour)
	var first, last sql.NullInt64
	var err error
	switch t.Op {
	case filter.More, filter.MoreEqual:
		err = d.QueryRowContext(ctx, "SELECT min(first) FROM hours WHERE hour >= ?", hour).Scan(&first)
	case filter.Less, filter.LessEqual:
		err = d.QueryRowContext(ctx, "SELECT max(last) FROM hours WHERE hour <= ?", hour).Scan(&last)
	default:
		return nil
	}
	switch {
	case first.Valid:
		c.and("r >= ?", first.Int64)
	case last.Valid:
		c.and("r <= ?", last.Int64)
	default: // no record arrived then
		c.and("0")
	}
	return err
}

// phrase is words as FTS5 looks for them.
func phrase(t *filter.Term) string {
	s := `"` + strings.ReplaceAll(strings.Join(t.Words, " "), `"`, `""`) + `"`
	if t.Prefix {
		s += " *"
	}
	return s
}

// search yields the calls that match, newest first. Terms about the state are passed over.
func (d *db) search(ctx context.Context, f *filter.Filter, upto record.Seq, yield func(filter.Row) bool) error {
	if f.HasWords() {
		return d.searchWords(ctx, f, upto, firstWindow, yield)
	}
	c, err := compile(ctx, d.read, f, 0, math.MaxInt64)
	if err != nil {
		return classed(err)
	}
	c.and("r < ?", rowID(upto+1, 0))
	return d.rows(ctx, c.where()+" ORDER BY r DESC", c.args, yield)
}

// firstWindow is how many records words are looked for in first; each window behind it is windowGrows times as large.
const (
	firstWindow = 16 << 10
	windowGrows = 4
	maxWindow   = 1 << 40
)

// searchWords is search where words are among the terms. All rows that have a common word take seconds to collect and
// to sort, and mostly the newest are enough: so it looks in one range of rows after the other, the newest first.
func (d *db) searchWords(ctx context.Context, f *filter.Filter, upto record.Seq, window int64, yield func(filter.Row) bool) error {
	var first, last sql.NullInt64
	if err := d.read.QueryRowContext(ctx, "SELECT (SELECT min(r) FROM calls), (SELECT max(r) FROM calls WHERE r < ?)", rowID(upto+1, 0)).Scan(&first, &last); err != nil {
		return classed(err)
	}
	more := last.Valid
	for end := last.Int64; more && end >= first.Int64; window = min(windowGrows*window, maxWindow) {
		begin := max(first.Int64, end-window<<lineBits)
		c, err := compile(ctx, d.read, f, begin, end)
		if err != nil {
			return classed(err)
		}
		c.and("r BETWEEN ? AND ?", begin, end)
		err = d.rows(ctx, c.where()+" ORDER BY r DESC", c.args, func(row filter.Row) bool {
			more = yield(row)
			return more
		})
		if err != nil {
			return err
		}
		end = begin - 1
	}
	return nil
}

// after is search of the calls of records behind seq, oldest first, at most limit of them.
func (d *db) after(ctx context.Context, f *filter.Filter, seq, upto record.Seq, limit int, yield func(filter.Row) bool) error {
	c, err := compile(ctx, d.read, f, 0, math.MaxInt64)
	if err != nil {
		return classed(err)
	}
	c.and("r >= ?", rowID(seq+1, 0))
	c.and("r < ?", rowID(upto+1, 0))
	return d.rows(ctx, c.where()+" ORDER BY r LIMIT ?", append(c.args, limit), yield)
}

// rows yields the calls that a query selects.
func (d *db) rows(ctx context.Context, where string, args []any, yield func(filter.Row) bool) error {
	return rowsOf(ctx, d.read, where, args, yield)
}

// querier is a connection, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// rowsOf is rows as q has them.
func rowsOf(ctx context.Context, q querier, where string, args []any, yield func(filter.Row) bool) error {
	rows, err := q.QueryContext(ctx, "SELECT r, "+columns()+" FROM calls "+where, args...)
	if err != nil {
		return classed(err)
	}
	defer func() { _ = rows.Close() }()
	values := make([]any, 1+len(base)+len(extracted))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return classed(err)
		}
		row, err := rowOf(values)
		if err != nil {
			return err
		}
		if !yield(row) {
			return nil
		}
	}
	return classed(rows.Err())
}

// rowOf is the inverse of rowArgs.
func rowOf(values []any) (row filter.Row, err error) {
	bad := func(name string) error { return fmt.Errorf("%w: a row has no valid %s", ErrDamaged, name) }
	r, _ := values[0].(int64)
	row.Seq, row.Line = record.Seq(r>>lineBits), int(r&maxLines)
	at, ok := values[1].(int64)
	if !ok {
		return row, bad("time")
	}
	row.Time = time.Unix(0, at).UTC()
	if row.Size, ok = values[2].(int64); !ok {
		return row, bad("size")
	}
	row.Door, row.Source, row.Bucket, row.Key = str(values[3]), str(values[4]), str(values[5]), str(values[6])
	sum, _ := values[7].([]byte)
	if copy(row.Digest[:], sum) != len(row.Digest) {
		return row, bad("sha256")
	}
	set(&row.Fields, values[1+len(base):])
	return row, nil
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

// set takes the values of the extracted columns, in their order.
func set(f *fields.Fields, v []any) {
	for i, into := range [...]any{
		&f.ID, &f.CallID, &f.TraceID, &f.ParentID, &f.Provider, &f.Model, &f.ServedModel, &f.ModelGroup, &f.APIBase, &f.CallType, &f.Stream,
		&f.Status, &f.ErrorCode, &f.ErrorClass, &f.ErrorMessage, &f.FinishReason, &f.EndedBy, &f.Start, &f.End, &f.FirstToken,
		&f.Team, &f.TeamID, &f.KeyAlias, &f.KeyHash, &f.User, &f.EndUser, &f.TokensIn, &f.TokensOut, &f.TokensCached, &f.TokensReasoning,
		&f.Cost, &f.Tags, &f.UserAgent,
	} {
		switch into := into.(type) {
		case **string:
			if s, ok := v[i].(string); ok {
				*into = &s
			}
		case **bool:
			if n, ok := v[i].(int64); ok {
				*into = new(n != 0)
			}
		case **int64:
			if n, ok := v[i].(int64); ok {
				*into = &n
			}
		case **float64:
			if n, ok := v[i].(float64); ok {
				*into = &n
			}
		case **time.Time:
			if n, ok := v[i].(int64); ok {
				*into = new(time.Unix(0, n).UTC())
			}
		case *[]string:
			if s, ok := v[i].(string); ok {
				*into = strings.Split(strings.Trim(s, tagBreak), tagBreak)
			}
		}
	}
}
