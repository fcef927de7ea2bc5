package spool

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	stateFile = "state"
	stateSlot = 64 << 10 // bytes of a slot
)

// state is the state file: two slots that are written in turn, in place, so that
// a release needs not one more byte on a full disk. A slot is a line with the CRC of the rest and its
// length, then JSON, for the sake of whoever has to look at it, then zeros.
type state struct {
	Version       int       `json:"version"`
	Generation    uint64    `json:"generation"` // the greater one counts
	Log           string    `json:"log"`
	Secret        string    `json:"secret"` // keys the identities of records; of use to nobody else
	Released      uint64    `json:"released"`
	Acked         uint64    `json:"acked"`
	Resent        uint64    `json:"resent"`
	Collisions    uint64    `json:"collisions"`
	Gaps          uint64    `json:"gaps"`
	GapRecords    uint64    `json:"gap_records"`
	FsyncFailures uint64    `json:"fsync_failures"`
	Kept          []keptRow `json:"kept,omitempty"` // parked where they are, and released
}

// keptRow is a record that was parked without a copy.
type keptRow struct {
	Seq    uint64    `json:"seq"`
	Size   int64     `json:"size"`
	State  string    `json:"state"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

const stateLine = len("00000000 00000000\n")

// appendState encodes a slot.
func appendState(st state) ([]byte, error) {
	b, err := json.MarshalIndent(st, "", " ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	if len(b)+stateLine > stateSlot { // a multiple of blockSize
		return nil, fmt.Errorf("encode the state: %d bytes are more than a slot holds", len(b))
	}
	slot := fmt.Appendf(make([]byte, 0, stateSlot), "%08x %08x\n", crc32.Checksum(b, castagnoli), len(b))
	slot = append(slot, b...)
	return slot[:(len(slot)+blockSize-1)/blockSize*blockSize], nil
}

// parseState decodes a slot.
func parseState(slot []byte) (st state, err error) {
	var sum, n uint32
	if len(slot) < stateLine {
		return st, errFormat
	}
	if _, err := fmt.Sscanf(string(slot[:stateLine]), "%08x %08x\n", &sum, &n); err != nil || int64(n) > int64(len(slot)-stateLine) {
		return st, errFormat
	}
	b := slot[stateLine:][:n]
	if crc32.Checksum(b, castagnoli) != sum {
		return st, errFormat
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, errFormat
	}
	return st, nil
}

// stateWriter writes the state file. Owned by one goroutine at a time.
type stateWriter struct {
	fs         disk.FS
	file       disk.File
	generation uint64
}

// write makes a state durable. After a failed fsync the file is written again from the start.
func (w *stateWriter) write(st state) error {
	st.Generation = w.generation + 1
	slot, err := appendState(st)
	if err != nil {
		return err
	}
	if w.file != nil {
		_, err = w.file.WriteAt(slot, int64(st.Generation%2)*stateSlot)
		if err == nil {
			err = w.file.Sync()
		}
		if err == nil {
			w.generation = st.Generation
			return nil
		}
		_ = w.file.Close() // never synced again
		w.file = nil
	}
	if err := w.remake(slot, st.Generation); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	w.generation = st.Generation
	return nil
}

// remake writes a new file with both slots allocated.
func (w *stateWriter) remake(slot []byte, generation uint64) error {
	data := make([]byte, 2*stateSlot)
	copy(data[int64(generation%2)*stateSlot:], slot)
	if err := replace(w.fs, stateFile, data); err != nil {
		return err
	}
	file, err := w.fs.OpenWrite(stateFile)
	if err != nil {
		return err
	}
	w.file = file
	return nil
}

func (w *stateWriter) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return err
}

// errNoState says that there is no state file, or none that is whole.
var errNoState = errors.New("no state")

// loadState reads the state file. found is false where there is none; one that
// is damaged is logged, and an errNoState.
func loadState(f *files, log *slog.Logger) (st state, found bool, err error) {
	b, err := f.readAll(stateFile)
	switch {
	case isNotExist(err):
		return state{}, false, nil
	case err != nil && !errors.Is(err, errShort):
		return state{}, false, err
	}
	if v := oldStateVersion(b); v != "" {
		return state{}, false, &VersionError{File: stateFile, Version: v}
	}
	for i := range 2 {
		if len(b) < (i+1)*stateSlot {
			break
		}
		if s, err := parseState(b[i*stateSlot:][:stateSlot]); err == nil && (!found || s.Generation > st.Generation) {
			st, found = s, true
		}
	}
	switch {
	case !found:
		log.Error("the state file is damaged; what the segments hold is delivered again", "file", stateFile)
		return state{}, true, errNoState
	case st.Version != Version:
		return state{}, true, &VersionError{File: stateFile, Version: fmt.Sprint(st.Version)}
	}
	return st, true, nil
}

// oldStateVersion is the version of a state file from before there were slots, "" if b is none.
func oldStateVersion(b []byte) string {
	var st struct {
		Version int `json:"version"`
	}
	if !bytes.Contains(b, []byte("\n{")) || len(b) >= stateSlot || parseJSON(b, &st) != nil || st.Version == 0 {
		return "" // version 0: another of the small files, put in its place
	}
	return fmt.Sprint(st.Version)
}

func (st state) secret() (s secret, ok bool) {
	b, err := hex.DecodeString(st.Secret)
	return s, copy(s[:], b) == len(s) && err == nil && len(b) == len(s)
}

func (s secret) String() string { return hex.EncodeToString(s[:]) }

func (r keptRow) seq() record.Seq { return record.Seq(r.Seq) }
