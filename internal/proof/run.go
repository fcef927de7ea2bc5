package proof

import (
	"context"
	"errors"
	"time"
)

// Run publishes a checkpoint at least once in every while leaves are pending, and
// a tick when nothing was added for TickEvery. It returns nil when ctx ends, and an error only if
// the log can go no further; other errors go to Events.Failed and are tried again.
func (l *Log) Run(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		every = DefaultCheckpointEvery
	}
	for sleep(ctx, every) == nil {
		err := l.idle()
		if err == nil {
			err = l.Checkpoint(ctx)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrForked):
			return err
		case l.opt.Events.Failed != nil:
			l.opt.Events.Failed(err)
		}
	}
	return nil
}

// idle adds a tick when it is time.
func (l *Log) idle() error {
	l.mu.Lock()
	quiet := time.Since(l.lastTime) >= TickEvery
	l.mu.Unlock()
	if !quiet {
		return nil
	}
	return l.Tick()
}
