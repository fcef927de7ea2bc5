package recorder

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"slices"
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
	for id, has := range leftExchanges(r.left) {
		if ctx.Err() != nil {
			return n, errors.Join(append(errs, ctx.Err())...)
		}
		recorded, err := r.recoverExchange(ctx, id, has, log)
		if err != nil {
			errs = append(errs, fmt.Errorf("recover the exchange %s: %w", id, err))
		}
		if recorded {
			n++
		}
	}
	for _, name := range r.left {
		if !strings.HasSuffix(name, answerSuffix) && !strings.HasSuffix(name, sentSuffix) {
			_ = r.o.Data.Remove(name) // a request is in its open record, or was not sent
		}
	}
	return n, errors.Join(errs...)
}

// Suffixes of the names of files that hold an answer, and what a client sent after an upgrade.
const (
	answerSuffix = ".answer"
	sentSuffix   = ".sent"
)

// leftExchanges are the exchanges that files were left of, and which.
func leftExchanges(names []string) iter.Seq2[string, map[string]bool] {
	found := map[string]map[string]bool{}
	for _, name := range names {
		for _, suffix := range []string{answerSuffix, sentSuffix} {
			if id, ok := strings.CutSuffix(name, suffix); ok {
				if found[id] == nil {
					found[id] = map[string]bool{}
				}
				found[id][suffix] = true
			}
		}
	}
	return func(yield func(string, map[string]bool) bool) {
		for _, id := range slices.Sorted(maps.Keys(found)) {
			if !yield(strings.TrimPrefix(id, Dir+"/"), found[id]) {
				return
			}
		}
	}
}

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

// recoverExchange makes a record of what was left of an exchange, unless there is one, and removes the files. A damaged one is kept.
func (r *Recorder) recoverExchange(ctx context.Context, id string, has map[string]bool, log *closed) (recorded bool, err error) {
	answer, sent := &leftFile{}, &leftFile{}
	if has[answerSuffix] {
		if answer, err = r.openLeft(Dir + "/" + id + answerSuffix); err != nil {
			return false, err
		}
		defer answer.close()
	}
	var bad error // of what the client sent: the answer is recorded all the same
	if has[sentSuffix] {
		if sent, bad = r.openLeft(Dir + "/" + id + sentSuffix); bad != nil {
			sent = &leftFile{}
		}
		defer sent.close()
	}
	c := cmp.Or(answer.c, sent.c)
	if c == nil { // nothing of either was written
		return false, errors.Join(bad, r.removeLeft(answer, sent))
	}
	if log.has(ctx, c) {
		return false, errors.Join(bad, r.removeLeft(answer, sent))
	}
	if err := ctx.Err(); err != nil { // it may be there
		return false, errors.Join(bad, err)
	}
	if answer.rest > 0 {
		c.Fault += "; what its file holds further was not written whole, and is left out"
	}
	if c.Response.Body, err = answer.body(); err != nil {
		return false, err
	}
	if sent.c != nil {
		b, err := sent.body()
		if err != nil {
			return false, err
		}
		c.ClientStream = &b
	}
	if bad != nil || sent.rest > 0 {
		c.Fault += "; what the client sent was not written whole, and is left out from there on"
	}
	c.Derive = true
	if _, err := r.append(c, c.Client, "", nil); err != nil {
		return false, errors.Join(bad, err)
	}
	return true, errors.Join(bad, r.removeLeft(answer, sent))
}

// leftFile is a file that was left. The zero value is none.
type leftFile struct {
	name  string
	file  disk.File
	whole *frames
	begin int64             // of the bytes, behind the first line
	rest  int64             // bytes of the file that were not written whole
	c     *capture.Exchange // nil: nothing of the bytes was written
}

func (l *leftFile) close() {
	if l.file != nil {
		_ = l.file.Close() // nothing was written
	}
}

// body are the bytes behind the first line.
func (l *leftFile) body() (capture.Body, error) {
	var b capture.Body
	sum := sha256.New()
	if l.c != nil {
		b = capture.Body{File: l.whole, Offset: l.begin, Kept: l.whole.size - l.begin, Size: l.whole.size - l.begin}
		if _, err := io.Copy(sum, b.Reader()); err != nil {
			return b, err
		}
	}
	sum.Sum(b.Digest[:0])
	return b, nil
}

// removeLeft removes files that are in a record, or hold nothing.
func (r *Recorder) removeLeft(files ...*leftFile) (err error) {
	for _, l := range files {
		if l.name != "" {
			err = errors.Join(err, r.o.Data.Remove(l.name))
		}
	}
	return err
}

// openLeft reads the beginning of a file that was left.
func (r *Recorder) openLeft(name string) (_ *leftFile, err error) {
	f, err := r.o.Data.Open(name)
	if err != nil {
		return nil, err
	}
	l := &leftFile{name: name, file: f}
	defer func() {
		if err != nil {
			l.close()
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if l.whole, l.rest, err = readFrames(f, name, size); err != nil {
		return nil, err
	}
	if len(l.whole.lengths) == 0 && !neverWritten(f, size) {
		return nil, errors.New("its first frame is damaged: the file is kept, look at the disk, then move it away")
	}
	line, err := firstLine(l.whole, l.whole.size)
	if err != nil {
		return nil, err
	}
	c, _, err := capture.Parse(line)
	if err != nil && bytes.HasSuffix(line, []byte("\n")) {
		// Damaged, and the bytes stand behind it: the file is all that there is.
		return nil, fmt.Errorf("its first line is damaged (%w): the file is kept, look at the disk, then move it away", err)
	}
	if err != nil {
		// The file was cut before its first line was whole: none of the bytes are in it.
		r.log.Warn("nothing is left of an answer that was under way", "file", name, "error", err)
		return l, nil
	}
	l.c, l.begin = c, int64(len(line))
	return l, nil
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
