package spool

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"

	"indelible/internal/record"
)

// entryReader reads the entries of one file. Its errors are those of files, and
// errFormat where the bytes are wrong.
type entryReader struct {
	files    *files
	name     string // of the segment or the copy
	nonce    uint64
	bodyFile string // name of the body file; "": the one that the entry names
	// damaged is told of a body that turned out wrong when it was read, and
	// says what the reader is to fail with. nil: a *record.GapError.
	damaged func(seq record.Seq, err error) error
}

// read reads and checks the entry of seq at off; body: with its inline body. The
// body of a file is checked piece by piece by who reads it.
func (r entryReader) read(w *window, seq record.Seq, off int64, body bool) (record.Entry, error) {
	fail := func(what string, err error) (record.Entry, error) {
		return record.Entry{}, fmt.Errorf("%s of the entry at %d of %s: %w", what, off, r.name, err)
	}
	if off == 0 {
		return record.Entry{}, fmt.Errorf("found unreadable before: %w", errFormat)
	}
	b, err := w.bytes(off, entrySize)
	if err != nil {
		return fail("header", err)
	}
	h, ok := parseEntryHeader(b, r.nonce)
	if !ok || h.seq != seq || !h.isRecord() {
		return fail("header", errFormat)
	}
	if b, err = w.bytes(off+entrySize, int(h.metaLen)); err != nil {
		return fail("meta block", err)
	}
	if crc32.Checksum(b, castagnoli) != h.metaCRC {
		return fail("meta block", errFormat)
	}
	m, err := parseMeta(b)
	if err != nil {
		return fail("meta block", err)
	}
	e := record.Entry{Info: h.info(m), Open: func() (io.ReadSeekCloser, error) { return r.open(h, off+entrySize+int64(h.metaLen)) }}
	if !body || h.kind == kindFile {
		return e, nil
	}
	if b, err = w.bytes(off+entrySize+int64(h.metaLen), int(h.bodyLen)); err != nil {
		return fail("body", err)
	}
	if crc32.Checksum(b, castagnoli) != h.bodyCRC {
		return fail("body", errFormat)
	}
	return e, nil
}

// open opens the body of an entry; an inline one stands at off.
func (r entryReader) open(h entryHeader, off int64) (io.ReadSeekCloser, error) {
	if h.kind == kindFile {
		name := r.bodyFile
		if name == "" {
			name = bodyName(h.bodyID)
		}
		f, err := openFileBody(r.files, name, h)
		if err != nil {
			return nil, r.judge(h.seq, err)
		}
		return &checkedBody{f, r}, nil
	}
	f, err := r.files.open(r.name)
	if err != nil {
		return nil, r.judge(h.seq, err)
	}
	defer f.release()
	b := make([]byte, h.bodyLen)
	if err = f.readFull(b, off); err == nil && crc32.Checksum(b, castagnoli) != h.bodyCRC {
		err = errFormat
	}
	if err != nil {
		return nil, r.judge(h.seq, err)
	}
	return memBody{bytes.NewReader(b)}, nil
}

// checkedBody is a body file whose reader learns what its errors mean.
type checkedBody struct {
	*fileBody
	r entryReader
}

func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.fileBody.Read(p)
	if err != nil && err != io.EOF {
		err = b.r.judge(b.header.seq, err)
	}
	return n, err
}

// judge makes of an error what the reader of a body gets: a *record.ReadError
// with its seq, or, for bytes that are wrong, a *record.GapError.
func (r entryReader) judge(seq record.Seq, err error) error {
	if !isDamage(err) {
		return ofRecord(seq, err)
	}
	if r.damaged != nil {
		return r.damaged(seq, err)
	}
	return &record.GapError{First: seq, Last: seq, Cause: "its body: " + err.Error()}
}
