package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"indelible/internal/record"
)

// open is Open's work, in the order in which what is found depends on what was
// found before. An owner first makes durable what an earlier process may have left unsynced: names,
// small files, and every segment that has no side file yet. Only then is any of it believed.
func (s *Spool) open() error {
	if !s.opts.ReadOnly {
		if err := s.own(); err != nil {
			return err
		}
	}
	acked, err := s.loadState()
	if err != nil {
		return err
	}
	if err := s.loadSegments(acked); err != nil {
		return err
	}
	if err := s.loadParked(); err != nil {
		return err
	}
	s.nameKept()
	noted, err := s.settled.journal.load(func(n settledNote) { s.settled.add(n.seq, int64(n.size)) })
	if err != nil {
		return err
	}
	if s.opts.ReadOnly {
		if err := s.catchUp(); err != nil {
			return err
		}
	}
	s.number(max(acked, noted, s.newestParked()))
	s.gaps.opened(s.settled.has)
	if err := s.buckets.load(s.files, s.segs, s.unsaved()); err != nil {
		return err
	}
	s.segs.loadFilters()
	if err := s.countUsed(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return nil
	}
	if err := s.loadKnown(); err != nil {
		return err
	}
	s.queue = newQueue(s.known)
	s.writer.queue, s.writer.known, s.writer.logID = s.queue, s.known, s.opts.Log
	if s.settled.state.file != nil { // again, for the reason that rewrite gives
		if err := s.settled.save(s.snapshot); err != nil {
			return err
		}
	}
	s.segs.removeReleased()
	return s.sweepBodies()
}

// own takes the directory for this process, and makes durable what is in it.
func (s *Spool) own() error {
	lock, err := s.fs.Lock("lock")
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.owner.take(); err != nil {
		return err
	}
	for _, dir := range []string{bodyDir, parkedDir} {
		if _, err := s.fs.ReadDir(dir); isNotExist(err) {
			err = s.fs.MkdirAll(dir)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	for _, dir := range []string{".", bodyDir, parkedDir} {
		if err := s.fs.SyncDir(dir); err != nil {
			return fmt.Errorf("make durable what an earlier run left in %s: %w", dir, err)
		}
	}
	for _, name := range []string{stateFile, highWaterFile} {
		if err := syncFile(s.fs, name); err != nil && !isNotExist(err) {
			return fmt.Errorf("make durable what an earlier run wrote to %s: %w", name, err)
		}
	}
	return s.spare.sweep()
}

// loadState reads the small files, and returns how far the numbers were given
// for all that they know. Without a state everything that the segments hold counts as not yet
// released: it is delivered again rather than lost.
func (s *Spool) loadState() (acked record.Seq, err error) {
	st, found, err := loadState(s.files, s.log)
	damaged := errors.Is(err, errNoState)
	if err != nil && !damaged {
		return 0, err
	}
	if s.opts.Log == "" {
		s.opts.Log = st.Log
	}
	if st.Log != "" && st.Log != s.opts.Log {
		return 0, fmt.Errorf("the spool belongs to the log %q, not to %q", st.Log, s.opts.Log)
	}
	if len(s.opts.Log) > maxLogName {
		return 0, fmt.Errorf("log name of %d bytes: at most %d", len(s.opts.Log), maxLogName)
	}
	released := record.Seq(st.Released)
	if !found || damaged {
		oldest, some, err := s.oldestSegment()
		if err != nil {
			return 0, err
		}
		if !some && damaged {
			// Without either, the next record would get a number that a receipt has already.
			return 0, fmt.Errorf("the file %s is damaged, and there is no segment that tells how far the numbers went: put %s back from a copy, or begin a new log in an empty data directory", stateFile, stateFile)
		}
		if released = oldest; s.opts.ReleasedAtMost != nil {
			released = min(oldest, *s.opts.ReleasedAtMost)
		}
	}
	s.segs.released.Store(uint64(released))
	s.gaps.left = gapTotals{ranges: st.Gaps, records: st.GapRecords}
	s.resent.Store(st.Resent)
	s.settled.collisions = st.Collisions
	s.writer.failures.Store(st.FsyncFailures)
	var ok bool
	if s.ids, ok = st.secret(); !ok {
		s.ids = newSecret()
	}
	s.segs.ids = s.ids
	for _, row := range st.Kept {
		s.parked.put(row.seq(), &parkedItem{state: record.State(row.State), size: row.Size, kept: true, reason: row.Reason, since: row.Since})
	}
	if err := s.gaps.load(s.files, released); err != nil {
		return 0, err
	}
	high, err := s.writer.high.load(s.files, s.opts.ReadOnly)
	if err != nil {
		return 0, err
	}
	s.settled.state.generation = st.Generation
	if !s.opts.ReadOnly && found && !damaged {
		if s.settled.state.file, err = s.fs.OpenWrite(stateFile); err != nil {
			return 0, fmt.Errorf("open the state for writing: %w", err)
		}
	}
	if !s.opts.ReadOnly && s.settled.state.file == nil {
		// The secret must be there before the first side file; on a full disk both come later.
		if err := s.settled.state.write(s.snapshot()); err != nil {
			s.log.Warn("write the state; it is written later", "error", err)
		}
	}
	return max(high, record.Seq(st.Acked)), nil
}

// oldestSegment is the seq before the oldest segment, if there is one.
func (s *Spool) oldestSegment() (seq record.Seq, ok bool, err error) {
	list, err := s.fs.ReadDir(".")
	if err != nil {
		return 0, false, err
	}
	for _, d := range list {
		if first, ok := parseSeqName(d.Name(), segmentSuffix); ok {
			return first - 1, true, nil
		}
	}
	return 0, false, nil
}

// loadSegments finds the segments. Those with a side file are not read; the
// others, as a rule the last one, are scanned and get one. Records up to acked were acked.
func (s *Spool) loadSegments(acked record.Seq) error {
	list, err := s.fs.ReadDir(".")
	if err != nil {
		return err
	}
	var found []*segment
	for _, d := range list {
		name := d.Name()
		if strings.HasSuffix(name, tempSuffix) && !s.opts.ReadOnly {
			if err := s.fs.Remove(name); err != nil {
				return err
			}
		}
		if strings.HasSuffix(name, ".settled") || !strings.HasSuffix(name, segmentSuffix) {
			continue
		}
		first, ok := parseSeqName(name, segmentSuffix)
		if !ok {
			continue
		}
		g, err := s.openSegment(name, first, d)
		if err != nil && !s.removedMeanwhile(err) {
			return err
		}
		if g != nil {
			found = append(found, g)
		}
	}
	if s.opts.Log == "" && len(found) > 0 {
		s.opts.Log = found[0].segHeader.log
	}
	for i, g := range found {
		var next *segment
		if i+1 < len(found) {
			next = found[i+1]
		}
		if err := s.loadSegment(g, next, acked); err != nil && !s.removedMeanwhile(err) {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// removedMeanwhile says that a reader missed a file that the spool's owner has
// removed since it was listed: what was in it is released.
func (s *Spool) removedMeanwhile(err error) bool { return s.opts.ReadOnly && isNotExist(err) }

// openSegment reads a segment's header. It returns nil for a file that holds
// nothing acked, and puts away one that is not what its name says.
func (s *Spool) openSegment(name string, first record.Seq, d fs.DirEntry) (*segment, error) {
	h, err := s.files.open(name)
	if err != nil {
		return nil, err
	}
	defer h.release()
	head, err := readSegHeader(h, first)
	version, isVersion := errors.AsType[*VersionError](err)
	switch {
	case isVersion:
		return nil, version
	case err != nil && !isDamage(err):
		return nil, err
	case errors.Is(err, errUnused):
		s.log.Info("a segment was begun and never used", "segment", name)
		return nil, s.segs.removeUnused(name)
	case err != nil:
		s.log.Error("a file is no segment and is put away", "segment", name, "error", err)
		return nil, s.segs.putAway(name)
	case head.first != first && first <= s.settled.released():
		return nil, s.segs.removeUnused(name) // it was released and is used again; a power loss brought its old name back
	case head.first != first || s.opts.Log != "" && head.log != s.opts.Log && head.log != "":
		s.log.Error("a segment is not this spool's own under that name and is put away", "segment", name, "log", head.log, "first", uint64(head.first))
		return nil, s.segs.putAway(name)
	}
	size := int64(0)
	if info, err := d.Info(); err == nil {
		size = info.Size()
	}
	g := newSegment(head, size)
	g.inherited = true
	return g, nil
}

// loadSegment takes up one segment; next is the one behind it, nil if there is none.
func (s *Spool) loadSegment(g, next *segment, acked record.Seq) error {
	// A power loss may bring a segment back that was removed, and not the one behind it.
	released := s.settled.released()
	expected := released + 1
	if last := s.segs.last(); last != nil {
		expected = max(expected, last.newest()+1)
	}
	if g.first > expected && !s.opts.ReadOnly {
		s.gaps.add(gap{First: expected, Last: g.first - 1, Cause: "no segment holds them"})
	}
	x, list, err := openIdx(s.files, idxName(g.first), s.ids.check())
	if err != nil && !isDamage(err) {
		return err
	}
	if err == nil && (x.nonce != g.nonce || x.first != g.first) {
		err = fmt.Errorf("side file: of another segment: %w", errFormat)
	}
	if err == nil {
		g.idx.Store(x)
		g.end.Store(x.end)
		g.last.Store(uint64(g.first) + uint64(x.n) - 1)
	} else {
		if !isNotExist(err) {
			s.log.Warn("a side file is rebuilt from its segment", "segment", g.name, "error", err)
		}
		if list, err = s.scan(g, next, acked); err != nil {
			return err
		}
	}
	if next != nil && g.newest() >= next.first {
		g.last.Store(uint64(next.first - 1)) // what is behind was never acked here
	}
	if g.newest() < g.first {
		return s.segs.removeUnused(g.name)
	}
	s.segs.append(g)
	for _, f := range list {
		if f.First, f.Last = max(f.First, released+1), min(f.Last, g.newest()); f.First <= f.Last {
			s.gaps.add(f)
			g.damaged.Store(true)
		}
	}
	if g.idx.Load() == nil && !s.opts.ReadOnly {
		s.segs.unsaved = append(s.segs.unsaved, g) // Close, the next seal or release writes it
	}
	return nil
}

// scan reads a segment that has no side file, and makes durable what counts in it: the
// process that wrote it may have died before its fsync, or after one that failed, and the power may go later.
func (s *Spool) scan(g, next *segment, acked record.Seq) ([]gap, error) {
	h, err := s.files.open(g.name)
	if err != nil {
		return nil, err
	}
	defer h.release()
	known := segmentFacts{acked: acked, hasBody: func(id uint64) (bool, error) { return s.files.exists(bodyName(id)) }}
	if next != nil {
		known.upto = next.first - 1
		known.acked = max(acked, known.upto)
		if next.prevNonce == g.nonce {
			known.end = next.prevEnd
		}
	}
	sc, err := scanSegment(h, g.segHeader, s.ids, known)
	if err == nil && len(sc.gaps) > 0 && s.opts.ReadOnly {
		sc, err = scanSegment(h, g.segHeader, s.ids, known) // it may have been half-way written
	}
	if err != nil {
		return nil, err
	}
	if sc.cut > 0 {
		s.log.Warn("the end of a segment was not completely written and is cut off; nothing in it was acked", "segment", g.name, "at", sc.end, "bytes", sc.cut)
	}
	if !s.opts.ReadOnly {
		if err := s.rewrite(g.name, h, sc.sure, sc.end); err != nil {
			return nil, fmt.Errorf("make durable what an earlier run wrote: %w", err)
		}
	}
	g.mem.Store(sc.index)
	g.end.Store(sc.end)
	g.last.Store(uint64(sc.last))
	return sc.gaps, nil
}

// rewrite writes the header of a segment and what stands from sure to end once more, as it was
// read, and syncs the file. A sync alone would not do: after one that failed, the system may take pages that it
// never wrote for written.
func (s *Spool) rewrite(name string, h *handle, sure, end int64) error {
	file, err := s.fs.OpenWrite(name)
	if err != nil {
		return err
	}
	write := func(from, to int64) error {
		b := make([]byte, min(to-from, scanStep))
		for off := from; off < to; off += int64(len(b)) {
			b = b[:min(int64(len(b)), to-off)]
			n, err := h.readSome(b, off)
			if err == nil {
				_, err = file.WriteAt(b[:n], off)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err = write(0, dataStart); err == nil {
		err = write(sure, end)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// unsaved are the segments that have no side file yet.
func (s *Spool) unsaved() (list []*segment) {
	for _, g := range s.segs.all() {
		if g.idx.Load() == nil {
			list = append(list, g)
		}
	}
	return list
}

// catchUp takes up what the spool's owner released while a reader read the
// segments: what it did not find of that is no gap.
func (s *Spool) catchUp() error {
	s.files.forget(stateFile)
	st, found, err := loadState(s.files, s.log)
	if err != nil || !found || record.Seq(st.Released) <= s.settled.released() {
		return nil // as it was
	}
	released := record.Seq(st.Released)
	s.settled.mu.Lock()
	s.segs.released.Store(st.Released)
	s.settled.set.removeUpTo(released)
	s.settled.mu.Unlock()
	s.gaps.release(released, gapTotals{ranges: st.Gaps, records: st.GapRecords})
	return nil
}

// number fixes the newest seq. What something knows of and no segment holds was
// acked, and is gone: its numbers are not used again.
func (s *Spool) number(acked record.Seq) {
	durable := s.settled.released()
	if last := s.segs.last(); last != nil {
		durable = max(durable, last.newest())
	}
	if acked > durable && !s.opts.ReadOnly { // a reader's owner may have appended and settled more since the segments were read
		s.gaps.add(gap{First: durable + 1, Last: acked, Cause: "no segment holds them"})
		durable = acked
	}
	s.writer.durable.Store(uint64(durable))
	s.writer.next = durable + 1
}

// loadKnown remembers the newest records, from the side files and indexes of the newest segments.
func (s *Spool) loadKnown() error {
	segs, next := s.segs.all(), s.writer.next
	from, i := next, len(segs)
	for i > 0 && int(next-from) < s.opts.KnownRecords && segs[i-1].newest()+1 == from {
		x := segs[i-1].idx.Load()
		if x != nil && x.secret != x.check {
			break // of a secret that was lost
		}
		i--
		from = segs[i].first
	}
	s.known = newKnown(s.opts.KnownRecords, from)
	for _, g := range segs[i:] {
		at := 0
		err := s.segs.ask(g, func(x index) error {
			return x.ids(func(i int, id recordID) {
				for ; at < i; at++ {
					s.known.skip()
				}
				if i == at {
					s.known.add(id)
					at++
				}
			})
		})
		if err != nil {
			return err
		}
		for ; at < int(g.newest()-g.first)+1; at++ {
			s.known.skip()
		}
	}
	for _, f := range s.gaps.within(from, next) {
		for seq := f.First; seq <= f.Last; seq++ {
			s.known.damaged(seq)
		}
	}
	return nil
}
