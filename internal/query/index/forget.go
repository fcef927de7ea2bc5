package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// forgetRows is how many rows are deleted in one transaction: the writer waits for no longer.
const forgetRows = 1000

// Forget deletes what the index has of the records up to through, but for those that keep is true for. Sums by day stay. The
// texts of bodies (TextBody) stay among the words until the index is rebuilt, and find nothing.
func (x *Index) Forget(ctx context.Context, through record.Seq, keep func(record.Seq) bool) error {
	err := x.with(func(d *db) error { return d.forget(ctx, through, keep) })
	if errors.Is(err, ErrNotReady) {
		return nil // it is made from what is left
	}
	return err
}

// ForgetAlone is Forget for a command that has the data directory for itself.
func (x *Index) ForgetAlone(ctx context.Context, through record.Seq, keep func(record.Seq) bool) error {
	d, err := open(ctx, x.o.Path, x.o.Log, x.o.Text, true)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) || errors.Is(err, errOther) {
		return nil // the next daemon rebuilds it
	}
	if err != nil {
		return fmt.Errorf("open the index: %w", err)
	}
	err = d.forget(ctx, through, keep)
	return errors.Join(err, d.close(err == nil))
}

func (d *db) forget(ctx context.Context, through record.Seq, keep func(record.Seq) bool) error {
	if d.write == nil {
		return errors.New("forget records: the index is open for reading only")
	}
	d.forgets.Add(1) // what was read before this and is not in the index yet is read again
	for at, end := int64(0), rowID(through+1, 0); at < end; {
		var rows []filter.Row
		err := d.inTx(ctx, func(tx *sql.Tx) error { // which waits for what is being added
			err := rowsOf(ctx, tx, "WHERE r >= ? AND r < ? ORDER BY r LIMIT ?", []any{at, end, forgetRows}, func(row filter.Row) bool {
				rows = append(rows, row)
				return true
			})
			if err != nil || len(rows) == 0 {
				return err
			}
			return d.forgetIn(ctx, tx, rows, keep)
		})
		if err != nil {
			return fmt.Errorf("forget records in the index: %w", classed(err))
		}
		if len(rows) == 0 {
			break
		}
		last := &rows[len(rows)-1]
		at = rowID(last.Seq, last.Line) + 1
	}
	return nil
}

func (d *db) forgetIn(ctx context.Context, tx *sql.Tx, rows []filter.Row, keep func(record.Seq) bool) error {
	forgotten := 0
	for i := range rows {
		row := &rows[i]
		if keep(row.Seq) {
			continue
		}
		forgotten++
		r := rowID(row.Seq, row.Line)
		for _, h := range hashesOf(row) {
			if _, err := tx.ExecContext(ctx, "DELETE FROM names WHERE part = ? AND h = ? AND r = ?", partOf(r), h, r); err != nil {
				return err
			}
		}
		if d.text == TextFields {
			// The table keeps no copy of the text: it is told which words to take out.
			if text := filter.FieldText(row); text != "" {
				if _, err := tx.ExecContext(ctx, "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", r, text); err != nil {
					return err
				}
			}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM calls WHERE r = ?", r); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "UPDATE about SET forgotten = forgotten + ?", forgotten) // the sums still count them
	return err
}
