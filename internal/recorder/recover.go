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
	"time"

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
	log := &closed{r: r, anywhere: true}
	for _, name := range r.left {
		if ctx.Err() != nil {
			return n, errors.Join(append(errs, ctx.Err())...)
		}
		if !strings.HasSuffix(name, answerSuffix) {
			_ = r.o.Data.Remove(name) // a request is in its open record, or was not sent
			continue
		}
		if recorded, err := r.recoverFile(ctx, name, log); err != nil {
			errs = append(errs, fmt.Errorf("recover %s: %w", name, err))
			continue
		} else if recorded {
			n++
		}
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

// closed knows which exchanges have their last record.
type closed struct {
	r        *Recorder
	anywhere bool // the destination is asked, too
}

// closedPatience bounds how long the destination is waited for.
const closedPatience = 5 * time.Second

// has says whether the last record of an exchange is in the log. Where the destination does not answer, it is asked no more: a
// second record says little, and a missing one would be a loss.
func (k *closed) has(ctx context.Context, c *capture.Exchange) bool {
	if k.r.o.Recorded == nil {
		return false
	}
	asking, cancel := context.WithTimeout(ctx, closedPatience)
	defer cancel()
	is, err := k.r.o.Recorded(asking, k.r.keyOf(c, ""), k.anywhere)
	if err != nil && ctx.Err() == nil {
		k.anywhere = false
		k.r.log.Warn("it is not known whether an answer that was left in a file is recorded already: it may have two close records", "exchange", c.ID, "error", err)
	}
	return err == nil && is
}

// recoverFile makes a record of one file, unless there is one, and removes it.
func (r *Recorder) recoverFile(ctx context.Context, name string, log *closed) (recorded bool, err error) {
	f, err := r.o.Data.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	whole, rest, err := readFrames(f, name, size)
	if err != nil {
		return false, err
	}
	if len(whole.lengths) == 0 && !neverWritten(f, size) {
		return false, errors.New("its first frame is damaged: the file is kept, look at the disk, then move it away")
	}
	line, err := firstLine(whole, whole.size)
	if err != nil {
		return false, err
	}
	c, _, err := capture.Parse(line)
	if err != nil && bytes.HasSuffix(line, []byte("\n")) {
		// Damaged, and the answer stands behind it: the file is all that there is.
		return false, fmt.Errorf("its first line is damaged (%w): the file is kept, look at the disk, then move it away", err)
	}
	if err != nil {
		// The file was cut before its first line was whole: nothing of the answer is in it.
		r.log.Warn("nothing is left of an answer that was under way", "file", name, "error", err)
		return false, r.o.Data.Remove(name)
	}
	if log.has(ctx, c) {
		return false, r.o.Data.Remove(name)
	}
	if rest > 0 {
		c.Fault += "; what its file holds further was not written whole, and is left out"
	}
	begin := int64(len(line))
	b := capture.Body{File: whole, Offset: begin, Kept: whole.size - begin, Size: whole.size - begin}
	sum := sha256.New()
	if _, err := io.Copy(sum, b.Reader()); err != nil {
		return false, err
	}
	sum.Sum(b.Digest[:0])
	c.Response.Body, c.Derive = b, true
	if _, err := r.append(ctx, c, c.Client, "", nil); err != nil {
		return false, err
	}
	return true, r.o.Data.Remove(name)
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
