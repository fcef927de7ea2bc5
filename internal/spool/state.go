package spool

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"indelible/internal/record"
)

const (
	stateFile   = "state"
	bucketsFile = "buckets"
	sumLine     = 9 // eight hexadecimal digits and a line feed
)

// totals are counters, those in capitals' company durable in the state file. Guarded by Spool.mu.
type totals struct {
	acked         record.Seq // newest seq when the state was read: numbers up to it were given
	seen          record.Seq // newest seq that the journal or a set-aside copy knows of
	resent        uint64
	collisions    uint64
	gaps          uint64 // ranges released
	gapRecords    uint64 // records in them
	fsyncFailures uint64
	pendingBytes  int64
	lastAppend    time.Time
}

// state is the state file: JSON, for the sake of whoever has to look at it.
type state struct {
	Version       int    `json:"version"`
	Log           string `json:"log"`
	Released      uint64 `json:"released"`
	Acked         uint64 `json:"acked"`
	Resent        uint64 `json:"resent"`
	Collisions    uint64 `json:"collisions"`
	Gaps          uint64 `json:"gaps"`
	GapRecords    uint64 `json:"gap_records"`
	FsyncFailures uint64 `json:"fsync_failures"`
}

// sealJSON encodes a small file: the CRC32C of the rest in a line of its own, then JSON.
func sealJSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	return append(fmt.Appendf(nil, "%08x\n", crc32.Checksum(b, castagnoli)), b...), nil
}

// openJSON decodes what sealJSON encoded.
func openJSON(b []byte, v any) error {
	var sum uint32
	if len(b) < sumLine {
		return errFormat
	}
	if _, err := fmt.Sscanf(string(b[:sumLine]), "%08x\n", &sum); err != nil || sum != crc32.Checksum(b[sumLine:], castagnoli) {
		return errFormat
	}
	return json.Unmarshal(b[sumLine:], v)
}

// readSmall reads a whole small file.
func (s *Spool) readSmall(name string) ([]byte, error) {
	h, err := s.files.open(name)
	if err != nil {
		return nil, err
	}
	defer h.release()
	size, err := h.file.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if got, err := h.file.ReadAt(b, 0); got < len(b) {
		return nil, noEOF(err)
	}
	return b, nil
}

// loadState reads the state file. Without one everything that the segments hold
// counts as not yet released: it is delivered again rather than lost.
func (s *Spool) loadState() error {
	var st state
	b, err := s.readSmall(stateFile)
	if err == nil {
		err = openJSON(b, &st)
	}
	if err == nil && st.Version == 0 {
		err = fmt.Errorf("another file in its place: %w", errFormat)
	}
	switch {
	case isNotExist(err):
		st = state{}
	case err != nil:
		s.log.Error("the state file is damaged; what the segments hold is delivered again", "error", err)
		st = state{}
	case st.Version != version:
		return fmt.Errorf("state file: version %d, this program reads %d", st.Version, version)
	}
	if s.opts.Log == "" {
		s.opts.Log = st.Log
	}
	if st.Log != "" && st.Log != s.opts.Log {
		return fmt.Errorf("the spool belongs to the log %q, not to %q", st.Log, s.opts.Log)
	}
	if len(s.opts.Log) > maxLogName {
		return fmt.Errorf("log name of %d bytes: at most %d", len(s.opts.Log), maxLogName)
	}
	s.released = record.Seq(st.Released)
	s.totals = totals{
		acked: record.Seq(st.Acked), resent: st.Resent, collisions: st.Collisions,
		gaps: st.Gaps, gapRecords: st.GapRecords, fsyncFailures: st.FsyncFailures,
	}
	if err == nil {
		return nil
	}
	oldest, some := s.oldestSegment()
	if !some && !isNotExist(err) {
		// Without either, the next record would get a number that a receipt has already.
		return fmt.Errorf("the file %s is damaged (%w), and there is no segment that tells how far the numbers went: put %s back from a copy, or begin a new log in an empty data directory", stateFile, err, stateFile)
	}
	s.released = oldest
	return nil
}

// oldestSegment is the seq before the oldest segment, if there is one.
func (s *Spool) oldestSegment() (seq record.Seq, ok bool) {
	names, err := s.fs.ReadDir(".")
	if err != nil {
		return 0, false // loadSegments tells
	}
	for _, d := range names {
		if first, ok := parseSeqName(d.Name(), segmentSuffix); ok {
			return first - 1, true
		}
	}
	return 0, false
}

// saveState writes the state file with what is known now.
func (s *Spool) saveState() error {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	s.mu.Lock()
	st := s.state()
	s.mu.Unlock()
	return s.writeState(st)
}

// state is what the state file is to say. The caller holds s.mu.
func (s *Spool) state() state {
	t := s.totals
	return state{
		Version: version, Log: s.opts.Log, Released: uint64(s.released), Acked: uint64(s.durable),
		Resent: t.resent, Collisions: t.collisions, Gaps: t.gaps, GapRecords: t.gapRecords, FsyncFailures: t.fsyncFailures,
	}
}

// writeState writes the state file. The caller holds s.stateMu.
func (s *Spool) writeState(st state) error {
	b, err := sealJSON(st)
	if err == nil {
		err = s.replace(stateFile, b)
	}
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}
