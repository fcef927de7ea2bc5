package engine

import (
	"context"
	"errors"
	"fmt"

	"indelible/internal/proof"
	"indelible/internal/record"
)

// State is how far a record has come, as the disk and the log tell it: Pending,
// Deferred, Quarantined, or, once the spool may forget it, Proven in a log that is
// signed and Stored in one that is not; reason says why one was parked. A record that the disk has lost is a *record.GapError.
func (e *Engine) State(ctx context.Context, seq record.Seq) (state record.State, reason string, err error) {
	if acked := e.spool.Stats().Acked; seq == 0 || uint64(seq) > acked {
		return "", "", fmt.Errorf("record %d: the newest here is %d", seq, acked)
	}
	for a, err := range e.spool.Parked(ctx) {
		if err != nil {
			return "", "", fmt.Errorf("record %d: %w", seq, err)
		}
		if a.Seq == seq {
			return a.State, a.Reason, nil
		}
	}
	pending, err := e.pending(ctx, seq)
	switch {
	case err != nil:
		return "", "", err
	case pending:
		return record.Pending, "", nil
	case seq <= e.spool.Released():
		// What the disk lost was released too.
		if err := e.lost(ctx, seq); err != nil {
			return "", "", err
		}
	}
	if e.ledger == nil {
		return record.Stored, "", nil
	}
	return record.Proven, "", nil
}

// pending says whether the spool still has to deliver a record.
func (e *Engine) pending(ctx context.Context, seq record.Seq) (bool, error) {
	for entry, err := range e.spool.Entries(ctx, seq) { // the first one tells: it skips what is settled
		if gap, ok := errors.AsType[*record.GapError](err); ok {
			if gap.First <= seq {
				return false, gap
			}
			return false, nil
		}
		if unread, ok := errors.AsType[*record.ReadError](err); ok {
			return unread.Seq == seq, nil
		}
		if err != nil {
			return false, fmt.Errorf("record %d: %w", seq, err)
		}
		return entry.Seq == seq, nil
	}
	return false, nil
}

// lost is the gap in which a released record lies; nil if it lies in none.
func (e *Engine) lost(ctx context.Context, seq record.Seq) error {
	if e.spool.Stats().GapRecords == 0 {
		return nil
	}
	if gap := e.gaps.find(seq); gap != nil {
		return gap
	}
	if e.ledger == nil {
		return fmt.Errorf("record %d was released before this process began, and the disk has lost some records since: an unsigned log cannot tell which", seq)
	}
	log, err := e.ledger.open(ctx)
	if err != nil {
		return fmt.Errorf("record %d: %w", seq, err)
	}
	leaf, ok, err := log.Leaf(ctx, seq)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("record %d was released, and the log has no leaf of it", seq)
	case leaf.Kind == proof.Gap:
		return &record.GapError{First: leaf.First, Last: leaf.Last, Cause: leaf.Reason}
	}
	return nil
}
