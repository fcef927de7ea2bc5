package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"indelible/internal/record"
)

// load is one transaction: what several batches add is in the index with its commit, all of it or nothing.
type load struct {
	d     *db
	tx    *sql.Tx
	calls int
	names [][3]int64 // part, hash and row; written at the end, in the order of the table, so that each page is written once
	days  map[dayKey]*daySum
	hours map[int64][2]int64
	upto  record.Seq

	forgets int64 // of d, when the first of these was read
}

// errForgot says that records were forgotten since those of a load were read: it may hold some of them, which must not come back.
var errForgot = errors.New("records were forgotten meanwhile")

// begin begins a load of what is read of the log from now on, or was since forgets was this.
func (d *db) begin(ctx context.Context, forgets int64) (*load, error) {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("write the index: %w", classed(err))
	}
	return &load{d: d, tx: tx, days: map[dayKey]*daySum{}, hours: map[int64][2]int64{}, forgets: forgets}, nil
}

// add writes a batch in a transaction of its own, which was read since forgets was this.
func (d *db) add(ctx context.Context, b *batch, forgets int64) error {
	l, err := d.begin(ctx, forgets)
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
	if err == nil && l.d.forgets.Load() != l.forgets { // who forgets counts first, and then waits for this transaction
		err = errForgot
	}
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
