package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"indelible/internal/capture"
	"indelible/internal/disk"
)

// maxFirstLine bounds what is read of a file to find the end of its first line.
const maxFirstLine = 2*DefaultMaxRequest + 1<<20

// Recover makes records of the answers that were under way when the process before died:
// they end with what had passed by then. It returns how many there were. Calls may pass meanwhile. What cannot be
// made a record now, for want of room, stays for the next process.
func (r *Recorder) Recover(ctx context.Context) (n int, err error) {
	var errs []error
	for _, name := range r.left {
		if ctx.Err() != nil {
			return n, errors.Join(append(errs, ctx.Err())...)
		}
		if !strings.HasSuffix(name, answerSuffix) {
			_ = r.o.Data.Remove(name) // a request is in its open record, or was not sent
			continue
		}
		if err := r.recoverFile(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("recover %s: %w", name, err))
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

// answerSuffix ends the names of files that hold an answer.
const answerSuffix = ".answer"

// leftFiles are the files that a process before has left.
func leftFiles(data disk.FS) (names []string, err error) {
	entries, err := data.ReadDir(Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		names = append(names, Dir+"/"+e.Name())
	}
	return names, nil
}

// recoverFile makes a record of one file and removes it.
func (r *Recorder) recoverFile(ctx context.Context, name string) error {
	f, err := r.o.Data.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	size, err := f.Size()
	if err != nil {
		return err
	}
	whole, rest, err := readFrames(f, name, size)
	if err != nil {
		return err
	}
	if len(whole.lengths) == 0 && !neverWritten(f, size) {
		return errors.New("its first frame is damaged: the file is kept, look at the disk, then move it away")
	}
	line, err := firstLine(whole, whole.size)
	if err != nil {
		return err
	}
	c, _, err := capture.Parse(line)
	if err != nil && bytes.HasSuffix(line, []byte("\n")) {
		// Damaged, and the answer stands behind it: the file is all that there is.
		return fmt.Errorf("its first line is damaged (%w): the file is kept, look at the disk, then move it away", err)
	}
	if err != nil {
		// The file was cut before its first line was whole: nothing of the answer is in it.
		r.log.Warn("nothing is left of an answer that was under way", "file", name, "error", err)
		return r.o.Data.Remove(name)
	}
	if rest > 0 {
		c.Fault += "; what its file holds further was not written whole, and is left out"
	}
	begin := int64(len(line))
	b := capture.Body{File: whole, Offset: begin, Kept: whole.size - begin, Size: whole.size - begin}
	sum := sha256.New()
	if _, err := io.Copy(sum, b.Reader()); err != nil {
		return err
	}
	sum.Sum(b.Digest[:0])
	c.Response.Body, c.Derive = b, true
	if _, err := r.append(ctx, c, c.Client, "", nil); err != nil {
		return err
	}
	return r.o.Data.Remove(name)
}

// neverWritten says whether a power cut explains that a file has no first frame: it is cut short, or a part of it is zeros, which
// no JSON holds.
func neverWritten(f io.ReaderAt, size int64) bool {
	b := make([]byte, min(size, maxFrame+frameHeader))
	if err := readFull(f, b, 0); err != nil {
		return false
	}
	if len(b) < frameHeader {
		return true
	}
	n := int64(binary.LittleEndian.Uint32(b))
	return n > size-frameHeader && n <= maxFrame || bytes.Contains(b[frameHeader:], make([]byte, 64)) || n == 0
}

// firstLine is the first line of a file with its end, as far as there is one.
func firstLine(f io.ReaderAt, size int64) ([]byte, error) {
	var line []byte
	for n := int64(64 << 10); ; n *= 4 {
		n = min(n, size)
		line = make([]byte, n)
		if got, err := f.ReadAt(line, 0); err != nil && (err != io.EOF || int64(got) < n) {
			return nil, err
		}
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			return line[:i+1], nil
		}
		if n >= min(size, maxFirstLine) || n > math.MaxInt64/4 {
			return line, nil
		}
	}
}
