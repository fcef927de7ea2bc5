package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// loadSegments finds the segments. Those with a side file are not read; the
// others, as a rule the last one, are scanned and get one.
func (s *Spool) loadSegments() error {
	names, err := s.fs.ReadDir(".")
	if err != nil {
		return err
	}
	var heads []*segment
	for _, d := range names {
		name := d.Name()
		if strings.HasSuffix(name, tempSuffix) && !s.opts.ReadOnly {
			if err := s.fs.Remove(name); err != nil {
				return err
			}
		}
		first, ok := parseSeqName(name, segmentSuffix)
		if !ok {
			continue
		}
		g, err := s.openSegment(name, first)
		if err != nil && !s.removedMeanwhile(err) {
			return err
		}
		if g != nil {
			heads = append(heads, g)
		}
	}
	if s.opts.Log == "" && len(heads) > 0 {
		s.opts.Log = heads[0].segHeader.log
	}
	for i, g := range heads {
		var next *segment
		if i+1 < len(heads) {
			next = heads[i+1]
		}
		if err := s.loadSegment(g, next); err != nil && !s.removedMeanwhile(err) {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return s.loadFilters()
}

// removedMeanwhile says that a reader missed a file that the spool's owner has
// removed since it was listed: what was in it is released.
func (s *Spool) removedMeanwhile(err error) bool { return s.opts.ReadOnly && isNotExist(err) }

// openSegment reads a segment's header. It returns nil for a file that holds
// nothing acked, and puts aside one that is not what its name says.
func (s *Spool) openSegment(name string, first record.Seq) (*segment, error) {
	h, err := s.files.open(name)
	if err != nil {
		return nil, err
	}
	defer h.release()
	head, err := readSegHeader(h.file, first)
	switch {
	case errors.Is(err, errTorn):
		s.log.Info("a segment was begun and never used", "segment", name)
		return nil, s.removeUnused(name)
	case err != nil:
		s.log.Error("a file is no segment and is put aside", "segment", name, "error", err)
		return nil, s.putAway(name)
	case head.first != first || s.opts.Log != "" && head.log != s.opts.Log && head.log != "":
		s.log.Error("a segment is not this spool's own under that name and is put aside", "segment", name, "log", head.log, "first", uint64(head.first))
		return nil, s.putAway(name)
	}
	return &segment{segHeader: head, name: name, last: first - 1}, nil
}

// errTorn says that a segment was never fsynced.
var errTorn = errors.New("never synced")

// readSegHeader reads the header of the segment that its name says begins with
// first: from either copy, or what of it the first entry knows. What cannot be read is not
// taken for what was never written.
func readSegHeader(file disk.File, first record.Seq) (segHeader, error) {
	var bad error
	blank := true
	read := func(n int, at int64) []byte {
		b := make([]byte, n)
		got, err := file.ReadAt(b, at)
		if got < n && err != nil && !errors.Is(err, io.EOF) {
			bad, blank = errors.Join(bad, err), false
		}
		blank = blank && len(bytes.TrimRight(b[:got], "\x00")) == 0
		return b[:got]
	}
	for _, at := range []int64{0, headerStride} {
		head, err := parseSegHeader(read(headerStride, at))
		if err == nil {
			return head, nil
		}
		bad = errors.Join(bad, err)
	}
	if b := read(entrySize, dataStart); len(b) == entrySize {
		nonce := binary.LittleEndian.Uint64(b)
		if h, ok := parseEntryHeader(b, nonce); ok && h.isRecord() && h.seq == first {
			return segHeader{nonce: nonce, first: first}, nil
		}
	}
	if blank {
		return segHeader{}, errTorn
	}
	return segHeader{}, bad
}

// removeUnused removes a file that holds nothing acked.
func (s *Spool) removeUnused(name string) error {
	if s.opts.ReadOnly {
		return nil
	}
	s.files.drop(name)
	return s.fs.Remove(name)
}

// putAway renames a file that must not be lost and is not to be used.
func (s *Spool) putAway(name string) error {
	if s.opts.ReadOnly {
		return nil
	}
	s.files.drop(name)
	for n := 0; ; n++ {
		to := name + damagedSuffix
		if n > 0 {
			to += "-" + strconv.Itoa(n)
		}
		if f, err := s.fs.Open(to); err == nil {
			_ = f.Close() // it was only read
			continue
		}
		return s.fs.Rename(name, to)
	}
}

// loadSegment takes up one segment; next is the one behind it, nil if there is none.
func (s *Spool) loadSegment(g, next *segment) error {
	// A power loss may bring a segment back that was removed, and not the one behind it.
	expected := s.released + 1
	if len(s.segs) > 0 {
		expected = max(expected, s.durable+1)
	}
	if g.first > expected {
		s.addFence(fence{First: expected, Last: g.first - 1, Cause: "no segment holds them"})
	}
	x, fences, err := openIdx(s.files, idxName(g.first))
	if err == nil && (x.nonce != g.nonce || x.first != g.first) {
		err = fmt.Errorf("side file: of another segment: %w", errFormat)
	}
	if err == nil {
		g.idx.Store(x)
		g.end, g.synced, g.last = x.end, x.end, g.first+record.Seq(x.n)-1
	} else {
		if !isNotExist(err) {
			s.log.Warn("a side file is made anew", "segment", g.name, "error", err)
		}
		if fences, err = s.scan(g, next); err != nil {
			return err
		}
	}
	if next != nil && g.last >= next.first {
		g.last = next.first - 1 // what is behind was never acked here
	}
	if g.last < g.first && len(fences) == 0 {
		return s.removeUnused(g.name)
	}
	s.segs = append(s.segs, g)
	s.durable = g.last
	for _, f := range fences {
		if f.First = max(f.First, s.released+1); f.First <= min(f.Last, g.last) {
			f.Last = min(f.Last, g.last)
			s.addFence(f)
		}
	}
	if g.idx.Load() == nil && !s.opts.ReadOnly {
		return s.writeIdx(g, fences)
	}
	return nil
}

// scan reads a segment that has no side file.
func (s *Spool) scan(g, next *segment) ([]fence, error) {
	h, err := s.files.open(g.name)
	if err != nil {
		return nil, err
	}
	defer h.release()
	limit, upto := int64(0), record.Seq(0)
	if next != nil {
		limit, upto = -1, next.first-1
		if next.prevNonce == g.nonce {
			limit = next.prevEnd
		}
	}
	sc, err := scanSegment(h.file, g.segHeader, limit, upto)
	if err == nil && len(sc.fences) > 0 && s.opts.ReadOnly {
		sc, err = scanSegment(h.file, g.segHeader, limit, upto) // it may have been half-way written
	}
	if err != nil {
		return nil, err
	}
	if sc.cut > 0 {
		s.log.Warn("the torn end of a segment was cut off; nothing in it was acked", "segment", g.name, "at", sc.end, "bytes", sc.cut)
	}
	g.mem.Store(sc.index)
	g.end, g.synced, g.last = sc.end, sc.end, sc.last
	return sc.fences, nil
}

// reindex makes the index of a sealed segment anew, unless somebody did so meanwhile.
func (s *Spool) reindex(g *segment, old index) error {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	if g.index() != old {
		return nil
	}
	h, err := s.files.open(g.name)
	if err != nil {
		return fmt.Errorf("make a side file anew: %w", err)
	}
	defer h.release()
	sc, err := scanSegment(h.file, g.segHeader, g.end, g.last)
	if err != nil {
		return fmt.Errorf("make a side file anew: %w", err)
	}
	for sc.last < g.last {
		sc.index.add(memEntry{})
		sc.last++
	}
	g.mem.Store(sc.index)
	if x := g.idx.Swap(nil); x != nil {
		s.mu.Lock()
		s.dropFilter(x)
		s.mu.Unlock()
	}
	if s.opts.ReadOnly {
		return nil
	}
	return s.writeIdx(g, sc.fences)
}

// catchUp takes up what the spool's owner released while a reader read the
// segments: what it did not find of that is no gap.
func (s *Spool) catchUp() {
	s.files.drop(stateFile) // it was replaced
	var st state
	b, err := s.readSmall(stateFile)
	if err != nil || openJSON(b, &st) != nil || record.Seq(st.Released) <= s.released {
		return
	}
	s.released = record.Seq(st.Released)
	s.totals.gaps, s.totals.gapRecords = st.Gaps, st.GapRecords
	s.settled.removeUpTo(s.released)
	s.dropFences(s.released)
}

// numberOn fixes the newest seq. What the state file, the journal or a set-aside
// copy knows of and no segment holds was acked, and is gone: its numbers are not used again.
func (s *Spool) numberOn() {
	s.durable = max(s.durable, s.released)
	if s.opts.ReadOnly {
		return // its owner may have appended and settled more since the segments were read
	}
	if known := max(s.totals.acked, s.totals.seen); known > s.durable {
		s.addFence(fence{First: s.durable + 1, Last: known, Cause: "no segment holds them"})
		s.durable = known
	}
	s.next = s.durable + 1
	s.totals.seen = 0
}

// sweepBodies removes the body files that no entry refers to: their appends
// were never acked. Where an entry is unreadable its body may be among them, and all stay.
func (s *Spool) sweepBodies() error {
	known := map[string]bool{}
	for _, g := range s.segs {
		if len(s.fencesOf(g)) > 0 {
			return nil
		}
		ids, err := s.bodyIDs(g)
		if err != nil {
			return err
		}
		for _, id := range ids {
			known[bodyName(id)] = true
		}
	}
	if len(s.fences) > 0 {
		return nil
	}
	damaged, err := s.hasDamaged()
	if err != nil || damaged {
		return err
	}
	names, err := s.fs.ReadDir(bodyDir)
	if err != nil {
		return err
	}
	for _, d := range names {
		if name := bodyDir + "/" + d.Name(); !known[name] {
			if err := s.fs.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// hasDamaged says whether a segment was put away.
func (s *Spool) hasDamaged() (bool, error) {
	names, err := s.fs.ReadDir(".")
	return slices.ContainsFunc(names, func(d fs.DirEntry) bool {
		return strings.Contains(d.Name(), damagedSuffix)
	}), err
}

func (s *Spool) bodyIDs(g *segment) (ids []uint64, err error) {
	err = s.ask(g, func(x index) (err error) {
		ids, err = x.bodyIDs()
		return err
	})
	return ids, err
}

// sortSeqs sorts seqs.
func sortSeqs(seqs []record.Seq) []record.Seq {
	slices.Sort(seqs)
	return seqs
}
