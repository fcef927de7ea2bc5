package engine

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run delivers and proves until ctx ends or Stop is called, and returns nil once everything that it
// started has ended. Its error says that the log can go no further. One Run at a time.
func (e *Engine) Run(ctx context.Context) error {
	ctx, ended, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer ended()
	if e.dest.Sweep != nil {
		if err := e.dest.Sweep(time.Now()); err != nil {
			e.log.Warn("what a crash left in the destination could not be removed", "error", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.uploader.Run(ctx) })
	if e.ledger != nil {
		g.Go(func() error { return e.ledger.run(ctx) })
	}
	if e.scrubber != nil {
		g.Go(func() error {
			e.scrubber.run(ctx)
			return nil
		})
	}
	return g.Wait()
}

// begin notes that Run runs. The caller calls ended when it has.
func (e *Engine) begin(ctx context.Context) (running context.Context, ended func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil {
		return nil, nil, errors.New("run: the log is running already")
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	e.stop, e.done = stop, done
	return running, func() {
		stop()
		e.mu.Lock()
		e.stop = nil
		e.mu.Unlock()
		close(done)
	}, nil
}

// Running says whether something is in Run.
func (e *Engine) Running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stop != nil
}

// Signed says whether the log is a signed one.
func (e *Engine) Signed() bool { return e.ledger != nil }

// Drain returns once everything that is durable is stored and proven, or set
// parked, or with ctx's error. Run must be running.
func (e *Engine) Drain(ctx context.Context) error { return e.uploader.Drain(ctx) }

// end ends Run, if it runs, and waits for it.
func (e *Engine) end() {
	e.mu.Lock()
	stop, done := e.stop, e.done
	e.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// stopPatience bounds how long a stop waits for the last checkpoint.
const stopPatience = 10 * time.Second

// Stop ends Run and says in the log that the process ended in good order. Where the
// destination does not answer, that is on the disk, and goes out with the next start.
func (e *Engine) Stop(ctx context.Context) {
	e.end()
	if e.ledger == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	e.ledger.stop(ctx)
}

// Close ends Run and lets go of everything that is open. Without a Stop before
// it, the next start says in the log that this one did not end in good order.
func (e *Engine) Close() error {
	e.end()
	return e.Components.Close()
}
