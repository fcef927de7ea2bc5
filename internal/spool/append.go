package spool

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"indelible/internal/record"
)

// Append makes a record durable and returns its receipt: see ingest.Appender.
// It reads the body to its end first, holding no lock.
func (s *Spool) Append(ctx context.Context, r record.Record) (record.Receipt, error) {
	rs, receipts := [1]record.Record{r}, [1]record.Receipt{}
	err := s.append(ctx, rs[:], receipts[:])
	return receipts[0], err
}

// AppendAll makes records durable together and returns their receipts, in their
// order: as many Appends, but with one group commit for all that fit into it,
// and with consecutive numbers for all that were not known. After an error none is acked;
// some may be delivered all the same.
//
// The same bytes as the newest record under their bucket and key are not a new
// record: they get its receipt, without its time. That holds for the newest Options.KnownRecords records.
//
// A short body that is a *bytes.Buffer is not copied: its bytes must not change
// before AppendAll has returned, nor after it returned an error.
func (s *Spool) AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error) {
	receipts := make([]record.Receipt, len(rs))
	if err := s.append(ctx, rs, receipts); err != nil {
		return nil, err
	}
	return receipts, nil
}

// append fills receipts; both lists have one length.
func (s *Spool) append(ctx context.Context, rs []record.Record, receipts []record.Receipt) error {
	if s.opts.ReadOnly {
		return fmt.Errorf("append: %w: the spool is open for reading only", record.ErrClosed)
	}
	if err := s.begin(); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	defer s.life.RUnlock()
	if err := s.canFit(rs); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	arrived := time.Now()
	entries := make([]*pendingEntry, 0, len(rs))
	defer func() {
		for _, e := range entries {
			e.in.free()
		}
	}()
	for i := range rs {
		in, err := s.admitter.admit(ctx, &rs[i])
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		entries = append(entries, in.entry(&rs[i], s.ids, arrived))
	}
	for i := range rs {
		s.buckets.see(rs[i].Bucket, arrived)
	}
	read := time.Now()
	if err := s.commit(ctx, entries, receipts); err != nil {
		clear(receipts)
		return fmt.Errorf("append: %w", err)
	}
	if s.opts.Events.Acked != nil {
		for i := range rs {
			s.opts.Events.Acked(rs[i].Door, time.Since(read))
		}
	}
	return nil
}

// canFit refuses at once what can never fit into the spool together, as far as sizes are announced.
func (s *Spool) canFit(rs []record.Record) error {
	total := int64(0)
	for i := range rs {
		total += max(rs[i].Size, 0)
		if b, ok := rs[i].Body.(*bytes.Buffer); ok && rs[i].Size < 0 {
			total += int64(b.Len())
		}
	}
	if limit := s.opts.MaxBytes - 2*s.opts.SegmentBytes; s.opts.MaxBytes > 0 && len(rs) > 1 && total > limit {
		return fmt.Errorf("%w: %d bytes of records at once can never fit into a spool of %d (spool.max_bytes): send them in parts, or raise it", record.ErrInvalid, total, s.opts.MaxBytes)
	}
	return nil
}

// answered is an entry that is not written: a known record has its bytes.
type answered struct {
	i  int
	f  *follower     // of one in flight
	of *pendingEntry // that one
}

// commit has the entries written, or answered, until each has its receipt.
func (s *Spool) commit(ctx context.Context, entries []*pendingEntry, receipts []record.Receipt) error {
	todo, at := entries, []int(nil) // at: their places in receipts; nil: as they are
	place := func(i int) int {
		if at == nil {
			return i
		}
		return at[i]
	}
	for len(todo) > 0 {
		var waits []answered
		req, start, err := s.queue.enqueue(todo, func(i int, seq record.Seq, f *follower, of *pendingEntry) {
			if f != nil {
				waits = append(waits, answered{i, f, of})
				return
			}
			s.resent.Add(1)
			receipts[place(i)] = s.receipt(todo[i], seq, true)
		})
		if err != nil {
			return err
		}
		if start {
			s.writer.start()
		} else if len(req.entries) > 0 {
			s.queue.wake()
		}
		if err := s.queue.wait(ctx, req); err != nil {
			s.leave(req)
			return err
		}
		for i, e := range todo {
			if e.req == req && e.err == nil {
				e.in.kept = true
				receipts[place(i)] = s.receipt(e, e.header.seq, false)
			} else if e.req == req && err == nil {
				err = e.err
			}
		}
		if err != nil {
			return err
		}
		var again []*pendingEntry
		var where []int
		for _, w := range waits {
			if w.f.err == nil {
				s.resent.Add(1)
				receipts[place(w.i)] = s.receipt(w.of, w.of.header.seq, true)
				continue
			}
			again, where = append(again, todo[w.i]), append(where, place(w.i))
		}
		todo, at = again, where
	}
	return nil
}

// leave gives up waiting for a request: what a batch has of it keeps its memory and files.
func (s *Spool) leave(req *appendRequest) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for i, e := range req.entries {
		if i < req.next && !(e.done && e.err != nil) {
			e.in.forget()
		}
	}
}

// receipt is what the sender of a durable record gets.
func (s *Spool) receipt(e *pendingEntry, seq record.Seq, resent bool) record.Receipt {
	r := record.Receipt{Log: s.opts.Log, Seq: seq, Digest: e.header.digest, Size: int64(e.header.bodyLen), Resent: resent}
	if !resent {
		r.Time = time.Unix(0, e.header.time).UTC()
	}
	return r
}
