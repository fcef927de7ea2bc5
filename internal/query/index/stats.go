package index

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// Sum is one row of sums.
type Sum struct {
	By        []string `json:"by"` // the values summed over, in the order asked for; "" where a call has none
	Calls     int64    `json:"calls"`
	TokensIn  int64    `json:"tokens_in"`
	TokensOut int64    `json:"tokens_out"`
	Cost      float64  `json:"cost"`
}

// Add adds another row of the same values.
func (s *Sum) Add(o Sum) {
	s.Calls, s.TokensIn, s.TokensOut, s.Cost = s.Calls+o.Calls, s.TokensIn+o.TokensIn, s.TokensOut+o.TokensOut, s.Cost+o.Cost
}

// Day is what sums by day of arrival are asked for by.
const Day = "day"

// Dimension says whether sums can be asked for by a name: "day", or a field that is a text of a call.
func Dimension(name string) bool {
	f := filter.FieldOf(name)
	return name == Day || f != nil && f.Kind == filter.Text && name != "state" && name != "sha256"
}

// DimensionOf is a row's value of a dimension.
func DimensionOf(row *filter.Row, name string) string {
	if name == Day {
		return row.Time.UTC().Format(time.DateOnly)
	}
	s, _ := row.Value(name).(string)
	return s
}

// Stats yields the sums of the calls at or below the position that match, by these dimensions, in no order and
// perhaps in several parts, and returns the position. Sums of everything by day, team, model and status are kept; others are made from the rows, and
// so are those of the parts of days with which a stretch of time begins and ends.
func (x *Index) Stats(ctx context.Context, f *filter.Filter, by []string, yield func(Sum) bool) (at record.Seq, err error) {
	err = x.with(func(d *db) error {
		at, err = d.stats(ctx, f, by, yield)
		return err
	})
	return at, err
}

func (d *db) stats(ctx context.Context, f *filter.Filter, by []string, yield func(Sum) bool) (at record.Seq, err error) {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // the position and the sums are of one moment
	if err != nil {
		return 0, classed(err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	if err := tx.QueryRowContext(ctx, "SELECT position FROM about").Scan(&at); err != nil {
		return 0, classed(err)
	}
	more := true
	pass := func(s Sum) bool {
		more = yield(s)
		return more
	}
	c, rest := keptClause(f)
	for _, name := range by {
		if name != Day && !isKept(name) {
			c = nil
		}
	}
	if c == nil {
		rest = []*filter.Filter{f}
	} else if err := yieldSums(ctx, tx, "days", c, by, pass); err != nil {
		return at, err
	}
	for _, f := range rest {
		c, err := compile(ctx, tx, f, 0, math.MaxInt64)
		if err != nil {
			return at, classed(err)
		}
		if !more {
			break
		}
		if err := yieldSums(ctx, tx, "calls", c, by, pass); err != nil {
			return at, err
		}
	}
	return at, nil
}

// isKept says whether the sums by day are kept for each value of a field.
func isKept(name string) bool { return name == "team" || name == "model" || name == "status" }

// keptClause is a filter as a condition on the sums that are kept; nil if they do not tell what it asks. rest are what is
// left to be asked of the rows: the parts of days.
func keptClause(f *filter.Filter) (c *clause, rest []*filter.Filter) {
	c = &clause{}
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	for i := range f.Terms {
		t := &f.Terms[i]
		switch {
		case t.Field != nil && isKept(t.Field.Name):
			c.and(text("nullif("+quoted(t)+", '')", t), textArgs(t)...)
			continue
		case t.Field == nil || t.Field.Name != "time":
			return nil, nil
		}
		switch at := t.Time.UnixNano(); t.Op {
		case filter.MoreEqual:
			from = max(from, at)
		case filter.More:
			from = max(from, at+1)
		case filter.Less:
			to = min(to, at)
		case filter.LessEqual:
			to = min(to, at+1)
		default:
			return nil, nil
		}
	}
	first, last := floor(from, day), floor(to, day) // the whole days lie before last
	if from > math.MinInt64 {
		if first*day < from {
			first++
		}
		c.and("day >= ?", first)
	}
	if to < math.MaxInt64 {
		c.and("day < ?", last)
	}
	if from > math.MinInt64 && to < math.MaxInt64 && first >= last {
		return nil, nil // no whole day
	}
	part := func(op filter.Op, at int64) {
		term := filter.Term{Field: filter.FieldOf("time"), Op: op, Time: time.Unix(0, at).UTC()}
		rest = append(rest, &filter.Filter{Terms: append(slices.Clone(f.Terms), term)})
	}
	if from > math.MinInt64 && first*day > from {
		part(filter.Less, first*day)
	}
	if to < math.MaxInt64 && last*day < to {
		part(filter.MoreEqual, last*day)
	}
	return c, rest
}

// floor is a / b, rounded down.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// yieldSums sums up the rows of a table, days or calls, that match.
func yieldSums(ctx context.Context, tx *sql.Tx, from string, c *clause, by []string, yield func(Sum) bool) error {
	text := "SELECT count(*), ifnull(sum(tokens_in), 0), ifnull(sum(tokens_out), 0), ifnull(sum(cost), 0.0)"
	kept := from == "days"
	if kept {
		text = "SELECT ifnull(sum(calls), 0), ifnull(sum(tokens_in), 0), ifnull(sum(tokens_out), 0), ifnull(sum(cost), 0.0)"
	}
	var list []string
	for _, name := range by {
		switch {
		case name == Day && !kept:
			list = append(list, fmt.Sprintf("time / %d", day))
		case name == Day:
			list = append(list, "day")
		default:
			list = append(list, `ifnull("`+name+`", '')`) // Dimension says that it is a column
		}
	}
	group := strings.Join(list, ", ")
	if group != "" {
		text += ", " + group
	}
	text += " FROM " + from + " " + c.where()
	if group != "" {
		text += " GROUP BY " + group
	}
	return scanSums(ctx, tx, text, c.args, by, yield)
}

func scanSums(ctx context.Context, tx *sql.Tx, text string, args []any, by []string, yield func(Sum) bool) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return classed(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		s := Sum{By: make([]string, len(by))}
		numbers := make([]int64, len(by))
		into := []any{&s.Calls, &s.TokensIn, &s.TokensOut, &s.Cost}
		for i := range s.By {
			if by[i] == Day {
				into = append(into, &numbers[i])
			} else {
				into = append(into, &s.By[i])
			}
		}
		if err := rows.Scan(into...); err != nil {
			return classed(err)
		}
		for i := range s.By {
			if by[i] == Day {
				s.By[i] = time.Unix(numbers[i]*86400, 0).UTC().Format(time.DateOnly)
			}
		}
		if !yield(s) {
			return nil
		}
	}
	return classed(rows.Err())
}
