package spool

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// fence is a range of records that damage made unreadable.
type fence = record.GapError

// segment is one file of entries.
type segment struct {
	segHeader
	name string

	// While the segment is active these belong to whoever has the writer's role,
	// but for synced, which is guarded by Spool.mu.
	file   disk.File // nil once sealed
	end    int64     // behind the last entry
	alloc  int64     // allocated so far
	synced int64     // durable so far
	named  bool      // its name is durable
	count  int       // records written, acked or not
	names  int       // bytes of their names

	sealing chan struct{} // closed when the side file is written; nil: it was before; guarded by Spool.mu
	damaged bool          // something in it is fenced: it is not removed but put away; guarded by Spool.mu

	last record.Seq // newest acked record, first-1 if there is none; guarded by Spool.mu while active
	mem  atomic.Pointer[memIndex]
	idx  atomic.Pointer[idxFile]
}

// index is the index to ask now.
func (g *segment) index() index {
	if x := g.idx.Load(); x != nil {
		return x
	}
	if m := g.mem.Load(); m != nil {
		return m
	}
	return g.idx.Load() // it came between the two
}

const (
	segmentSuffix = ".seg"
	idxSuffix     = ".idx"
	tempSuffix    = ".tmp"
	damagedSuffix = ".damaged"
)

func segmentName(first record.Seq) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }
func idxName(first record.Seq) string     { return fmt.Sprintf("%020d%s", first, idxSuffix) }

// parseSeqName reads the seq of names such as segmentName's.
func parseSeqName(name, suffix string) (record.Seq, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' || n > (1<<63)/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return record.Seq(n), n > 0
}

// createSegment makes the segment that begins with first, its header written, nothing of it durable.
func (s *Spool) createSegment(first record.Seq, prev *segment) (*segment, error) {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails
	g := &segment{
		segHeader: segHeader{nonce: binary.LittleEndian.Uint64(nonce[:]), first: first, created: time.Now().UnixNano(), log: s.opts.Log},
		name:      segmentName(first),
		last:      first - 1,
		end:       dataStart,
	}
	if prev != nil {
		g.prevNonce, g.prevEnd = prev.nonce, prev.end
	}
	g.mem.Store(newMemIndex())
	file, err := s.fs.Create(g.name)
	if isExist(err) { // left by a try that failed: first was never acked, so nothing in it was
		if err = s.fs.Remove(g.name); err == nil {
			file, err = s.fs.Create(g.name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	g.file = file
	head := make([]byte, dataStart)
	copy(head, g.segHeader.append(nil))
	copy(head[headerStride:], g.segHeader.append(nil))
	err = g.allocate(dataStart, s.opts.SegmentBytes)
	if err == nil {
		_, err = file.WriteAt(head, 0)
	}
	if err != nil {
		s.discardSegment(g)
		return nil, fmt.Errorf("create segment: %w", err)
	}
	s.mu.Lock()
	s.room.used += g.alloc
	s.mu.Unlock()
	return g, nil
}

// allocate makes sure that the file has space up to end. It goes in growing steps,
// so that a segment that stays small takes little.
func (g *segment) allocate(end, limit int64) error {
	if end <= g.alloc {
		return nil
	}
	step := min(max(g.alloc, firstAllocation), maxAllocation)
	size := max(end, min(g.alloc+step, limit))
	if err := g.file.Allocate(size); err != nil {
		return err
	}
	g.alloc = size
	return nil
}

// discardSegment removes a segment of which nothing was acked.
func (s *Spool) discardSegment(g *segment) {
	if g.file != nil {
		_ = g.file.Close() // nothing in it is wanted
		g.file = nil
	}
	s.files.drop(g.name)
	if err := s.fs.Remove(g.name); err != nil {
		s.log.Warn("remove an unused segment", "segment", g.name, "error", err)
	}
}

// seal ends a segment: its file takes no more, its side file is written. The
// caller has the writer's role, and nothing of the segment is on its way to the disk.
func (s *Spool) seal(g *segment) {
	if err := g.file.Close(); err != nil {
		s.log.Warn("close a segment", "segment", g.name, "error", err)
	}
	g.file = nil
	s.mu.Lock()
	s.active = nil
	fences := s.fencesOf(g)
	before, done := s.sealing, make(chan struct{})
	s.sealing, g.sealing = done, done
	s.mu.Unlock()
	if before != nil {
		<-before // bounds the indexes in memory
	}
	go func() { // Close waits for it
		defer close(done)
		if err := s.writeIdx(g, fences); err != nil {
			s.log.Warn("write a side file; it is made anew at the next start", "segment", g.name, "error", err)
		}
	}()
}

// waitForSeal returns once the side file that is being written is.
func (s *Spool) waitForSeal() {
	s.mu.Lock()
	sealing := s.sealing
	s.mu.Unlock()
	if sealing != nil {
		<-sealing
	}
}

// fencesOf are the fences in a segment. The caller holds s.mu.
func (s *Spool) fencesOf(g *segment) []fence {
	var fences []fence
	for _, f := range s.fences {
		if f.First >= g.first && f.Last <= g.last {
			fences = append(fences, f)
		}
	}
	return fences
}

// writeIdx writes the side file of a sealed segment and has it answer from then on.
func (s *Spool) writeIdx(g *segment, fences []fence) error {
	header, filter, data := encodeIdx(g.nonce, g.first, g.end, g.mem.Load(), fences)
	name := idxName(g.first)
	if err := s.replace(name, data); err != nil {
		return err
	}
	x := &idxFile{idxHeader: header, name: name, files: s.files}
	x.filter.Store(&filter)
	g.idx.Store(x)
	g.mem.Store(nil)
	s.countFilter(len(filter))
	return nil
}

// replace writes a small file so that its name has the old content or the new
// one, whatever happens: temporary file, fsync, rename, fsync of the directory.
func (s *Spool) replace(name string, data []byte) error {
	temp := name + tempSuffix
	if err := s.fs.Remove(temp); err != nil && !isNotExist(err) {
		return err
	}
	if err := s.writeNew(temp, data); err != nil {
		return err
	}
	if err := s.fs.Rename(temp, name); err != nil {
		return err
	}
	s.files.drop(name)
	return s.fs.SyncDir(dirOf(name))
}

// writeNew makes a file with that content, durable but for its name.
func (s *Spool) writeNew(name string, data []byte) error {
	file, err := s.fs.Create(name)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(data, 0); err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// segmentOf finds the segment that holds seq. The caller holds s.mu.
func (s *Spool) segmentOf(seq record.Seq) *segment {
	i, ok := slices.BinarySearchFunc(s.segs, seq, func(g *segment, seq record.Seq) int {
		switch {
		case g.last < seq:
			return -1
		case g.first > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return s.segs[i]
}
