package engine

import (
	"context"

	"indelible/internal/record"
)

// Append is ingest.Appender's. Once the log is known to be forked nothing is
// acknowledged any more: it fails with record.ErrClosed.
func (e *Engine) Append(ctx context.Context, r record.Record) (record.Receipt, error) {
	if e.dead() {
		return record.Receipt{}, record.ErrClosed
	}
	receipt, err := e.spool.Append(ctx, r)
	if err == nil && e.dead() {
		return record.Receipt{}, record.ErrClosed
	}
	return receipt, err
}

// AppendAll is jsonapi.Appender's, with the same exception.
func (e *Engine) AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error) {
	if e.dead() {
		return nil, record.ErrClosed
	}
	receipts, err := e.spool.AppendAll(ctx, rs)
	if err == nil && e.dead() {
		return nil, record.ErrClosed
	}
	return receipts, err
}

// dead says whether the log can go no further.
func (e *Engine) dead() bool {
	if e.ledger == nil {
		return false
	}
	select {
	case <-e.ledger.dead:
		return true
	default:
		return false
	}
}
