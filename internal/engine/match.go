package engine

import (
	"context"
	"errors"
	"fmt"

	"indelible/internal/proof"
	"indelible/internal/record"
)

// Match opens the log in the destination and compares it with this data
// directory. nil means that they belong together. A *ForkedError is final, and remembered
// in the directory. Any other error says that the destination could not be asked; Match can be called again.
func (e *Engine) Match(ctx context.Context) error {
	if e.ledger == nil {
		return nil
	}
	return e.ledger.Ready(ctx)
}

// Suspect says that the log was found forked in another destination than this one: then
// nothing should be acknowledged before Match has succeeded.
func (e *Engine) Suspect() bool { return e.suspect }

// match compares the log in the destination with the spool.
func (l *ledger) match(ctx context.Context, log *proof.Log) error {
	st := l.parts.spool.Stats()
	next, acked, released := log.Next(), record.Seq(st.Acked), record.Seq(st.Released)
	switch {
	case next > acked+1:
		return fmt.Errorf("in the bucket it has come to record %d, but this data directory has acknowledged only %d: another process writes this log, or the data directory is new or an old copy: %w", next-1, acked, proof.ErrForked)
	case next > 0 && next <= released:
		return fmt.Errorf("in the bucket it has come to record %d, but this data directory has had everything up to record %d proven: the bucket was put back to an older state: %w", next-1, released, proof.ErrForked)
	case next <= released+1:
		return nil
	}
	// Records in the tree wait here too, as after a crash. In an old copy that went on by itself they are others.
	e, ok, err := l.parts.spool.Entry(ctx, next-1)
	if _, lost := errors.AsType[*record.GapError](err); lost || err == nil && !ok {
		return nil
	}
	if err != nil {
		return err
	}
	// The log compares what it has already, and adds nothing.
	return log.Add(ctx, record.Outcome{Info: e.Info, State: record.Deferred})
}
