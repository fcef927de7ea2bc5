package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"indelible/internal/record"
)

const (
	asideDir          = "aside"
	asideEntry        = 512 // the entry's offset in a set-aside copy
	attrReason        = ":spool-reason"
	attrSince         = ":spool-since"
	deferredSuffix    = ".deferred"
	quarantinedSuffix = ".quarantined"
	asideBodySuffix   = ".body"
)

// asideItem is what stays in memory of a record that was set aside.
type asideItem struct {
	state       record.State
	bucket, key string
	hash, copy  uint64
	size        int64
	time        time.Time
	bytes       int64 // of its files
}

// asideIndex are the records that were set aside. Guarded by Spool.mu.
type asideIndex struct {
	items map[record.Seq]*asideItem
}

// byCopy are the seqs with that copy hash.
func (x *asideIndex) byCopy(hash uint64) (seqs []record.Seq) {
	for seq, it := range x.items {
		if it.copy == hash {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// newest is the newest seq under bucket and key, 0 if there is none.
func (x *asideIndex) newest(bucket, key string) (found record.Seq) {
	for seq, it := range x.items {
		if seq > found && it.bucket == bucket && it.key == key {
			found = seq
		}
	}
	return found
}

func (x *asideIndex) seqs() []record.Seq {
	seqs := make([]record.Seq, 0, len(x.items))
	for seq := range x.items {
		seqs = append(seqs, seq)
	}
	return sortSeqs(seqs)
}

func asideSuffix(state record.State) string {
	if state == record.Quarantined {
		return quarantinedSuffix
	}
	return deferredSuffix
}

func asideName(seq record.Seq, state record.State) string {
	return fmt.Sprintf("%s/%020d%s", asideDir, seq, asideSuffix(state))
}

func asideBody(seq record.Seq) string {
	return fmt.Sprintf("%s/%020d%s", asideDir, seq, asideBodySuffix)
}

// loadAside finds the set-aside copies. One that is damaged is a gap.
func (s *Spool) loadAside() error {
	names, err := s.fs.ReadDir(asideDir)
	if err != nil {
		if isNotExist(err) {
			return nil
		}
		return err
	}
	bodies, damaged := map[record.Seq]bool{}, map[record.Seq]bool{}
	for _, d := range names {
		name := asideDir + "/" + d.Name()
		if seq, ok := parseSeqName(d.Name(), asideBodySuffix); ok {
			bodies[seq] = true
		}
		if number, _, ok := strings.Cut(d.Name(), "."); ok && strings.Contains(d.Name(), damagedSuffix) {
			if seq, ok := parseSeqName(number+asideBodySuffix, asideBodySuffix); ok {
				damaged[seq] = true // put away by an earlier start
			}
		}
		if strings.HasSuffix(name, tempSuffix) {
			if err := s.removeUnused(name); err != nil {
				return err
			}
		}
		for _, state := range []record.State{record.Deferred, record.Quarantined} {
			seq, ok := parseSeqName(d.Name(), asideSuffix(state))
			if !ok {
				continue
			}
			whole, err := s.loadAsideItem(seq, state)
			if err != nil {
				return err
			}
			if !whole {
				damaged[seq] = true
			}
		}
	}
	for seq := range bodies {
		if s.aside.items[seq] == nil && !damaged[seq] && !s.opts.ReadOnly {
			if err := s.fs.Remove(asideBody(seq)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadAsideItem takes up one set-aside copy, and says whether it is whole.
func (s *Spool) loadAsideItem(seq record.Seq, state record.State) (whole bool, err error) {
	if s.aside.items[seq] != nil { // a change of state was cut short: stay with Deferred, the one that is tried again
		return true, s.removeUnused(asideName(seq, state))
	}
	a, err := s.readAsideFile(seq, state)
	if s.removedMeanwhile(err) {
		return true, nil
	}
	if passes(err) {
		return false, fmt.Errorf("read record %d that was set aside: %w", seq, err)
	}
	if err != nil {
		s.log.Error("a record that was set aside is damaged", "seq", uint64(seq), "error", err)
		if seq <= s.released && !s.opts.ReadOnly {
			s.totals.gaps++
			s.totals.gapRecords++
			if s.opts.Events.Gap != nil {
				s.opts.Events.Gap(fence{First: seq, Last: seq, Cause: "its set-aside copy is damaged"})
			}
		}
		return false, s.putAway(asideName(seq, state))
	}
	s.aside.items[seq] = newAsideItem(a.Info, state, s.sizeOfFile(asideName(seq, state))+s.sizeOfFile(asideBody(seq)))
	s.totals.seen = max(s.totals.seen, seq)
	if seq > s.released && s.settled.add(seq) {
		s.totals.pendingBytes -= a.Size
	}
	return true, nil
}

// sizeOfFile is the size of a file, 0 if there is none.
func (s *Spool) sizeOfFile(name string) int64 {
	h, err := s.files.open(name)
	if err != nil {
		return 0
	}
	defer h.release()
	size, err := h.file.Size()
	if err != nil {
		return 0
	}
	return size
}

func newAsideItem(i record.Info, state record.State, bytes int64) *asideItem {
	hash := keyHash(i.Bucket, i.Key)
	return &asideItem{state: state, bucket: i.Bucket, key: i.Key, hash: hash, copy: copyHash(hash, i.Digest), size: i.Size, time: i.Time, bytes: bytes}
}

// readAside reads a set-aside copy.
func (s *Spool) readAside(seq record.Seq) (record.Aside, error) {
	s.mu.Lock()
	it := s.aside.items[seq]
	var state record.State
	if it != nil {
		state = it.state
	}
	s.mu.Unlock()
	if it == nil {
		return record.Aside{}, fmt.Errorf("record %d is not set aside", seq)
	}
	return s.readAsideFile(seq, state)
}

func (s *Spool) readAsideFile(seq record.Seq, state record.State) (record.Aside, error) {
	name := asideName(seq, state)
	h, err := s.files.open(name)
	if err != nil {
		return record.Aside{}, err
	}
	defer h.release()
	b := make([]byte, asideEntry)
	if got, err := h.file.ReadAt(b, 0); got < len(b) {
		return record.Aside{}, noEOF(err)
	}
	head, err := parseSegHeader(b)
	if err != nil {
		return record.Aside{}, err
	}
	g := &segment{segHeader: head, name: name}
	e, err := s.readEntry(&window{handle: h, step: 4096}, g, seq, place{off: asideEntry}, true, asideBody(seq))
	if err != nil {
		return record.Aside{}, err
	}
	a := record.Aside{Entry: e, State: state}
	attrs := e.Attrs
	n := len(attrs) - 2
	if n < 0 || attrs[n].Name != attrReason || attrs[n+1].Name != attrSince {
		return record.Aside{}, errFormat
	}
	a.Reason = attrs[n].Value
	if a.Since, err = time.Parse(time.RFC3339Nano, attrs[n+1].Value); err != nil {
		return record.Aside{}, errFormat
	}
	if a.Attrs = attrs[:n:n]; n == 0 {
		a.Attrs = nil
	}
	return a, nil
}

// setAside makes a durable copy of a record that the store does not take. The caller holds s.stateMu.
func (s *Spool) setAside(o record.Outcome) error {
	e, since, err := s.toSetAside(o)
	if err != nil {
		return err
	}
	body, err := s.asideBytes(o.Seq, e)
	if err != nil {
		return err
	}
	name := asideName(o.Seq, o.State)
	reason := o.Reason
	if len(reason) > 1024 {
		reason = reason[:1024]
	}
	m := meta{door: e.Door, source: e.Source, bucket: e.Bucket, key: e.Key}
	m.attrs = append(slices.Clip(e.Attrs), record.Attr{Name: attrReason, Value: reason}, record.Attr{Name: attrSince, Value: since.Format(time.RFC3339Nano)})
	h := body.header
	data := make([]byte, asideEntry)
	nonce := binary.LittleEndian.Uint64(e.Digest[:]) ^ uint64(o.Seq)
	copy(data, segHeader{nonce: nonce, first: o.Seq, log: ""}.append(nil))
	mb := m.append(nil)
	h.metaLen, h.metaCRC = uint32(len(mb)), crc32.Checksum(mb, castagnoli)
	data = append(data, make([]byte, entrySize)...)
	h.put(data[asideEntry:], nonce)
	data = append(append(data, mb...), body.inline...)
	if err := s.replace(name, data); err != nil {
		return fmt.Errorf("set record %d aside: %w", o.Seq, err)
	}
	taken := int64(len(data)) + s.sizeOfFile(asideBody(o.Seq))
	s.mu.Lock()
	old := s.aside.items[o.Seq]
	s.aside.items[o.Seq] = newAsideItem(e.Info, o.State, taken)
	if old != nil {
		taken -= old.bytes
	}
	s.room.used += taken
	if old == nil && o.Seq > s.released && s.settled.add(o.Seq) {
		s.totals.pendingBytes -= e.Size
	}
	s.mu.Unlock()
	if old != nil && old.state != o.State {
		s.files.drop(asideName(o.Seq, old.state))
		if err := s.fs.Remove(asideName(o.Seq, old.state)); err != nil {
			return fmt.Errorf("set record %d aside: %w", o.Seq, err)
		}
	}
	return nil
}

// toSetAside reads the record to set aside, from where it is now.
func (s *Spool) toSetAside(o record.Outcome) (record.Entry, time.Time, error) {
	if a, err := s.readAside(o.Seq); err == nil {
		return a.Entry, a.Since, nil
	}
	s.mu.Lock()
	g := s.segmentOf(o.Seq)
	if f := s.fenceAt(o.Seq); f != nil {
		defer s.mu.Unlock()
		return record.Entry{}, time.Time{}, &fence{First: f.First, Last: f.Last, Cause: f.Cause}
	}
	s.mu.Unlock()
	if g == nil {
		return record.Entry{}, time.Time{}, fmt.Errorf("settle record %d: it is not here", o.Seq)
	}
	e, err := s.read(g, o.Seq, true)
	if d, ok := errors.AsType[*damageError](err); ok {
		s.fence(o.Seq, d.cause)
		return record.Entry{}, time.Time{}, &fence{First: o.Seq, Last: o.Seq, Cause: d.cause}
	}
	return e, time.Now().UTC(), err
}

// asideContent is the body of a set-aside copy as its entry has it.
type asideContent struct {
	header entryHeader
	inline []byte
}

// asideBytes copies an inline body, and gives a body file a second name.
func (s *Spool) asideBytes(seq record.Seq, e record.Entry) (asideContent, error) {
	body, err := e.Open()
	if err != nil {
		return asideContent{}, fmt.Errorf("settle record %d: %w", seq, err)
	}
	defer body.Close() // it was only read
	h := entryHeader{kind: kindInline, seq: seq, time: e.Time.UnixNano(), bodyLen: uint32(e.Size), digest: e.Digest}
	f, ok := body.(*fileBody)
	if !ok {
		b, err := io.ReadAll(body)
		h.bodyCRC = crc32.Checksum(b, castagnoli)
		return asideContent{h, b}, err
	}
	h.kind, h.bodyID, h.bodyCRC = kindFile, f.header.bodyID, f.header.bodyCRC
	err = s.fs.Link(bodyName(h.bodyID), asideBody(seq))
	if isExist(err) || isNotExist(err) {
		err = nil // set aside before
	}
	if err != nil {
		return asideContent{}, fmt.Errorf("set record %d aside: %w", seq, err)
	}
	return asideContent{header: h}, nil
}

// unsetAside removes the copy of a record that is stored now. The caller holds s.stateMu.
func (s *Spool) unsetAside(seq record.Seq) error {
	s.mu.Lock()
	it := s.aside.items[seq]
	s.mu.Unlock()
	if it == nil {
		return nil
	}
	name := asideName(seq, it.state)
	s.files.drop(name)
	if err := s.fs.Remove(name); err != nil && !isNotExist(err) {
		return fmt.Errorf("settle record %d: %w", seq, err)
	}
	s.files.drop(asideBody(seq))
	if err := s.fs.Remove(asideBody(seq)); err != nil && !isNotExist(err) {
		s.log.Warn("remove a body that was set aside", "seq", uint64(seq), "error", err)
	}
	s.mu.Lock()
	delete(s.aside.items, seq)
	s.room.used -= it.bytes
	s.mu.Unlock()
	return nil
}

// Aside yields the records that were set aside: see upload.Source.
func (s *Spool) Aside(ctx context.Context) iter.Seq2[record.Aside, error] {
	return func(yield func(record.Aside, error) bool) {
		s.mu.Lock()
		seqs := s.aside.seqs()
		s.mu.Unlock()
		for _, seq := range seqs {
			if err := ctx.Err(); err != nil {
				yield(record.Aside{}, err)
				return
			}
			a, err := s.readAside(seq)
			s.mu.Lock()
			gone := s.aside.items[seq] == nil
			s.mu.Unlock()
			if gone {
				continue
			}
			if err != nil {
				err = fmt.Errorf("read record %d that was set aside: %w", seq, err)
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// Redrive makes a quarantined record a deferred one, so that delivery tries it
// again: durably, and at once. seq 0 means all of them. It returns how many those were.
func (s *Spool) Redrive(ctx context.Context, seq record.Seq) (int, error) {
	n := 0
	for a, err := range s.Aside(ctx) {
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
