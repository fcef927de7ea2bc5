package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// segments are the segment files and their indexes. Readers take the list as it
// is at one moment; it is replaced, never changed. It is safe for concurrent use.
type segments struct {
	fs       disk.FS
	files    *files
	log      *slog.Logger
	space    *space
	spare    *spareSegments
	bodies   *bodyFiles
	gaps     *gaps
	ids      secret
	readOnly bool

	list     atomic.Pointer[[]*segment]
	active   atomic.Pointer[segment] // takes entries; nil: none does
	released atomic.Uint64           // everything up to it has left
	pinned   func(*segment) bool     // something in it is kept where it is
	names    func() error            // makes the buckets of what is sealed durable, before its side file

	listMu   sync.Mutex // one change of the list at a time
	removeMu sync.Mutex // one removal at a time
	indexMu  sync.Mutex // one new index of a segment at a time; may be taken with removeMu held

	sealMu  sync.Mutex
	unsaved []*segment     // sealed, without a side file; guarded by sealMu
	saving  bool           // guarded by sealMu
	saved   sync.Cond      // on sealMu: fewer are unsaved, or nobody saves
	sealWG  sync.WaitGroup // of save

	filterMu    sync.Mutex
	filterBytes int64 // of filters in memory; guarded by filterMu
	filterLimit int64
}

// maxUnsaved bounds the sealed segments whose index is in memory while their side files are being written.
const maxUnsaved = 3

// all are the segments in seq order. The list must not be changed.
func (s *segments) all() []*segment {
	if l := s.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (s *segments) last() *segment {
	l := s.all()
	if len(l) == 0 {
		return nil
	}
	return l[len(l)-1]
}

func (s *segments) append(g *segment) {
	s.listMu.Lock()
	defer s.listMu.Unlock()
	l := append(slices.Clip(slices.Clone(s.all())), g)
	s.list.Store(&l)
}

func (s *segments) drop(gone ...*segment) {
	s.listMu.Lock()
	defer s.listMu.Unlock()
	l := slices.DeleteFunc(slices.Clone(s.all()), func(g *segment) bool { return slices.Contains(gone, g) })
	s.list.Store(&l)
}

// of is the segment that holds seq, nil if none does.
func (s *segments) of(seq record.Seq) *segment { return segmentOf(s.all(), seq) }

func (s *segments) isReleased(seq record.Seq) bool { return uint64(seq) <= s.released.Load() }

// seal has the side file of a segment written in the background. It waits while
// too many are being written, so that their indexes do not fill the memory.
func (s *segments) seal(g *segment) {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	s.unsaved = append(s.unsaved, g)
	for s.saving && len(s.unsaved) > maxUnsaved {
		s.saved.Wait()
	}
	s.startSaving()
}

// retrySaving writes side files that could not be written before.
func (s *segments) retrySaving() {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	s.startSaving()
}

// startSaving starts save. The caller holds s.sealMu.
func (s *segments) startSaving() {
	if s.saving || len(s.unsaved) == 0 || s.readOnly {
		return
	}
	s.saving = true
	s.sealWG.Go(s.save)
}

// save writes the side files that are missing. One that cannot be written stays
// in memory and is tried again at the next seal or release.
func (s *segments) save() {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	for failed := false; len(s.unsaved) > 0 && !failed; {
		g := s.unsaved[0]
		s.sealMu.Unlock()
		var err error
		s.indexMu.Lock()
		if !s.reclaimable(g) {
			err = s.writeIdx(g)
		}
		s.indexMu.Unlock()
		s.sealMu.Lock()
		if failed = err != nil; failed {
			s.log.Warn("write a side file; it is written later", "segment", g.name, "error", err)
			break
		}
		s.unsaved = slices.DeleteFunc(s.unsaved, func(o *segment) bool { return o == g })
		s.saved.Broadcast()
	}
	s.saving = false
	s.saved.Broadcast()
}

// close waits for the side files that are being written.
func (s *segments) close() { s.sealWG.Wait() }

// writeIdx writes the side file of a sealed segment and has it answer from then
// on. The caller holds s.indexMu.
func (s *segments) writeIdx(g *segment) error {
	mem := g.mem.Load()
	if mem == nil {
		return nil // written meanwhile
	}
	check := s.ids.check()
	header, filter, data := encodeIdx(g.segHeader, g.end.Load(), check, mem, s.gaps.within(g.first, g.newest()))
	name := idxName(g.first)
	if err := s.names(); err != nil {
		return err
	}
	if err := replace(s.fs, name, data); err != nil {
		if isFull(err) {
			s.space.full()
		}
		return err
	}
	s.files.forget(name)
	x := &idxFile{idxHeader: header, name: name, files: s.files, check: check}
	x.filter.Store(&filter)
	g.idx.Store(x)
	g.mem.Store(nil)
	s.countFilter(len(filter))
	return nil
}

// ask puts a question to the index of a segment. A side file that is damaged or
// gone is rebuilt from the segment, and asked again; one that the disk does not give back now is not.
func (s *segments) ask(g *segment, question func(x index) error) error {
	x := g.index()
	err := question(x)
	if err == nil || errors.Is(err, errStop) {
		return err
	}
	if _, ok := errors.AsType[*record.ReadError](err); ok || errors.Is(err, record.ErrClosed) {
		return err
	}
	if s.isReleased(g.newest()) {
		return nil
	}
	s.log.Error("a side file is damaged and is rebuilt from its segment", "segment", g.name, "error", err)
	if err := s.reindex(g, x); err != nil {
		return err
	}
	return question(g.index())
}

// errStop ends a question that has its answer.
var errStop = errors.New("stop")

// reindex rebuilds the index of a sealed segment, unless somebody did so meanwhile.
func (s *segments) reindex(g *segment, old index) error {
	s.indexMu.Lock()
	defer s.indexMu.Unlock()
	if g.index() != old {
		return nil
	}
	h, err := s.files.open(g.name)
	if err != nil {
		return fmt.Errorf("rebuild a side file: %w", err)
	}
	defer h.release()
	sc, err := scanSegment(h, g.segHeader, s.ids, segmentFacts{end: g.end.Load(), acked: g.newest(), upto: g.newest()})
	if err != nil {
		return fmt.Errorf("rebuild a side file: %w", err)
	}
	for ; sc.last < g.newest(); sc.last++ {
		sc.index.add(memEntry{})
	}
	g.mem.Store(sc.index)
	if x := g.idx.Swap(nil); x != nil {
		s.dropFilter(x)
	}
	if s.readOnly {
		return nil
	}
	if err := s.writeIdx(g); err != nil {
		s.log.Warn("write a side file; it is written later", "segment", g.name, "error", err)
		s.sealMu.Lock()
		s.unsaved = append(s.unsaved, g)
		s.sealMu.Unlock()
	}
	return nil
}

// countFilter counts a filter that came into memory. Those of the newest segments
// stay there, as many as the limit holds.
func (s *segments) countFilter(n int) {
	s.filterMu.Lock()
	s.filterBytes += int64(n)
	s.filterMu.Unlock()
	for _, g := range s.all() {
		s.filterMu.Lock()
		over := s.filterBytes > s.filterLimit
		s.filterMu.Unlock()
		if !over {
			return
		}
		if x := g.idx.Load(); x != nil {
			s.dropFilter(x)
		}
	}
}

func (s *segments) dropFilter(x *idxFile) {
	if f := x.filter.Swap(nil); f != nil {
		s.filterMu.Lock()
		s.filterBytes -= int64(len(*f))
		s.filterMu.Unlock()
	}
}

// loadFilters reads the filters of the newest segments. Open calls it.
func (s *segments) loadFilters() {
	total := int64(0)
	for _, g := range slices.Backward(s.all()) {
		x := g.idx.Load()
		if x == nil || x.filter.Load() != nil {
			continue
		}
		if total += int64(x.bloom); total > s.filterLimit {
			return
		}
		filter, err := x.readFilter()
		if err != nil {
			continue // who asks reads the file, and rebuilds it where it is damaged
		}
		x.filter.Store(&filter)
		s.countFilter(len(filter))
	}
}

// reclaimable reports whether everything in a segment was released.
func (s *segments) reclaimable(g *segment) bool {
	return g.newest() >= g.first && s.isReleased(g.newest()) && !s.pinned(g)
}

// removeReleased removes the files of the sealed segments in which everything is
// released: the segment first, so that a crash leaves nothing that refers to what is gone.
func (s *segments) removeReleased() {
	s.removeMu.Lock()
	defer s.removeMu.Unlock()
	for _, g := range s.all() {
		if !s.isReleased(g.newest()) || g == s.active.Load() {
			break
		}
		if !s.reclaimable(g) {
			continue
		}
		s.indexMu.Lock()
		s.remove(g)
		s.indexMu.Unlock()
	}
}

// remove removes one segment. The caller holds s.removeMu and s.indexMu.
func (s *segments) remove(g *segment) {
	ids, err := g.index().bodyIDs()
	if err != nil {
		s.log.Warn("find the bodies of a released segment; they go at the next start", "segment", g.name, "error", err)
	}
	s.drop(g)
	damaged := g.damaged.Load()
	switch {
	case g.removed != nil:
		g.removed.release()
		s.space.add(-g.size)
	case damaged:
		err = s.putAway(g.name)
	case s.spare.recycle(g, s.files):
		err = nil
	default:
		s.files.forget(g.name)
		if err = s.fs.Remove(g.name); err == nil {
			s.space.add(-g.size)
		}
	}
	if err != nil && !isNotExist(err) {
		s.log.Warn("remove a released segment; it goes at the next start", "segment", g.name, "error", err)
	}
	if x := g.idx.Load(); x != nil {
		s.dropFilter(x)
		s.files.forget(x.name)
		if err := s.fs.Remove(x.name); err != nil && !isNotExist(err) {
			s.log.Warn("remove a side file", "file", x.name, "error", err)
		}
	}
	if !damaged {
		s.space.add(-s.bodies.remove(ids, s.log))
	}
}

// putAway renames a file that must not be lost and is not to be used.
func (s *segments) putAway(name string) error {
	if s.readOnly {
		return nil
	}
	s.files.forget(name)
	for n := 0; ; n++ {
		to := name + damagedSuffix
		if n > 0 {
			to += "-" + strconv.Itoa(n)
		}
		taken, err := s.files.exists(to)
		if err != nil {
			return err
		}
		if !taken {
			return s.fs.Rename(name, to)
		}
	}
}

// removeUnused removes a file that holds nothing acked.
func (s *segments) removeUnused(name string) error {
	if s.readOnly {
		return nil
	}
	s.files.forget(name)
	return s.fs.Remove(name)
}

// hasDamaged reports whether something was put away.
func (s *segments) hasDamaged() (bool, error) {
	list, err := s.fs.ReadDir(".")
	for _, d := range list {
		if strings.Contains(d.Name(), damagedSuffix) {
			return true, err
		}
	}
	return false, err
}
