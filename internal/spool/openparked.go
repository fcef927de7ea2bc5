package spool

import (
	"strings"

	"indelible/internal/record"
)

// loadParked finds the copies of records that were parked. One that is damaged
// is a gap; one that the disk does not give back now fails Open.
func (s *Spool) loadParked() error {
	list, err := s.fs.ReadDir(parkedDir)
	if err != nil {
		if isNotExist(err) {
			return nil
		}
		return err
	}
	bodies, damaged := map[record.Seq]bool{}, map[record.Seq]bool{}
	for _, d := range list {
		name := parkedDir + "/" + d.Name()
		if seq, ok := parseSeqName(d.Name(), parkedBodySuffix); ok {
			bodies[seq] = true
		}
		if number, _, ok := strings.Cut(d.Name(), "."); ok && strings.Contains(d.Name(), damagedSuffix) {
			if seq, ok := parseSeqName(number+parkedBodySuffix, parkedBodySuffix); ok {
				damaged[seq] = true // put away by an earlier start
			}
		}
		if strings.HasSuffix(name, tempSuffix) {
			if err := s.segs.removeUnused(name); err != nil {
				return err
			}
		}
		for _, state := range []record.State{record.Deferred, record.Quarantined} {
			seq, ok := parseSeqName(d.Name(), parkedSuffix(state))
			if !ok {
				continue
			}
			whole, err := s.loadParkedItem(seq, state)
			if err != nil {
				return err
			}
			if !whole {
				damaged[seq] = true
			}
		}
	}
	for seq := range bodies {
		if !s.parked.has(seq) && !damaged[seq] && !s.opts.ReadOnly {
			if err := s.fs.Remove(parkedBody(seq)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadParkedItem takes up one copy, and says whether it is whole.
func (s *Spool) loadParkedItem(seq record.Seq, state record.State) (whole bool, err error) {
	if it, ok := s.parked.item(seq); ok && !it.kept { // a change of state was cut short: stay with Deferred, the one that is tried again
		return true, s.segs.removeUnused(parkedName(seq, state))
	}
	a, err := s.parked.read(seq, state)
	if s.removedMeanwhile(err) {
		return true, nil
	}
	if isDamage(err) {
		s.log.Error("the copy of a record that was parked is damaged", "seq", uint64(seq), "error", err)
		if seq <= s.settled.released() && !s.opts.ReadOnly {
			lost := gap{First: seq, Last: seq, Cause: "its copy is damaged"}
			s.gaps.mu.Lock()
			s.gaps.left.ranges++
			s.gaps.left.records++
			s.gaps.remember(lost)
			s.gaps.mu.Unlock()
			if s.opts.Events.Gap != nil {
				s.opts.Events.Gap(lost)
			}
		}
		return false, s.segs.putAway(parkedName(seq, state))
	}
	if err != nil {
		return false, ofRecord(seq, err)
	}
	s.parked.put(seq, &parkedItem{
		state: state, bucket: a.Bucket, key: a.Key, name: s.nameOf(a.Bucket, a.Key), size: a.Size, time: a.Time,
		bytes: s.sizeOfFile(parkedName(seq, state)) + s.sizeOfFile(parkedBody(seq)), reason: a.Reason, since: a.Since,
	})
	s.settled.add(seq, a.Size)
	return true, nil
}

// nameKept reads the names of the records that are parked in place, as far as they can be read now.
func (s *Spool) nameKept() {
	for _, row := range s.parked.keptRows(1 << 63) {
		g := s.segs.of(row.seq())
		if g == nil {
			continue
		}
		if e, err := s.read(g, row.seq(), false); err == nil {
			s.parked.put(row.seq(), &parkedItem{
				state: record.State(row.State), bucket: e.Bucket, key: e.Key, name: s.nameOf(e.Bucket, e.Key), size: e.Size,
				time: e.Time, kept: true, reason: row.Reason, since: row.Since,
			})
		}
	}
}

// newestParked is the newest record that is parked, 0 if none is.
func (s *Spool) newestParked() record.Seq {
	seqs := s.parked.seqs()
	if len(seqs) == 0 {
		return 0
	}
	return seqs[len(seqs)-1]
}

// sweepBodies removes the body files that no entry refers to: their appends
// were never acked. Where an entry is unreadable its body may be among them, and all stay.
func (s *Spool) sweepBodies() error {
	if len(s.gaps.within(1, 1<<63)) > 0 {
		return nil
	}
	if damaged, err := s.segs.hasDamaged(); err != nil || damaged {
		return err
	}
	list, err := s.fs.ReadDir(bodyDir)
	if err != nil || len(list) == 0 {
		return err
	}
	known := map[string]bool{}
	for _, g := range s.segs.all() {
		err := s.segs.ask(g, func(x index) error {
			ids, err := x.bodyIDs()
			for _, id := range ids {
				known[bodyName(id)] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, d := range list {
		if name := bodyDir + "/" + d.Name(); !known[name] {
			if err := s.fs.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// countUsed counts the bytes that are pending and the bytes on the disk.
func (s *Spool) countUsed() error {
	released := s.settled.released()
	for _, g := range s.segs.all() {
		total := int64(0)
		err := s.segs.ask(g, func(x index) error {
			total = x.bytes()
			for i := 0; g.first <= released && i < x.count() && g.first+record.Seq(i) <= released; i++ {
				p, err := x.location(i)
				if err != nil {
					return err
				}
				total -= int64(p.size)
			}
			return nil
		})
		if err != nil && !s.removedMeanwhile(err) {
			return err
		}
		s.writer.bytes.Add(total)
		s.space.add(g.size)
	}
	for _, f := range s.gaps.within(1, 1<<63) {
		for seq := f.First; seq <= f.Last && s.segs.of(seq) != nil; seq++ {
			s.settled.lost(s.sizeOf(seq))
		}
	}
	for _, dir := range []string{bodyDir, parkedDir} {
		list, err := s.fs.ReadDir(dir)
		if err != nil {
			continue // a reader of a spool that was never written
		}
		for _, d := range list {
			if i, err := d.Info(); err == nil {
				s.space.add(i.Size())
			}
		}
	}
	here, err := s.files.exists(ballastFile)
	s.space.ballast = here
	return err
}
