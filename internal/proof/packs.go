package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"strings"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Packs reads packs. Implementations are safe for concurrent use, and take a file that
// was changed for what it is: an error, and no panic.
type Packs interface {
	// Rows yields the rows of the pack in file, in the order in which they stand. The
	// body of a row is read before the next row is asked for, or not at all; it is nil
	// where bodies is false, and where Row.Object says that it lies elsewhere. The first error ends it.
	Rows(ctx context.Context, file io.ReaderAt, size int64, bodies bool) iter.Seq2[PackRow, error]
}

// PackRow is one row of a pack, with its body.
type PackRow struct {
	record.Row
	Body io.Reader
}

// packsAtOnce is how many packs are on this machine's disk at a time.
const packsAtOnce = 4

// copyBytes is how many bytes of a pack are copied at once.
const copyBytes = 256 << 10

// fetchPack copies a pack into a temporary file that the caller removes with done. It
// reads no more than one byte beyond want, and tells size and digest of what it read.
func fetchPack(body io.Reader, want int64, h hash.Hash) (file *os.File, size int64, sum record.Digest, done func(), err error) {
	file, err = os.CreateTemp("", "indelible-pack-*")
	if err != nil {
		return nil, 0, sum, nil, fmt.Errorf("make a temporary file for a pack: %w; make room, or name another directory in TMPDIR", err)
	}
	done = func() {
		file.Close()
		os.Remove(file.Name())
	}
	h.Reset()
	local := &localWriter{w: file}
	size, err = io.CopyBuffer(io.MultiWriter(h, local), struct{ io.Reader }{io.LimitReader(body, want+1)}, make([]byte, min(want+1, copyBytes)))
	h.Sum(sum[:0])
	if local.err != nil {
		done()
		return nil, 0, sum, nil, &cannotKeepError{local.err}
	}
	return file, size, sum, done, err
}

// localWriter remembers that the temporary file was what failed.
type localWriter struct {
	w   io.Writer
	err error
}

func (l *localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		l.err = err
	}
	return n, err
}

// cannotKeepError says that this machine has no room to look at a pack.
type cannotKeepError struct{ err error }

func (e *cannotKeepError) Error() string {
	return fmt.Sprintf("keep a pack in a temporary file: %v; make room, or name another directory in TMPDIR", e.err)
}

// Unwrap gives the error of the disk.
func (e *cannotKeepError) Unwrap() error { return e.err }

// checkPack reads a pack and compares it, and each of its rows, with its leaf.
func (r *objectReader) checkPack(ctx context.Context, j *job, body io.Reader) error {
	select {
	case r.v.packs <- struct{}{}:
		defer func() { <-r.v.packs }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	file, size, sum, done, err := fetchPack(body, j.size, r.hash)
	if _, local := errors.AsType[*cannotKeepError](err); local || file == nil {
		return err
	}
	defer done()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.judge(j, size, sum, err); err != nil || size != j.size {
		return err
	}
	return r.checkRows(ctx, j, file, size)
}

// checkRows recomputes the root over the rows, and reads each row's body. Where the
// pack was changed, it names the row, if it can.
func (r *objectReader) checkRows(ctx context.Context, j *job, file io.ReaderAt, size int64) error {
	var tree RowTree
	next := j.seq
	for row, err := range r.v.opt.Packs.Rows(ctx, file, size, true) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			r.v.fault(Fault{Seq: next, Key: j.key, Object: j.object, What: fmt.Sprintf("the rows from record %d on cannot be read: %v", next, err)})
			return nil
		}
		if row.Seq != next || row.Seq > j.last {
			r.v.fault(Fault{Seq: next, Key: j.key, Object: j.object, What: fmt.Sprintf("row %d of the pack is record %d, not %d", next-j.seq, row.Seq, next)})
			return nil
		}
		if err := r.checkRow(ctx, j, &row); err != nil {
			return err
		}
		tree.Add(&row.Info)
		next++
	}
	switch root := tree.Root(); {
	case next != j.last+1:
		rest := SeqRange{next, j.last}
		r.v.fault(Fault{Seq: next, Key: j.key, Object: j.object, What: fmt.Sprintf("%s %s not among the rows of the pack", rest, rest.are())})
	case hex.EncodeToString(root[:]) != j.root:
		r.v.fault(j.fault(fmt.Sprintf("the rows of %s are not those that were logged: their root is %s, the log says %s", SeqRange{j.seq, j.last}, root, j.root)))
	}
	return nil
}

// checkRow compares a row's body with what the row says of it.
func (r *objectReader) checkRow(ctx context.Context, j *job, row *PackRow) error {
	r.rows++
	if row.Object != "" {
		at := rowJob(j, row)
		at.key, at.object = row.Object, r.v.packObject(j, row.Object)
		r.v.beside(at.object)
		return r.check(ctx, &at)
	}
	size, sum, err := r.hashBody(row)
	if err == nil && size == row.Size && sum == row.Digest {
		return nil
	}
	switch at := rowJob(j, row); {
	case err != nil:
		r.v.fault(at.fault("the body cannot be read from the pack: " + err.Error()))
	default:
		r.v.fault(at.fault(fmt.Sprintf("the body in the pack is not the record's: %d bytes with SHA-256 %s, the row says %d and %s", size, sum, row.Size, row.Digest)))
	}
	return nil
}

// rowJob is what is to be read of a row of the pack of j.
func rowJob(j *job, row *PackRow) job {
	return job{seq: row.Seq, last: row.Seq, time: row.Time, key: j.key, object: j.object, size: row.Size, digest: row.Digest}
}

func (r *objectReader) hashBody(row *PackRow) (int64, record.Digest, error) {
	if row.Body == nil {
		return 0, sha256.Sum256(nil), nil
	}
	r.hash.Reset()
	var size int64
	var err error
	if b, inMemory := row.Body.(*bytes.Reader); inMemory {
		size, err = b.WriteTo(r.hash) // as it lies there
	} else {
		if cap(r.buf) < 64<<10 {
			r.buf = make([]byte, 64<<10)
		}
		size, err = io.CopyBuffer(struct{ io.Writer }{r.hash}, struct{ io.Reader }{io.LimitReader(row.Body, row.Size+1)}, r.buf[:cap(r.buf)])
	}
	r.hash.Sum(r.sum[:0])
	return size, r.sum, err
}

// packObject is where an object that a row names lies in this store: see objectKey.
func (v *verifier) packObject(j *job, key string) string {
	if rest, ok := strings.CutPrefix(key, j.prefix); ok {
		return v.base + rest
	}
	return key
}

// beside notes an object that a row names.
func (v *verifier) beside(object string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.besides = append(v.besides, object)
}

// openPack fetches the pack that a leaf names and checks its digest.
func (r reader) openPack(ctx context.Context, l *Leaf) (file *os.File, done func(), err error) {
	body, _, err := r.store.Get(ctx, l.Key, store.GetOptions{Version: l.VersionID})
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	file, size, sum, done, err := fetchPack(body, l.Size, sha256.New())
	if err == nil && (size != l.Size || sum != l.Digest) {
		err = fmt.Errorf("the pack %s is not the one that the log names: run verify", l.Key)
	}
	if err != nil && done != nil {
		done()
	}
	return file, done, err
}
