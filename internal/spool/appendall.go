package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"syscall"
	"time"

	"indelible/internal/record"
)

// AppendAll makes records durable together and returns their receipts, in their
// order: as many Appends, but with one group commit for all that fit into it,
// and with consecutive numbers for all that were not known. After an error none is acked;
// some may be delivered all the same.
//
// A short body that is a *bytes.Buffer is not copied: its bytes must not change
// before AppendAll has returned, nor after it returned an error.
func (s *Spool) AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error) {
	if s.opts.ReadOnly {
		return nil, fmt.Errorf("append: %w: the spool is open for reading only", record.ErrClosed)
	}
	arrived := time.Now()
	g := &group{s: s, members: make([]member, 0, len(rs)), lead: make(chan struct{}, 1)}
	defer g.free()
	for _, r := range rs {
		if err := g.admit(ctx, r, arrived); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	read := time.Now()
	if err := g.commit(ctx); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	receipts := make([]record.Receipt, len(g.members))
	for i := range g.members {
		receipts[i] = g.members[i].receipt
		if s.opts.Events.Acked != nil {
			s.opts.Events.Acked(rs[i].Door, time.Since(read))
		}
	}
	return receipts, nil
}

// group is the records of one AppendAll. Its waiters share one lead channel, so
// that the goroutine that waits for all of them takes the writer's role for any.
type group struct {
	s       *Spool
	members []member
	lead    chan struct{}
}

type member struct {
	in      *intake
	w       *waiter
	receipt record.Receipt
	acked   bool
}

// admit reads one record.
func (g *group) admit(ctx context.Context, r record.Record, arrived time.Time) error {
	if err := checkNames(r); err != nil {
		return err
	}
	in, err := g.intake(ctx, r)
	if err != nil {
		return err
	}
	w := in.waiter(r, arrived)
	if _, inPlace := r.Body.(*bytes.Buffer); inPlace && in.file == nil {
		w.buf = nil // the caller's
	}
	w.lead = g.lead
	g.members = append(g.members, member{in: in, w: w})
	return g.s.seeBucket(r.Bucket, arrived)
}

// checkNames refuses what no entry can hold.
func checkNames(r record.Record) error {
	if r.Door == "" || r.Key == "" || len(r.Key) > record.MaxKey || len(r.Door)+len(r.Source)+len(r.Bucket) > 16<<10 {
		return fmt.Errorf("%w: key or names", record.ErrInvalid)
	}
	return nil
}

// intake reads the body, in place where that is possible.
func (g *group) intake(ctx context.Context, r record.Record) (*intake, error) {
	b, ok := r.Body.(*bytes.Buffer)
	if !ok || b.Len() > g.s.opts.InlineBytes {
		return g.s.intake(ctx, r)
	}
	body := b.Next(b.Len())
	if r.Size >= 0 && r.Size != int64(len(body)) {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", record.ErrSize, len(body), r.Size)
	}
	in := &intake{s: g.s, buf: &buffer{b: body}, size: int64(len(body))}
	in.digest, in.sum = sha256.Sum256(body), crc32.Checksum(body, castagnoli)
	return in, in.seal(r)
}

// free gives back what the members hold.
func (g *group) free() {
	for _, m := range g.members {
		g.s.drop(m.w)
		m.in.free()
	}
}

// commit finds the first copies of the members, and commits the others, until
// every member has its receipt.
func (g *group) commit(ctx context.Context) error {
	for {
		var todo []*member
		size := int64(0)
		for i := range g.members {
			m := &g.members[i]
			if m.acked {
				continue
			}
			var err error
			if m.receipt, m.acked, err = g.s.findCopy(ctx, m.w); err != nil {
				return fmt.Errorf("look for a copy: %w", err)
			}
			if !m.acked {
				todo, size = append(todo, m), size+m.w.header.size()
			}
		}
		if len(todo) == 0 {
			return nil
		}
		if err := g.s.waitForRoom(ctx, size); err != nil {
			return err
		}
		err := g.enqueue(ctx, todo)
		if errors.Is(err, syscall.ENOSPC) {
			g.s.noSpace()
			continue
		}
		if err != nil {
			return err
		}
	}
}

// enqueue puts the members in the queue, one behind the other, and returns once
// all of them are settled. Those of which a copy became known meanwhile are left out.
func (g *group) enqueue(ctx context.Context, todo []*member) error {
	s := g.s
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return record.ErrClosed
	}
	queued := todo[:0]
	for _, m := range todo {
		if p := s.pending[m.w.copy]; p != nil && p.same(m.w) || s.knownSince(m.w) {
			continue
		}
		s.pending[m.w.copy] = m.w
		s.queue = append(s.queue, m.w)
		queued = append(queued, m)
	}
	leads := !s.writing && len(queued) > 0
	if leads {
		s.writing = true
	}
	s.mu.Unlock()
	if leads {
		s.lead()
	} else {
		select {
		case s.kick <- struct{}{}:
		default: // the writer knows already
		}
	}
	return g.wait(ctx, queued)
}

// wait waits until all are settled, and leads when it is one's turn.
func (g *group) wait(ctx context.Context, queued []*member) error {
	var failed error
	for _, m := range queued {
		for settled := false; !settled; {
			select {
			case <-m.w.done:
				settled = true
			case <-g.lead:
				g.s.lead()
			case <-ctx.Done():
				g.abandon(queued)
				return ctx.Err()
			}
		}
		switch {
		case m.w.err == nil:
			m.receipt, m.acked, m.in.kept = g.s.receipt(m.w, false), true, true
		case errors.Is(m.w.err, syscall.ENOSPC):
			if failed == nil {
				failed = m.w.err
			}
			m.w = g.s.anew(m.w)
		default:
			failed = m.w.err
		}
	}
	return failed
}

// abandon takes the members that no batch took yet out of the queue.
func (g *group) abandon(queued []*member) {
	s := g.s
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := map[*waiter]bool{}
	for _, m := range queued {
		if m.w.taken || m.w.settled {
			m.in.kept = true // it is delivered, or may be
			continue
		}
		mine[m.w] = true
	}
	s.queue = slices.DeleteFunc(slices.Clone(s.queue), func(w *waiter) bool { return mine[w] })
	for w := range mine {
		delete(s.pending, w.copy)
		w.err, w.settled = context.Canceled, true
		close(w.done) // who waits for this copy tries itself
	}
	select {
	case <-g.lead:
		s.passOn()
	default:
	}
}
