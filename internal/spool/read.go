package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"

	"indelible/internal/record"
)

// ofRecord gives a failed read the number of its record.
func ofRecord(seq record.Seq, err error) error {
	if r, ok := errors.AsType[*record.ReadError](err); ok {
		return &record.ReadError{Seq: seq, Err: r.Err}
	}
	return err
}

// reader reads the entries of a segment.
func (s *Spool) reader(g *segment) entryReader {
	return entryReader{files: s.files, name: g.name, nonce: g.nonce, damaged: s.damagedBody}
}

// damagedBody is what the reader of a damaged body fails with: of a record that
// was released meanwhile nothing is here any more, and its body is in the store.
func (s *Spool) damagedBody(seq record.Seq, cause error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.life.RUnlock()
	err := s.damaged(seq, cause)
	if err == nil {
		err = fmt.Errorf("record %d was released and is read from the store: %w", seq, fs.ErrNotExist)
	}
	return err
}

// damaged makes a gap of a record whose bytes arrived and are wrong, and returns
// it; nil if the record was released meanwhile. A file that does not open is not damage before its
// directory says so.
func (s *Spool) damaged(seq record.Seq, cause error) error {
	it, parked := s.parked.item(seq)
	if s.settled.released() >= seq {
		if parked && it.kept {
			return &gap{First: seq, Last: seq, Cause: cause.Error()}
		}
		return nil
	}
	if errors.Is(cause, fs.ErrNotExist) {
		if here, err := s.filesOf(seq); err != nil {
			return ofRecord(seq, err)
		} else if here && s.settled.released() < seq {
			return &record.ReadError{Seq: seq, Err: cause}
		}
	}
	if s.opts.ReadOnly && s.catchUp() == nil && s.settled.released() >= seq {
		return nil
	}
	size := s.sizeOf(seq)
	if s.gaps.add(gap{First: seq, Last: seq, Cause: cause.Error()}) > 0 {
		s.settled.lost(size)
		if g := s.segs.of(seq); g != nil {
			g.damaged.Store(true)
		}
		if s.known != nil {
			s.known.damaged(seq)
		}
	}
	if f, ok := s.gaps.at(seq); ok {
		return &gap{First: seq, Last: seq, Cause: f.Cause}
	}
	return nil
}

// filesOf reports whether the directories have the files of a record.
func (s *Spool) filesOf(seq record.Seq) (bool, error) {
	g := s.segs.of(seq)
	if g == nil {
		return false, nil
	}
	names := []string{g.name}
	if p, err := g.index().location(int(seq - g.first)); err == nil && p.bodyID != 0 {
		names = append(names, bodyName(p.bodyID))
	}
	for _, name := range names {
		if here, err := s.files.exists(name); err != nil || !here {
			return false, err
		}
	}
	return true, nil
}

// read reads one entry of a segment.
func (s *Spool) read(g *segment, seq record.Seq, body bool) (record.Entry, error) {
	c := s.cursor()
	defer c.close()
	return c.read(g, seq, body)
}

// Entries yields the durable records: see upload.Source. One that the disk does
// not give back now is yielded as a *record.ReadError, one that is damaged as a *record.GapError, and the next follow.
func (s *Spool) Entries(ctx context.Context, from record.Seq) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		c := s.cursor()
		defer c.close()
		upto := record.Seq(s.writer.durable.Load())
		for seq := max(from, 1); seq <= upto; {
			e, next, err := s.entryFrom(ctx, c, seq, upto)
			switch {
			case errors.Is(err, errStop):
				return
			case next == 0:
				yield(record.Entry{}, err)
				return
			case !yield(e, err):
				return
			}
			seq = next
		}
	}
}

// entryFrom finds the first entry or gap from seq on that is not settled, and the seq behind it. next is 0
// where nothing can be told; an errStop says that there is none.
func (s *Spool) entryFrom(ctx context.Context, c *cursor, seq, upto record.Seq) (e record.Entry, next record.Seq, err error) {
	if err := ctx.Err(); err != nil {
		return e, 0, err
	}
	if err := s.begin(); err != nil {
		return e, 0, err
	}
	defer s.life.RUnlock()
	for {
		found, g, lost := s.nextUnsettled(seq, upto)
		switch {
		case lost != nil:
			return e, lost.Last + 1, lost
		case g == nil:
			return e, 0, errStop
		}
		seq = found
		if e, err = c.read(g, seq, true); isDamage(err) {
			e, err = c.read(g, seq, true) // a second look at what is about to be called lost
		}
		if isDamage(err) {
			if err = s.damaged(seq, err); err == nil {
				continue // released meanwhile
			}
			if _, ok := errors.AsType[*record.GapError](err); ok {
				continue // it is found as a gap
			}
		}
		if err != nil {
			s.health.missed(seq)
			return record.Entry{}, seq + 1, ofRecord(seq, err)
		}
		s.health.read(seq)
		return e, seq + 1, nil
	}
}

// nextUnsettled finds the first record from seq on that is neither settled nor
// released, with its segment, or the gap that comes before it.
func (s *Spool) nextUnsettled(seq, upto record.Seq) (record.Seq, *segment, *gap) {
	for seq = max(seq, s.settled.released()+1); seq <= upto; seq++ {
		if s.settled.has(seq) {
			continue
		}
		if f, ok := s.gaps.at(seq); ok {
			return seq, nil, &gap{First: seq, Last: min(f.Last, upto), Cause: f.Cause}
		}
		if g := s.segs.of(seq); g != nil {
			return seq, g, nil
		}
		if s.settled.released() >= seq {
			continue
		}
		s.gaps.add(gap{First: seq, Last: seq, Cause: "no segment holds it"})
		return seq, nil, &gap{First: seq, Last: seq, Cause: "no segment holds it"}
	}
	return seq, nil, nil
}

// Entry finds a record by its number: see query.Pending. Where it is damaged it
// fails with a *record.GapError, where it cannot be read now with a *record.ReadError.
func (s *Spool) Entry(_ context.Context, seq record.Seq) (record.Entry, bool, error) {
	if err := s.begin(); err != nil {
		return record.Entry{}, false, fmt.Errorf("read record %d: %w", seq, err)
	}
	defer s.life.RUnlock()
	return s.entry(seq)
}

func (s *Spool) entry(seq record.Seq) (record.Entry, bool, error) {
	it, parked := s.parked.item(seq)
	if parked && !it.kept {
		a, err := s.parked.read(seq, it.state)
		if err == nil || !isDamage(err) {
			return a.Entry, err == nil, ofRecord(seq, err)
		}
	}
	if seq == 0 || seq > record.Seq(s.writer.durable.Load()) || seq <= s.settled.released() && !it.kept {
		return record.Entry{}, false, nil
	}
	if f, ok := s.gaps.at(seq); ok {
		return record.Entry{}, false, &f
	}
	g := s.segs.of(seq)
	if g == nil {
		return record.Entry{}, false, nil
	}
	e, err := s.read(g, seq, false)
	switch {
	case err == nil:
		s.health.read(seq)
		return e, true, nil
	case !isDamage(err):
		s.health.missed(seq)
		return record.Entry{}, false, ofRecord(seq, err)
	}
	return record.Entry{}, false, s.damaged(seq, err) // nil: released meanwhile
}

const (
	readAhead    = 128 << 10 // of a segment, once its entries are read in order
	minReadAhead = 8 << 10
)

// cursor reads entries in order, keeping the files of their segment open. Not safe for concurrent use.
type cursor struct {
	s    *Spool
	g    *segment
	win  window
	idx  *idxFile
	bl   blockReader
	open []*handle
	buf  *[]byte // of win, to be given back
}

// windowBufs are the buffers of cursors.
type windowBufs struct{ pool sync.Pool }

func (p *windowBufs) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, minReadAhead)
	return &b
}

func (s *Spool) cursor() *cursor {
	buf := s.windows.get()
	return &cursor{s: s, buf: buf, win: window{buf: (*buf)[:0], step: minReadAhead}}
}

// close gives back what the cursor holds.
func (c *cursor) close() {
	c.leave()
	if buf := c.win.buf[:0]; cap(buf) <= 2*readAhead {
		*c.buf = buf
		c.s.windows.pool.Put(c.buf)
	}
}

func (c *cursor) leave() {
	for _, h := range c.open {
		h.release()
	}
	c.open, c.g, c.idx = c.open[:0], nil, nil
	c.win.buf, c.win.at = c.win.buf[:0], 0
}

// read reads the entry of seq; body: with its inline body.
func (c *cursor) read(g *segment, seq record.Seq, body bool) (record.Entry, error) {
	if c.g != g || c.idx == nil && g.idx.Load() != nil {
		if err := c.enter(g); err != nil {
			return record.Entry{}, err
		}
	}
	p, err := c.location(g, int(seq-g.first))
	if err != nil {
		return record.Entry{}, err
	}
	if p.off > c.win.at && len(c.win.buf) > 0 && c.win.step < readAhead {
		c.win.step = min(2*c.win.step, readAhead) // they are read in order
	}
	e, err := c.s.reader(g).read(&c.win, seq, p.off, body)
	if isDamage(err) {
		c.win.buf = c.win.buf[:0] // what is read again is read from the disk
	}
	return e, err
}

// enter opens the files of a segment.
func (c *cursor) enter(g *segment) error {
	c.leave()
	h, err := c.s.files.open(g.name)
	if err != nil {
		return err
	}
	c.g, c.open, c.win.handle = g, append(c.open, h), h
	if x := g.idx.Load(); x != nil {
		if h, err := c.s.files.open(x.name); err == nil {
			c.idx, c.bl, c.open = x, blockReader{file: h}, append(c.open, h)
		}
	}
	return nil
}

func (c *cursor) location(g *segment, i int) (p location, err error) {
	if c.idx != nil {
		if p, err = c.idx.readLocation(&c.bl, i); err == nil {
			return p, nil
		}
	}
	err = c.s.segs.ask(g, func(x index) (err error) {
		p, err = x.location(i)
		return err
	})
	return p, err
}
