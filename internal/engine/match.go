package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
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

// Bounds of AwaitMatch.
const (
	awayPatience = time.Second            // for a destination to which no connection can be made
	gonePatience = 20 * time.Second       // for one that says the checkpoint is gone: proof.Open asks twice, for up to ten seconds each
	matchPause   = 200 * time.Millisecond // between two attempts
)

// AwaitMatch is Match, asked again for at most patience: a destination that answers with errors may hold
// another log all the same. One to which no connection can be made is waited for only a second. One that
// says that the checkpoint is gone is asked until that is certain: it may be the wrong bucket or prefix.
func (e *Engine) AwaitMatch(ctx context.Context, patience time.Duration) error {
	err := awaitMatchFor(ctx, patience, e.Match)
	if store.ClassOf(err) == store.NotFound && patience < gonePatience {
		err = awaitMatchFor(ctx, gonePatience, e.Match)
	}
	return err
}

func awaitMatchFor(ctx context.Context, patience time.Duration, match func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return awaitMatch(ctx, match)
}

func awaitMatch(ctx context.Context, match func(context.Context) error) error {
	start := time.Now()
	for {
		err := match(ctx)
		if err == nil || errors.Is(err, proof.ErrForked) || ctx.Err() != nil {
			return err
		}
		if store.ClassOf(err) != store.Unreachable {
			start = time.Now() // it answers
		} else if time.Since(start) >= awayPatience {
			return err
		}
		select {
		case <-time.After(matchPause):
		case <-ctx.Done():
			return err
		}
	}
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
	// The newest of them that can be read tells; if none can, nothing can be told.
	e, ok, err := l.newestReadable(ctx, released, next)
	if err != nil || !ok {
		return err
	}
	// The log compares what it has already, and adds nothing.
	return log.Add(ctx, record.Outcome{Info: e.Info, State: record.Deferred})
}

// newestReadable is the newest record after one and before another that the spool can read; !ok if there is none.
func (l *ledger) newestReadable(ctx context.Context, after, before record.Seq) (e record.Entry, ok bool, err error) {
	for seq := before - 1; seq > after && ctx.Err() == nil; seq-- {
		e, ok, err = l.parts.spool.Entry(ctx, seq)
		if gap, lost := errors.AsType[*record.GapError](err); lost {
			seq = min(seq, max(gap.First, after+1))
			continue
		}
		if _, unread := errors.AsType[*record.ReadError](err); unread {
			continue
		}
		if err != nil || ok {
			return e, ok, err
		}
	}
	return record.Entry{}, false, ctx.Err()
}
