package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"path"
	"syscall"

	"indelible/internal/record"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
func isExist(err error) bool    { return errors.Is(err, fs.ErrExist) }

func dirOf(name string) string { return path.Dir(name) }

// readAhead is how much of a segment is read at once when entries are read in order.
const readAhead = 128 << 10

// window reads a segment through a piece of it that is in memory. Not safe for concurrent use.
type window struct {
	handle *handle
	step   int // bytes to read at once, at least
	at     int64
	buf    []byte
}

// bytes returns n bytes at off, valid until the next call.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off >= w.at && off+int64(n) <= w.at+int64(len(w.buf)) {
		return w.buf[off-w.at:][:n], nil
	}
	size := max(n, w.step)
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	w.at = off
	got, err := w.handle.file.ReadAt(w.buf, off)
	w.buf = w.buf[:got]
	if got < n {
		return nil, noEOF(err)
	}
	return w.buf[:n], nil
}

// damageError says that the disk does not give a record back.
type damageError struct{ cause string }

func (e *damageError) Error() string { return e.cause }

// passes says whether an error tells of this process or its rights, and nothing
// of what the disk holds: then it is no damage, and what is read is tried again.
func passes(err error) bool {
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR, fs.ErrPermission, fs.ErrClosed} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// unopened is what reading an entry fails with whose file does not open.
func unopened(err error) error {
	if passes(err) {
		return err
	}
	return &damageError{err.Error()}
}

// readEntry reads and checks the entry of seq at p, with its body if so asked.
// bodyFile is the name of its body file, "" for the one that its id names.
func (s *Spool) readEntry(w *window, g *segment, seq record.Seq, p place, body bool, bodyFile string) (record.Entry, error) {
	fail := func(what string, err error) (record.Entry, error) {
		if passes(err) {
			return record.Entry{}, fmt.Errorf("read the %s of the entry at %d of %s: %w", what, p.off, g.name, err)
		}
		return record.Entry{}, &damageError{fmt.Sprintf("%s of entry at %d of %s: %v", what, p.off, g.name, err)}
	}
	if p.off == 0 {
		return record.Entry{}, &damageError{"fenced before"}
	}
	b, err := w.bytes(p.off, entrySize)
	if err != nil {
		return fail("header", err)
	}
	h, ok := parseEntryHeader(b, g.nonce)
	if !ok || h.seq != seq || !h.isRecord() {
		return fail("header", errFormat)
	}
	if b, err = w.bytes(p.off+entrySize, int(h.metaLen)); err != nil {
		return fail("meta block", err)
	}
	if crc32.Checksum(b, castagnoli) != h.metaCRC {
		return fail("meta block", errFormat)
	}
	m, err := parseMeta(b)
	if err != nil {
		return fail("meta block", err)
	}
	if bodyFile == "" {
		bodyFile = bodyName(h.bodyID)
	}
	e := record.Entry{Info: h.info(m), Open: s.opener(g.name, p.off+entrySize+int64(h.metaLen), h, bodyFile)}
	if !body {
		return e, nil
	}
	if h.kind == kindFile {
		f, err := openFileBody(s.files, bodyFile, h)
		if err == nil {
			err = errors.Join(f.verify(), f.Close())
		}
		if err != nil {
			return fail("body", err)
		}
		return e, nil
	}
	if b, err = w.bytes(p.off+entrySize+int64(h.metaLen), int(h.bodyLen)); err != nil {
		return fail("body", err)
	}
	if crc32.Checksum(b, castagnoli) != h.bodyCRC {
		return fail("body", errFormat)
	}
	return e, nil
}

// opener is the Open of an entry whose inline body stands at off of the file.
func (s *Spool) opener(name string, off int64, h entryHeader, bodyFile string) func() (io.ReadSeekCloser, error) {
	files := s.files
	return func() (io.ReadSeekCloser, error) {
		if h.kind == kindFile {
			return openFileBody(files, bodyFile, h)
		}
		f, err := files.open(name)
		if err != nil {
			return nil, fmt.Errorf("open body: %w", err)
		}
		defer f.release()
		b := make([]byte, h.bodyLen)
		if got, err := f.file.ReadAt(b, off); got < len(b) {
			return nil, fmt.Errorf("read body: %w: %w", noEOF(err), damagedBody(h))
		}
		if crc32.Checksum(b, castagnoli) != h.bodyCRC {
			return nil, fmt.Errorf("read body: %w", damagedBody(h))
		}
		return memBody{bytes.NewReader(b)}, nil
	}
}

// damagedBody is what reading a damaged body fails with.
func damagedBody(h entryHeader) error {
	return &record.GapError{First: h.seq, Last: h.seq, Cause: "its body is damaged"}
}

// read reads one entry of a segment.
func (s *Spool) read(g *segment, seq record.Seq, body bool) (record.Entry, error) {
	var p place
	err := s.ask(g, func(x index) (err error) {
		p, err = x.place(int(seq - g.first))
		return err
	})
	if err != nil {
		return record.Entry{}, err
	}
	h, err := s.files.open(g.name)
	if err != nil {
		return record.Entry{}, unopened(err)
	}
	defer h.release()
	return s.readEntry(&window{handle: h, step: 4096}, g, seq, p, body, "")
}

// Entries yields the durable records: see upload.Source.
func (s *Spool) Entries(ctx context.Context, from record.Seq) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		c := &cursor{s: s}
		defer c.close()
		s.mu.Lock()
		upto := s.durable
		s.mu.Unlock()
		for seq := max(from, 1); seq <= upto; {
			if err := ctx.Err(); err != nil {
				yield(record.Entry{}, err)
				return
			}
			next, g, gap := s.nextUnsettled(seq, upto)
			switch {
			case gap != nil:
				if !yield(record.Entry{}, gap) {
					return
				}
				seq = gap.Last + 1
				continue
			case g == nil:
				return
			}
			seq = next
			e, err := c.read(g, seq)
			if d, ok := errors.AsType[*damageError](err); ok {
				s.fence(seq, d.cause)
				continue // it is yielded as a gap, or was released meanwhile
			}
			if err != nil {
				yield(record.Entry{}, fmt.Errorf("read record %d: %w", seq, err))
				return
			}
			if !yield(e, nil) {
				return
			}
			seq++
		}
	}
}

// nextUnsettled finds the first record from seq on that is neither settled nor
// released, with its segment, or the gap that comes before it.
func (s *Spool) nextUnsettled(seq, upto record.Seq) (record.Seq, *segment, *fence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq = max(seq, s.released+1)
	for seq <= upto {
		if s.settled.has(seq) {
			seq++
			continue
		}
		if f := s.fenceAt(seq); f != nil {
			return seq, nil, &fence{First: seq, Last: min(f.Last, upto), Cause: f.Cause}
		}
		if g := s.segmentOf(seq); g != nil {
			return seq, g, nil
		}
		f := s.addFence(fence{First: seq, Last: seq, Cause: "no segment holds it"})
		return seq, nil, f
	}
	return seq, nil, nil
}

// cursor reads entries in order, keeping the files of their segment open.
type cursor struct {
	s    *Spool
	g    *segment
	win  window
	idx  *idxFile
	bl   blockReader
	open []*handle
}

func (c *cursor) close() {
	for _, h := range c.open {
		h.release()
	}
	c.open, c.g, c.idx = nil, nil, nil
}

// read reads the entry of seq with its body.
func (c *cursor) read(g *segment, seq record.Seq) (record.Entry, error) {
	if c.g != g || c.idx == nil && g.idx.Load() != nil {
		c.close()
		h, err := c.s.files.open(g.name)
		if err != nil {
			return record.Entry{}, unopened(err)
		}
		c.g, c.open, c.win = g, append(c.open, h), window{handle: h, step: readAhead, buf: c.win.buf[:0]}
		if x := g.idx.Load(); x != nil {
			if h, err := c.s.files.open(x.name); err == nil {
				c.idx, c.bl, c.open = x, blockReader{file: h.file}, append(c.open, h)
			}
		}
	}
	var p place
	var err error
	if c.idx != nil {
		p, err = c.idx.readPlace(&c.bl, int(seq-g.first))
	}
	if c.idx == nil || err != nil {
		err = c.s.ask(g, func(x index) (err error) {
			p, err = x.place(int(seq - g.first))
			return err
		})
	}
	if err != nil {
		return record.Entry{}, err
	}
	return c.s.readEntry(&c.win, g, seq, p, true, "")
}
