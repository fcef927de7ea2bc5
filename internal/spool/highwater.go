package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	highWaterFile = "acked"
	highWaterSlot = 512 // bytes from one slot to the next: two sectors never tear together
)

// highWater remembers outside of the segments how far the numbers were acked. A
// segment that is removed or damaged is then named as a gap, and none of its numbers is
// given again. It is written before each ack and synced at the end, so it outlives the process always and
// a power loss mostly: never does it say too much. Owned by one goroutine at a time.
type highWater struct {
	fs   disk.FS
	log  *slog.Logger
	file disk.File // nil: there is none; what the segments say is all that is known
	slot int64
}

var highWaterSeed = crc32.Checksum([]byte("acked"), castagnoli)

// load reads the mark, which the caller has synced, and takes it up for writing
// unless readOnly.
func (h *highWater) load(f *files, readOnly bool) (record.Seq, error) {
	b, err := f.readAll(highWaterFile)
	newest := record.Seq(0)
	switch {
	case isNotExist(err):
		b = nil
	case err != nil && !errors.Is(err, errShort):
		return 0, err
	}
	for i := range int64(2) {
		at := i * highWaterSlot
		if int64(len(b)) < at+12 {
			break
		}
		seq := record.Seq(binary.LittleEndian.Uint64(b[at:]))
		if crc32.Update(highWaterSeed, castagnoli, b[at:at+8]) == binary.LittleEndian.Uint32(b[at+8:]) && seq >= newest {
			newest, h.slot = seq, 1-i
		}
	}
	if readOnly {
		return newest, nil
	}
	if b != nil {
		h.file, err = h.fs.OpenWrite(highWaterFile)
	} else if h.file, err = h.fs.Create(highWaterFile); err == nil {
		_, err = h.file.WriteAt(make([]byte, 2*highWaterSlot), 0)
	}
	if err != nil {
		h.failed(err)
	}
	return newest, nil
}

// store notes that everything up to seq is about to be acked.
func (h *highWater) store(seq record.Seq) {
	if h.file == nil {
		return
	}
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], uint64(seq))
	binary.LittleEndian.PutUint32(b[8:], crc32.Update(highWaterSeed, castagnoli, b[:8]))
	if _, err := h.file.WriteAt(b[:], h.slot*highWaterSlot); err != nil {
		h.failed(err)
		return
	}
	h.slot = 1 - h.slot
}

// failed does without the mark: it is a second witness, and acks do not depend on it.
func (h *highWater) failed(err error) {
	h.log.Warn("note outside of the segments how far records were acked; the next start relies on the segments alone", "file", highWaterFile, "error", err)
	if h.file != nil {
		_ = h.file.Close() // given up
		h.file = nil
	}
}

// close makes the mark durable.
func (h *highWater) close() error {
	if h.file == nil {
		return nil
	}
	err := h.file.Sync()
	if closeErr := h.file.Close(); err == nil {
		err = closeErr
	}
	h.file = nil
	return err
}
