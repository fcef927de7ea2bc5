package spool

import (
	"context"
	"errors"

	"indelible/internal/record"
)

// same says whether two appends are of the same bytes under the same name.
func (w *waiter) same(o *waiter) bool {
	return w.header.digest == o.header.digest && w.bucket == o.bucket && w.key == o.key
}

// findCopy looks for the same bytes under the same name among the records that
// are known, those on their way to the disk included, for which it waits.
func (s *Spool) findCopy(ctx context.Context, w *waiter) (record.Receipt, bool, error) {
	s.mu.Lock()
	p := s.pending[w.copy]
	w.looked = s.durable
	s.mu.Unlock()
	if p != nil && p.same(w) {
		select {
		case <-p.done:
		case <-ctx.Done():
			return record.Receipt{}, false, ctx.Err()
		}
		if p.err == nil {
			return s.resent(s.receipt(p, true)), true, nil
		}
		return s.findCopy(ctx, w)
	}
	info, ok, err := s.durableCopy(w)
	if err != nil || !ok {
		return record.Receipt{}, false, err
	}
	return s.resent(record.Receipt{
		Log: s.opts.Log, Seq: info.Seq, Time: info.Time, Digest: info.Digest, Size: info.Size, Resent: true,
	}), true, nil
}

func (s *Spool) resent(r record.Receipt) record.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.resent++
	return r
}

// durableCopy looks among the durable records, those set aside included, as far
// back as filters are in memory: an append must not cost more the longer an
// outage lasts. A copy that comes later than that is a record of its own, and
// becomes the same object, as after the first one's release. A copy that is
// damaged does not count: the new one heals it.
func (s *Spool) durableCopy(w *waiter) (record.Info, bool, error) {
	s.mu.Lock()
	segs, released := s.segs, s.released
	asides := s.aside.byCopy(w.copy)
	s.mu.Unlock()
	fits := func(i record.Info) bool {
		return i.Digest == w.header.digest && i.Bucket == w.bucket && i.Key == w.key
	}
	for _, seq := range asides {
		if a, err := s.readAside(seq); err == nil && fits(a.Info) {
			return a.Info, true, nil
		}
	}
	for i := len(segs) - 1; i >= 0 && s.lastOf(segs[i]) > released; i-- {
		g := segs[i]
		if x, ok := g.index().(*idxFile); ok && x.filter.Load() == nil {
			break
		}
		var found []int
		err := s.ask(g, func(x index) (err error) {
			found, err = x.copies(w.copy)
			return err
		})
		if err != nil {
			return record.Info{}, false, err
		}
		for _, at := range found {
			seq := g.first + record.Seq(at)
			if seq <= released || seq > s.lastOf(g) || s.isFenced(seq) {
				continue
			}
			e, err := s.read(g, seq, true)
			if err == nil && fits(e.Info) {
				return e.Info, true, nil
			}
		}
	}
	return record.Info{}, false, nil
}

// knownSince says whether a copy became durable after findCopy looked. The caller holds s.mu.
func (s *Spool) knownSince(w *waiter) bool {
	for i := len(s.segs) - 1; i >= 0 && s.segs[i].last > w.looked; i-- {
		g := s.segs[i]
		m := g.mem.Load()
		if m == nil {
			return true // it was sealed meanwhile: look again
		}
		found, _ := m.copies(w.copy) // in memory nothing fails
		for _, at := range found {
			if g.first+record.Seq(at) > w.looked {
				return true
			}
		}
	}
	return false
}

// lastOf is the newest durable record of a segment.
func (s *Spool) lastOf(g *segment) record.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.last
}

// ask puts a question to the index of a segment. A side file that is damaged or
// gone is made anew from the segment, and asked again.
func (s *Spool) ask(g *segment, question func(x index) error) error {
	x := g.index()
	err := question(x)
	if err == nil || errors.Is(err, errStop) {
		return err
	}
	if s.isReleased(g) {
		return nil
	}
	s.log.Error("a side file is damaged and is made anew", "segment", g.name, "error", err)
	if err := s.reindex(g, x); err != nil {
		return err
	}
	return question(g.index())
}

// errStop ends a question that has its answer.
var errStop = errors.New("stop")

// isReleased says whether a whole segment was released.
func (s *Spool) isReleased(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.last <= s.released
}
