package spool

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"

	"indelible/internal/disk"
)

const (
	bodyDir   = "bodies"
	chunkSize = 64 << 10 // of a body file, each with its own checksum
)

func bodyName(id uint64) string { return fmt.Sprintf("%s/%016x", bodyDir, id) }

// bodyFileSize is the most that the file of a body of n bytes takes.
func bodyFileSize(n int64) int64 { return n + (n/chunkSize+1)*4 }

// chunkSums collects the CRC32C of each chunk of a body. They stand behind the
// body in its file, and their own checksum stands in the entry.
type chunkSums struct {
	table []byte
	crc   uint32
	n     int // bytes of the open chunk
}

// Write takes the next bytes of the body.
func (c *chunkSums) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		part := b[:min(len(b), chunkSize-c.n)]
		c.crc = crc32.Update(c.crc, castagnoli, part)
		c.n += len(part)
		b = b[len(part):]
		if c.n == chunkSize {
			c.cut()
		}
	}
	return total, nil
}

func (c *chunkSums) cut() {
	c.table = binary.LittleEndian.AppendUint32(c.table, c.crc)
	c.crc, c.n = 0, 0
}

// sum ends the body and returns the checksum of the table.
func (c *chunkSums) sum() uint32 {
	if c.n > 0 {
		c.cut()
	}
	return crc32.Checksum(c.table, castagnoli)
}

// fileBody reads a body file, verifying each chunk that it touches.
type fileBody struct {
	handle *handle
	header entryHeader
	size   int64
	table  []byte
	pos    int64
	chunk  int64 // number of the chunk in buf, plus 1
	buf    []byte
}

// openFileBody opens the body file of an entry and checks its length and table.
// Its errors are those of files, and errFormat where what it holds is wrong.
func openFileBody(files *files, name string, header entryHeader) (*fileBody, error) {
	h, err := files.open(name)
	if err != nil {
		return nil, err
	}
	size := int64(header.bodyLen)
	b := &fileBody{handle: h, header: header, size: size, table: make([]byte, (size+chunkSize-1)/chunkSize*4)}
	err = h.readFull(b.table, size)
	if err == nil && crc32.Checksum(b.table, castagnoli) != header.bodyCRC {
		err = fmt.Errorf("checksums of %s: %w", name, errFormat)
	}
	if err != nil {
		h.release()
		return nil, err
	}
	return b, nil
}

// Read is io.Reader's.
func (b *fileBody) Read(p []byte) (int, error) {
	if b.pos >= b.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := b.pos / chunkSize
	if b.chunk != n+1 {
		b.chunk = 0
		if b.buf == nil {
			b.buf = make([]byte, 0, min(chunkSize, b.size))
		}
		b.buf = b.buf[:min(chunkSize, b.size-n*chunkSize)]
		if err := b.handle.readFull(b.buf, n*chunkSize); err != nil {
			return 0, err
		}
		if crc32.Checksum(b.buf, castagnoli) != binary.LittleEndian.Uint32(b.table[n*4:]) {
			return 0, fmt.Errorf("%s at %d: %w", b.handle.name, n*chunkSize, errFormat)
		}
		b.chunk = n + 1
	}
	got := copy(p, b.buf[b.pos-n*chunkSize:])
	b.pos += int64(got)
	return got, nil
}

// Seek is io.Seeker's.
func (b *fileBody) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("seek body: before its beginning")
	}
	b.pos = offset
	return offset, nil
}

// Close is io.Closer's.
func (b *fileBody) Close() error {
	if b.handle != nil {
		b.handle.release()
		b.handle = nil
	}
	return nil
}

// memBody is a body that was read and verified at once.
type memBody struct{ *bytes.Reader }

func (memBody) Close() error { return nil }

// bodyFiles makes and removes the files of long bodies. It is safe for concurrent use.
type bodyFiles struct {
	fs    disk.FS
	files *files
	names nameSync
}

// create makes a body file under a name of its own.
func (d *bodyFiles) create() (*bodyWriter, error) {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		id := binary.LittleEndian.Uint64(b[:])
		if id == 0 {
			continue
		}
		file, err := d.fs.Create(bodyName(id))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create the body's file: %w", err)
		}
		return &bodyWriter{dir: d, file: file, name: bodyName(id), id: id}, nil
	}
}

// remove removes body files and returns their bytes.
func (d *bodyFiles) remove(ids []uint64, log *slog.Logger) (freed int64) {
	for _, id := range ids {
		name := bodyName(id)
		if h, err := d.files.open(name); err == nil {
			if size, err := h.size(); err == nil {
				freed += size
			}
			h.release()
		}
		d.files.forget(name)
		if err := d.fs.Remove(name); err != nil && !isNotExist(err) {
			log.Warn("remove a released body; it goes at the next start", "body", name, "error", err)
		}
	}
	return freed
}

// bodyWriter streams a body into its file.
type bodyWriter struct {
	dir  *bodyFiles
	file disk.File
	name string
	id   uint64
	pos  int64
	sums chunkSums
}

// Write is io.Writer's.
func (w *bodyWriter) Write(p []byte) (int, error) {
	n, err := w.file.WriteAt(p, w.pos)
	w.pos += int64(n)
	if err != nil {
		return n, err
	}
	return w.sums.Write(p)
}

// size is what the file takes, its checksums included.
func (w *bodyWriter) size() int64 { return w.pos + int64(len(w.sums.table)) }

// finish makes the body durable, its name included.
func (w *bodyWriter) finish() (sum uint32, err error) {
	sum = w.sums.sum()
	if _, err = w.file.WriteAt(w.sums.table, w.pos); err != nil {
		return 0, err
	}
	if err = w.file.Sync(); err != nil {
		return 0, err
	}
	if err = w.file.Close(); err != nil {
		return 0, err
	}
	w.file = nil
	return sum, w.dir.names.sync(w.dir.fs, bodyDir)
}

// discard removes the file of a body that is not acked.
func (w *bodyWriter) discard() {
	if w.file != nil {
		_ = w.file.Close() // nothing in it is wanted
	}
	_ = w.dir.fs.Remove(w.name) // an orphan goes at the next open
}
