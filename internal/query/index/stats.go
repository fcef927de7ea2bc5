package index

import (
	"context"
	"database/sql"
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

// Stats yields the sums of the calls at or below the position that match, by these dimensions, in no order, and
// returns the position. Sums of everything by day, team, model and status are kept; others are made from the rows.
func (x *Index) Stats(ctx context.Context, f *filter.Filter, by []string, yield func(Sum) bool) (at record.Seq, err error) {
	err = x.with(func(d *db) error {
		at, err = d.stats(ctx, f, by, yield)
		return err
	})
	return at, err
}

func (d *db) stats(ctx context.Context, f *filter.Filter, by []string, yield func(Sum) bool) (at record.Seq, err error) {
	c, kept := keptClause(f)
	for _, name := range by {
		kept = kept && (name == Day || isKept(name))
	}
	var list []string
	dayAt := -1
	for i, name := range by {
		switch {
		case name == Day && !kept:
			list, dayAt = append(list, "time / 86400000000000"), i
		case name == Day:
			list, dayAt = append(list, "day"), i
		default:
			list = append(list, `ifnull("`+name+`", '')`) // Dimension says that it is a column
		}
	}
	group := strings.Join(list, ", ")
	sums, from := "count(*), ifnull(sum(tokens_in), 0), ifnull(sum(tokens_out), 0), ifnull(sum(cost), 0.0)", "calls"
	if kept {
		sums, from = "ifnull(sum(calls), 0), ifnull(sum(tokens_in), 0), ifnull(sum(tokens_out), 0), ifnull(sum(cost), 0.0)", "days"
	}
	if !kept {
		if c, err = d.compile(ctx, f); err != nil {
			return 0, classed(err)
		}
	}
	text := "SELECT " + sums
	if group != "" {
		text += ", " + group
	}
	text += " FROM " + from + " " + c.where()
	if group != "" {
		text += " GROUP BY " + group
	}
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // the position and the sums are of one moment
	if err != nil {
		return 0, classed(err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	if err := tx.QueryRowContext(ctx, "SELECT position FROM about").Scan(&at); err != nil {
		return 0, classed(err)
	}
	return at, yieldSums(ctx, tx, text, c.args, len(by), dayAt, yield)
}

// isKept says whether the sums by day are kept for each value of a field.
func isKept(name string) bool { return name == "team" || name == "model" || name == "status" }

// keptClause is a filter as a condition on the sums that are kept; false if they do not tell what it asks.
func keptClause(f *filter.Filter) (*clause, bool) {
	c := &clause{}
	for i := range f.Terms {
		t := &f.Terms[i]
		if t.Field == nil || !isKept(t.Field.Name) {
			return nil, false
		}
		c.and(text("nullif("+quoted(t)+", '')", t), textArgs(t)...)
	}
	return c, true
}

func yieldSums(ctx context.Context, tx *sql.Tx, text string, args []any, width, dayAt int, yield func(Sum) bool) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return classed(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		s := Sum{By: make([]string, width)}
		var number int64
		into := []any{&s.Calls, &s.TokensIn, &s.TokensOut, &s.Cost}
		for i := range s.By {
			if i == dayAt {
				into = append(into, &number)
			} else {
				into = append(into, &s.By[i])
			}
		}
		if err := rows.Scan(into...); err != nil {
			return classed(err)
		}
		if dayAt >= 0 {
			s.By[dayAt] = time.Unix(number*86400, 0).UTC().Format(time.DateOnly)
		}
		if !yield(s) {
			return nil
		}
	}
	return classed(rows.Err())
}
