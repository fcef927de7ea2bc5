package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"sync"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	journalSuffix = ".settled"
	journalBytes  = 4 << 20
	journalEntry  = 16
	maxUnnoted    = 1 << 16 // notes kept for a disk that takes none
)

var journalSeed = crc32.Checksum([]byte("settled"), castagnoli)

// settledNote is one entry of a journal.
type settledNote struct {
	seq  record.Seq
	size uint32 // of the body
}

// journal notes which records above the release point are settled, without
// fsync: what is lost of it costs a second delivery, which finds the object in the store. So a
// disk that takes no notes delays nobody. It is safe for concurrent use.
type journal struct {
	fs    disk.FS
	files *files
	log   *slog.Logger

	mu      sync.Mutex
	file    disk.File     // guarded by mu, as all below
	name    string        // of file
	number  uint64        // of file
	end     int64         // of file
	newest  record.Seq    // in file
	dirty   bool          // file is not synced
	unnoted []settledNote // the disk did not take them yet
	failing bool          // that was logged
	old     []oldJournal
}

type oldJournal struct {
	name   string
	newest record.Seq
}

// load calls settled for each note of the journals that are there, and returns the newest seq they know.
func (j *journal) load(settled func(settledNote)) (newest record.Seq, err error) {
	list, err := j.fs.ReadDir(".")
	if err != nil {
		return 0, err
	}
	for _, d := range list {
		n, ok := parseSeqName(d.Name(), journalSuffix)
		if !ok {
			continue
		}
		j.number = uint64(n)
		b, err := j.files.readAll(d.Name())
		if _, failed := errors.AsType[*record.ReadError](err); failed {
			return 0, err
		}
		old := oldJournal{name: d.Name()}
		for ; len(b) >= journalEntry; b = b[journalEntry:] {
			if n, ok := parseSettled(b); ok {
				old.newest = max(old.newest, n.seq)
				settled(n)
			}
		}
		newest = max(newest, old.newest)
		j.old = append(j.old, old)
	}
	return newest, nil
}

// appendSettled encodes one entry of the journal.
func appendSettled(b []byte, n settledNote) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(n.seq))
	b = binary.LittleEndian.AppendUint32(b, n.size)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(journalSeed, castagnoli, b[at:]))
}

func parseSettled(b []byte) (settledNote, bool) {
	sum := crc32.Update(journalSeed, castagnoli, b[:journalEntry-4])
	n := settledNote{seq: record.Seq(binary.LittleEndian.Uint64(b)), size: binary.LittleEndian.Uint32(b[8:])}
	return n, n.seq > 0 && sum == binary.LittleEndian.Uint32(b[journalEntry-4:])
}

// note writes notes down. Those that the disk does not take are written with the next.
func (j *journal) note(notes ...settledNote) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.unnoted = append(j.unnoted, notes...)
	err := j.write()
	switch {
	case err == nil:
		j.failing = false
	case !j.failing:
		j.failing = true
		j.log.Warn("note what is stored; a restart would find it in the store instead", "error", err)
	}
	if n := len(j.unnoted); n > maxUnnoted {
		j.unnoted = append([]settledNote(nil), j.unnoted[n-maxUnnoted:]...)
	}
}

func (j *journal) write() error {
	if j.file == nil || j.end > journalBytes {
		if err := j.rotate(); err != nil {
			return err
		}
		j.number++
		j.name = fmt.Sprintf("%020d%s", j.number, journalSuffix)
		file, err := j.fs.Create(j.name)
		if err != nil {
			return fmt.Errorf("create a journal: %w", err)
		}
		j.file = file
	}
	var b []byte
	for _, n := range j.unnoted {
		b = appendSettled(b, n)
		j.newest = max(j.newest, n.seq)
	}
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.end += int64(len(b))
	j.dirty, j.unnoted = true, nil
	return nil
}

// sync makes durable what was noted.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.unnoted) > 0 {
		if err := j.write(); err != nil {
			return err
		}
	}
	if j.file == nil || !j.dirty {
		return nil
	}
	if err := errors.Join(j.file.Sync(), j.fs.SyncDir(".")); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	j.dirty = false
	return nil
}

// rotate ends the file. The caller holds j.mu.
func (j *journal) rotate() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.old = append(j.old, oldJournal{name: j.name, newest: j.newest})
	j.file, j.end, j.newest = nil, 0, 0
	return err
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rotate()
}

// trim removes the journals in which everything was released.
func (j *journal) trim(released record.Seq) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.unnoted) > 0 && j.unnoted[0].seq <= released {
		j.unnoted = j.unnoted[1:]
	}
	if j.file != nil && j.newest <= released && j.end > journalBytes/4 {
		if err := j.rotate(); err != nil {
			j.log.Warn("close a journal", "error", err)
		}
	}
	kept := j.old[:0]
	for _, o := range j.old {
		if o.newest > released {
			kept = append(kept, o)
			continue
		}
		j.files.forget(o.name)
		if err := j.fs.Remove(o.name); err != nil && !isNotExist(err) {
			j.log.Warn("remove a journal", "file", o.name, "error", err)
			kept = append(kept, o)
		}
	}
	j.old = kept
}
