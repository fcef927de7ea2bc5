package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"slices"
	"sync"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// gap is a range of records that damage made unreadable.
type gap = record.GapError

const gapsFile = "gaps"

// maxPast bounds the list of released gaps: a disk that fails may make very many.
const maxPast = 100

// gaps are the ranges that damage made unreadable, above the release point. What
// was once reported as a gap stays one: it is noted in a file, so that neither a restart nor a
// lucky read takes it back. It is safe for concurrent use.
type gaps struct {
	fs    disk.FS // nil: nothing is written
	log   *slog.Logger
	event func(gap)

	fileMu sync.Mutex // one writer of the file at a time

	mu      sync.Mutex
	list    []gap     // sorted, apart; guarded by mu
	left    gapTotals // of the gaps that were released; guarded by mu
	past    []gap     // the newest maxPast of those that were released or found below the release point since Open; guarded by mu
	noted   []gap     // as the file had them at the start; guarded by mu
	opening bool      // Open is under way: what is found is reported at its end; guarded by mu
	stale   bool      // the file lacks something; guarded by mu
}

// gapTotals are ranges, and the records in them.
type gapTotals struct{ ranges, records uint64 }

func compareSeq(a, b record.Seq) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// at is the gap that covers seq.
func (g *gaps) at(seq record.Seq) (gap, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.atLocked(seq)
}

func (g *gaps) atLocked(seq record.Seq) (gap, bool) {
	i, ok := slices.BinarySearchFunc(g.list, seq, func(f gap, seq record.Seq) int {
		switch {
		case f.Last < seq:
			return -1
		case f.First > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return gap{}, false
	}
	return g.list[i], true
}

// add adds what of a range no gap covers yet, and reports it. It returns how many records that were.
func (g *gaps) add(f gap) (added uint64) {
	g.mu.Lock()
	var found []gap
	for seq := f.First; seq <= f.Last; seq++ {
		if have, ok := g.atLocked(seq); ok {
			seq = have.Last
			continue
		}
		last := f.Last
		if i, _ := slices.BinarySearchFunc(g.list, seq, func(f gap, seq record.Seq) int { return compareSeq(f.First, seq) }); i < len(g.list) {
			last = min(last, g.list[i].First-1)
		}
		found = append(found, gap{First: seq, Last: last, Cause: f.Cause})
		seq = last
	}
	for _, f := range found {
		g.insert(f)
		added += uint64(f.Last - f.First + 1)
	}
	if len(found) > 0 {
		g.stale = true
	}
	opening := g.opening
	g.mu.Unlock()
	if !opening {
		for _, f := range found {
			g.report(f)
		}
		g.save()
	}
	return added
}

// insert adds a range to the list; one that continues its neighbour is a part of it. The caller holds g.mu.
func (g *gaps) insert(f gap) {
	i, _ := slices.BinarySearchFunc(g.list, f.First, func(f gap, seq record.Seq) int { return compareSeq(f.First, seq) })
	if i > 0 && g.list[i-1].Last+1 == f.First && g.list[i-1].Cause == f.Cause {
		g.list[i-1].Last = f.Last
		return
	}
	g.list = slices.Insert(g.list, i, f)
}

func (g *gaps) report(f gap) {
	g.log.Error("records are unreadable: what the disk gives back of them is wrong; the log names them as a gap", "first", uint64(f.First), "last", uint64(f.Last), "cause", f.Cause)
	if g.event != nil {
		g.event(f)
	}
}

// opened reports what Open found: settled says of which records it does not matter,
// because they are where they should be.
func (g *gaps) opened(settled func(record.Seq) bool) {
	g.mu.Lock()
	found := g.list
	g.list, g.opening = nil, false
	for _, f := range found {
		for seq := f.First; seq <= f.Last; seq++ {
			if settled(seq) {
				continue
			}
			first := seq
			for seq < f.Last && !settled(seq+1) {
				seq++
			}
			g.insert(gap{First: first, Last: seq, Cause: f.Cause})
		}
	}
	var news []gap
	for _, f := range g.list {
		if !slices.Contains(g.noted, f) {
			news = append(news, f)
		}
	}
	g.stale = g.stale || len(news) > 0
	g.mu.Unlock()
	for _, f := range news {
		g.report(f)
	}
	g.save()
}

// within are the gaps inside a range.
func (g *gaps) within(first, last record.Seq) (list []gap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.list {
		if f.Last >= first && f.First <= last {
			list = append(list, gap{First: max(f.First, first), Last: min(f.Last, last), Cause: f.Cause})
		}
	}
	return list
}

// upTo are the totals once everything up to and including upto is released: a
// range counts when its last record leaves.
func (g *gaps) upTo(upto record.Seq) gapTotals {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.left
	for _, f := range g.list {
		if f.Last <= upto {
			t.ranges++
		}
		if f.First <= upto {
			t.records += uint64(min(f.Last, upto) - f.First + 1)
		}
	}
	return t
}

// remember adds a range below the release point to the past ones. The caller holds g.mu.
func (g *gaps) remember(f gap) {
	g.past = append(g.past, f)
	if len(g.past) > maxPast {
		g.past = slices.Delete(g.past, 0, len(g.past)-maxPast)
	}
}

// newest lists at most n ranges, by seq: those above the release point, and those that
// were released since Open. others is how many more were ever found.
func (g *gaps) newest(n int) (list []gap, others uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list = slices.Concat(g.past, g.list)
	if i := len(g.past); i > 0 && i < len(list) && list[i-1].Last+1 == list[i].First && list[i-1].Cause == list[i].Cause {
		list[i].First = list[i-1].First // a range that was released in part
		list = slices.Delete(list, i-1, i)
	}
	slices.SortStableFunc(list, func(a, b gap) int { return compareSeq(a.First, b.First) })
	list = list[max(0, len(list)-n):]
	if all := g.left.ranges + uint64(len(g.list)); all > uint64(len(list)) {
		others = all - uint64(len(list))
	}
	return list, others
}

// release takes what was released out of the list, and keeps its totals.
func (g *gaps) release(upto record.Seq, totals gapTotals) {
	g.mu.Lock()
	kept := g.list[:0:0]
	for _, f := range g.list {
		if f.First <= upto && g.fs != nil { // a reader may have taken for a gap what its owner released meanwhile
			g.remember(gap{First: f.First, Last: min(f.Last, upto), Cause: f.Cause})
		}
		if f.Last > upto {
			f.First = max(f.First, upto+1)
			kept = append(kept, f)
		}
	}
	g.stale = g.stale || len(kept) != len(g.list)
	g.list, g.left = kept, totals
	g.mu.Unlock()
	g.save()
}

// totals are those of all gaps ever found.
func (g *gaps) totals() gapTotals { return g.upTo(1<<64 - 1) }

// save writes the file where it lacks something. One that cannot be written is
// written with the next change: until then a restart finds the damage again, or not.
func (g *gaps) save() {
	if g.fs == nil {
		return
	}
	g.fileMu.Lock()
	defer g.fileMu.Unlock()
	g.mu.Lock()
	if !g.stale {
		g.mu.Unlock()
		return
	}
	g.stale = false
	list := slices.Clone(g.list)
	g.mu.Unlock()
	if err := replace(g.fs, gapsFile, appendGaps(nil, list)); err != nil {
		g.log.Warn("note the gaps; it is tried again with the next change", "error", err)
		g.mu.Lock()
		g.stale = true
		g.mu.Unlock()
	}
}

// load takes up what the file says above the release point.
func (g *gaps) load(f *files, released record.Seq) error {
	b, err := f.readAll(gapsFile)
	if isNotExist(err) {
		return nil
	}
	var list []gap
	switch {
	case err == nil:
		if len(b) < 4 || crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
			err = errFormat
		} else {
			list, err = parseGaps(b[4:])
		}
	case !errors.Is(err, errFormat):
		return err
	}
	if err != nil {
		g.log.Error("the list of gaps is damaged; the damage itself is found again where it is read", "file", gapsFile, "error", err)
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range list {
		if f.First = max(f.First, released+1); f.First <= f.Last {
			g.list = append(g.list, f)
			g.noted = append(g.noted, f)
		}
	}
	return nil
}

// appendGaps encodes a list with its checksum.
func appendGaps(b []byte, list []gap) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = appendGapList(b, list)
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// appendGapList encodes gaps: first, last, a counted string for the cause.
func appendGapList(b []byte, list []gap) []byte {
	for _, f := range list {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, uint64(f.First)), uint64(f.Last))
		b = appendString(b, f.Cause)
	}
	return b
}

func parseGaps(b []byte) ([]gap, error) {
	var list []gap
	for len(b) > 0 {
		var f gap
		if len(b) < 17 {
			return nil, errFormat
		}
		f.First = record.Seq(binary.LittleEndian.Uint64(b))
		f.Last = record.Seq(binary.LittleEndian.Uint64(b[8:]))
		b = b[16:]
		if !cutString(&b, &f.Cause) || f.First > f.Last {
			return nil, errFormat
		}
		list = append(list, f)
	}
	return list, nil
}
