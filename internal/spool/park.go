package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"time"

	"indelible/internal/record"
)

// park makes a durable copy of a record that the store does not take, so
// that its segment can go. One that cannot be read now, or for whose copy there is no room, is kept where it is.
func (s *Spool) park(o record.Outcome) error {
	s.settled.stateMu.Lock()
	defer s.settled.stateMu.Unlock()
	if len(o.Reason) > 1024 {
		o.Reason = o.Reason[:1024]
	}
	err := s.copyParked(o)
	switch {
	case err == nil:
		return nil
	case isFull(err):
		s.space.full()
	default:
		if _, failed := errors.AsType[*record.ReadError](err); !failed {
			return err
		}
	}
	s.log.Warn("a record that is parked is kept in its segment, because it cannot be copied", "seq", uint64(o.Seq), "error", err)
	return s.keepInPlace(o)
}

// maxKept bounds the records that are parked without a copy: the state file has to name them.
const maxKept = 128

// keepInPlace parks a record without a copy: its segment stays.
func (s *Spool) keepInPlace(o record.Outcome) error {
	if s.parked.keptCount() >= maxKept {
		return fmt.Errorf("no more than %d records can be parked without a copy", maxKept)
	}
	if len(o.Reason) > 100 {
		o.Reason = o.Reason[:100]
	}
	it := &parkedItem{
		state: o.State, bucket: o.Bucket, key: o.Key, name: s.nameOf(o.Bucket, o.Key), size: o.Size, time: o.Time,
		kept: true, reason: o.Reason, since: time.Now().UTC(),
	}
	if old, ok := s.parked.item(o.Seq); ok {
		if !old.kept {
			return fmt.Errorf("its copy cannot be read now")
		}
		it.since = old.since
	}
	s.parked.put(o.Seq, it)
	s.settled.add(o.Seq, o.Size)
	if o.Seq <= s.settled.released() {
		return s.settled.state.write(s.snapshot())
	}
	return nil
}

// nameOf is the identity of a name; of none where the record could not be read.
func (s *Spool) nameOf(bucket, key string) uint64 {
	id, _ := s.ids.name(bucket, key)
	return id
}

// copyParked copies a record out of its segment, or gives its copy another state.
func (s *Spool) copyParked(o record.Outcome) error {
	e, since, err := s.toPark(o)
	if err != nil {
		return err
	}
	h, inline, err := s.bodyForCopy(e)
	if err != nil {
		return err
	}
	bytes, err := s.parked.write(e, h, inline, o.State, o.Reason, since)
	if err != nil {
		return err
	}
	bytes += s.sizeOfFile(parkedBody(o.Seq))
	old, had := s.parked.put(o.Seq, &parkedItem{
		state: o.State, bucket: e.Bucket, key: e.Key, name: s.nameOf(e.Bucket, e.Key), size: e.Size, time: e.Time,
		bytes: bytes, since: since, reason: o.Reason,
	})
	s.space.add(bytes - old.bytes)
	s.settled.add(o.Seq, e.Size)
	if had && !old.kept && old.state != o.State {
		s.files.forget(parkedName(o.Seq, old.state))
		if err := s.fs.Remove(parkedName(o.Seq, old.state)); err != nil && !isNotExist(err) {
			return err
		}
	}
	return nil
}

// toPark reads the record to park, from where it is now.
func (s *Spool) toPark(o record.Outcome) (record.Entry, time.Time, error) {
	since := time.Now().UTC()
	if it, ok := s.parked.item(o.Seq); ok {
		since = it.since
		if !it.kept {
			a, err := s.parked.read(o.Seq, it.state)
			if err == nil || !isDamage(err) {
				return a.Entry, a.Since, err
			}
		}
	}
	if f, ok := s.gaps.at(o.Seq); ok {
		return record.Entry{}, since, &f
	}
	g := s.segs.of(o.Seq)
	if g == nil {
		return record.Entry{}, since, fmt.Errorf("it is not here")
	}
	e, err := s.read(g, o.Seq, true)
	if isDamage(err) {
		if err = s.damaged(o.Seq, err); err == nil {
			err = fmt.Errorf("it is not here")
		}
	}
	return e, since, err
}

// bodyForCopy is an inline body, or a body file with a second name.
func (s *Spool) bodyForCopy(e record.Entry) (entryHeader, []byte, error) {
	h := entryHeader{kind: kindInline, seq: e.Seq, time: e.Time.UnixNano(), bodyLen: uint32(e.Size), digest: e.Digest}
	body, err := e.Open()
	if err != nil {
		return h, nil, err
	}
	defer func() { _ = body.Close() }() // it was only read
	f, ok := body.(*checkedBody)
	if !ok {
		b, err := io.ReadAll(body)
		h.bodyCRC = crc32.Checksum(b, castagnoli)
		return h, b, err
	}
	h.kind, h.bodyID, h.bodyCRC = kindFile, f.header.bodyID, f.header.bodyCRC
	err = s.fs.Link(bodyName(h.bodyID), parkedBody(e.Seq))
	if errors.Is(err, fs.ErrExist) || isNotExist(err) {
		err = nil // parked before
	}
	return h, nil, err
}

// sizeOfFile is the size of a file, 0 if there is none.
func (s *Spool) sizeOfFile(name string) int64 {
	h, err := s.files.open(name)
	if err != nil {
		return 0
	}
	defer h.release()
	size, err := h.size()
	if err != nil {
		return 0
	}
	return size
}

// Parked yields the records that were parked: see upload.Source. Of one that is kept in place and cannot
// be read, only what its outcome said is known.
func (s *Spool) Parked(ctx context.Context) iter.Seq2[record.ParkedEntry, error] {
	return func(yield func(record.ParkedEntry, error) bool) {
		for _, seq := range s.parked.seqs() {
			if err := ctx.Err(); err != nil {
				yield(record.ParkedEntry{}, err)
				return
			}
			a, ok, err := s.parkedEntry(seq)
			if !ok && err == nil {
				continue // stored meanwhile
			}
			if err != nil {
				err = fmt.Errorf("read record %d that was parked: %w", seq, err)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// parkedEntry reads one record that was parked.
func (s *Spool) parkedEntry(seq record.Seq) (a record.ParkedEntry, ok bool, err error) {
	if err := s.begin(); err != nil {
		return a, false, err
	}
	defer s.life.RUnlock()
	it, ok := s.parked.item(seq)
	if !ok {
		return a, false, nil
	}
	if !it.kept {
		a, err = s.parked.read(seq, it.state)
		if _, ok := s.parked.item(seq); !ok {
			return a, false, nil
		}
		return a, err == nil, err
	}
	e, found, err := s.entry(seq)
	if err == nil && !found {
		err = &record.GapError{First: seq, Last: seq, Cause: "it is parked in place and not there"}
	}
	if err != nil {
		failed := err
		e = record.Entry{
			Info: record.Info{Seq: seq, Time: it.time, Bucket: it.bucket, Key: it.key, Size: it.size},
			Open: func() (io.ReadSeekCloser, error) { return nil, failed },
		}
	}
	return record.ParkedEntry{Entry: e, State: it.state, Reason: it.reason, Since: it.since}, true, nil
}

// Redrive makes a quarantined record a deferred one, so that delivery tries it
// again: durably, and at once. seq 0 means all of them. It returns how many those were.
func (s *Spool) Redrive(ctx context.Context, seq record.Seq) (int, error) {
	n := 0
	for a, err := range s.Parked(ctx) {
		if err != nil {
			return n, fmt.Errorf("redrive: %w", err)
		}
		if a.State != record.Quarantined || seq != 0 && a.Seq != seq {
			continue
		}
		if err := s.Settle(ctx, record.Outcome{Info: a.Info, State: record.Deferred, Reason: "redriven: " + a.Reason}); err != nil {
			return n, fmt.Errorf("redrive: %w", err)
		}
		n++
	}
	return n, nil
}
