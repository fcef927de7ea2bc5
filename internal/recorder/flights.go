package recorder

import (
	"context"
	"fmt"
	"sync"

	"indelible/internal/record"
)

// flights are the exchanges under way, so that Close can end and await them. The zero value is ready.
type flights struct {
	mu     sync.Mutex
	n      int                    // guarded by mu
	open   map[*exchange]func()   // answers that somebody reads: each ends one; guarded by mu
	closed bool                   // guarded by mu
	empty  map[chan struct{}]bool // closed when n is 0; guarded by mu
}

// enter counts an exchange, unless the recorder is closed. leave must follow.
func (f *flights) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return record.ErrClosed
	}
	f.n++
	return nil
}

// opened notes an answer that is given out, which end ends. Where the recorder is closed, it is called at once.
func (f *flights) opened(x *exchange, end func()) {
	f.mu.Lock()
	closed := f.closed
	if !closed {
		if f.open == nil {
			f.open = map[*exchange]func(){}
		}
		f.open[x] = end
	}
	f.mu.Unlock()
	if closed {
		end()
	}
}

// leave counts an exchange out: its last record is written, or will never be.
func (f *flights) leave(x *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, x)
	if f.n--; f.n == 0 {
		for c := range f.empty {
			close(c)
		}
		clear(f.empty)
	}
}

// close lets nothing begin any more, ends the answers that somebody reads, and waits until all have left.
func (f *flights) close(ctx context.Context) error {
	none := make(chan struct{})
	f.mu.Lock()
	f.closed = true
	var ends []func()
	for _, end := range f.open {
		ends = append(ends, end)
	}
	if f.n == 0 {
		close(none)
	} else {
		if f.empty == nil {
			f.empty = map[chan struct{}]bool{}
		}
		f.empty[none] = true
	}
	f.mu.Unlock()
	for _, end := range ends {
		go end() // they share their fsyncs; whether they are done is told by leave
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.empty, none)
		return fmt.Errorf("%d exchanges are under way: %w", f.n, ctx.Err())
	}
}
