package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const journalRecord = 16

// settledNote is one record of a journal.
type settledNote struct {
	seq  record.Seq
	size uint32 // of the body
}

// journal notes what was settled, without fsync.
type journal struct {
	name   string
	file   disk.File
	end    int64
	newest record.Seq
	number uint64
	dirty  bool
	old    []oldJournal
}

type oldJournal struct {
	name   string
	newest record.Seq
}

const (
	journalSuffix = ".settled"
	journalBytes  = 4 << 20
)

var journalSeed = crc32.Checksum([]byte("settled"), castagnoli)

// loadJournal reads what was settled and not released.
func (s *Spool) loadJournal() error {
	names, err := s.fs.ReadDir(".")
	if err != nil {
		return err
	}
	s.journal = &journal{}
	for _, d := range names {
		n, ok := parseSeqName(d.Name(), journalSuffix)
		if !ok {
			continue
		}
		s.journal.number = uint64(n)
		b, err := s.readSmall(d.Name())
		if err != nil {
			s.log.Error("what was settled is unreadable; it is delivered again", "file", d.Name(), "error", err)
			b = nil
		}
		old := oldJournal{name: d.Name()}
		for ; len(b) >= journalRecord; b = b[journalRecord:] {
			if n, ok := parseSettled(b); ok {
				old.newest = max(old.newest, n.seq)
				if n.seq > s.released && s.settled.add(n.seq) {
					s.totals.pendingBytes -= int64(n.size)
				}
			}
		}
		s.totals.seen = max(s.totals.seen, old.newest)
		s.journal.old = append(s.journal.old, old)
	}
	return nil
}

// appendSettled encodes one record of the journal.
func appendSettled(b []byte, n settledNote) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(n.seq))
	b = binary.LittleEndian.AppendUint32(b, n.size)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(journalSeed, castagnoli, b[at:]))
}

func parseSettled(b []byte) (settledNote, bool) {
	sum := crc32.Update(journalSeed, castagnoli, b[:journalRecord-4])
	n := settledNote{seq: record.Seq(binary.LittleEndian.Uint64(b)), size: binary.LittleEndian.Uint32(b[8:])}
	return n, n.seq > 0 && sum == binary.LittleEndian.Uint32(b[journalRecord-4:])
}

// noteSettled writes seqs to the journal.
func (s *Spool) noteSettled(notes []settledNote) error {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	j := s.journal
	if j.file == nil || j.end > journalBytes {
		if err := s.closeJournalLocked(); err != nil {
			return err
		}
		j.number++
		j.name = fmt.Sprintf("%020d%s", j.number, journalSuffix)
		file, err := s.fs.Create(j.name)
		if err != nil {
			return fmt.Errorf("create a journal: %w", err)
		}
		j.file = file
	}
	var b []byte
	for _, n := range notes {
		b = appendSettled(b, n)
		j.newest = max(j.newest, n.seq)
	}
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.end += int64(len(b))
	j.dirty = true
	return nil
}

// syncJournal makes what was settled durable.
func (s *Spool) syncJournal() error {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	if j := s.journal; j.file != nil && j.dirty {
		if err := errors.Join(j.file.Sync(), s.fs.SyncDir(".")); err != nil {
			return fmt.Errorf("sync the journal: %w", err)
		}
		j.dirty = false
	}
	return nil
}

func (s *Spool) closeJournal() error {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	return s.closeJournalLocked()
}

func (s *Spool) closeJournalLocked() error {
	j := s.journal
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.old = append(j.old, oldJournal{name: j.name, newest: j.newest})
	j.file, j.end, j.newest = nil, 0, 0
	return err
}

// trimJournals removes the journals in which everything was released.
func (s *Spool) trimJournals(released record.Seq) {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	j := s.journal
	if j.file != nil && j.newest <= released && j.end > journalBytes/4 {
		if err := s.closeJournalLocked(); err != nil {
			s.log.Warn("close a journal", "error", err)
		}
	}
	kept := j.old[:0]
	for _, o := range j.old {
		if o.newest > released {
			kept = append(kept, o)
			continue
		}
		s.files.drop(o.name)
		if err := s.fs.Remove(o.name); err != nil && !isNotExist(err) {
			s.log.Warn("remove a journal", "file", o.name, "error", err)
			kept = append(kept, o)
		}
	}
	j.old = kept
}
