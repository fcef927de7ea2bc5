package spool

// The filters of the newest sealed segments are in memory, as many as
// Options.FilterBytes holds: a suffix of the segments, oldest out first.

// countFilter counts a filter of n bytes that came into memory, and lets go of the
// oldest ones that are too much.
func (s *Spool) countFilter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filters += int64(n)
	for i := 0; s.filters > s.opts.FilterBytes && i < len(s.segs); i++ {
		if x := s.segs[i].idx.Load(); x != nil {
			s.dropFilter(x)
		}
	}
}

// dropFilter lets go of a filter, if it is in memory. The caller holds s.mu.
func (s *Spool) dropFilter(x *idxFile) {
	if f := x.filter.Swap(nil); f != nil {
		s.filters -= int64(len(*f))
	}
}

// loadFilters reads the filters of the newest segments. Open calls it.
func (s *Spool) loadFilters() error {
	newest := int64(0)
	for i := len(s.segs) - 1; i >= 0; i-- {
		g := s.segs[i]
		x := g.idx.Load()
		if x == nil {
			continue
		}
		if newest += int64(x.bloom); newest > s.opts.FilterBytes {
			break
		}
		if x.filter.Load() != nil {
			continue
		}
		filter, err := x.readFilter()
		if err == nil {
			x.filter.Store(&filter)
			s.countFilter(len(filter))
			continue
		}
		s.log.Warn("a side file is made anew", "segment", g.name, "error", err)
		if err := s.reindex(g, x); err != nil && !s.removedMeanwhile(err) {
			return err
		}
	}
	return nil
}
