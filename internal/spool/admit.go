package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"indelible/internal/record"
)

// admitter reads bodies to their end, into memory while they are short, else
// into files of their own. It is safe for concurrent use.
type admitter struct {
	inline int // longer bodies go to files
	budget *budget
	space  *space
	bodies *bodyFiles
}

// admitted is a record whose body was read, with what is known about it then.
type admitted struct {
	a      *admitter
	buf    *buffer // the body's memory; nil: the caller's, or none
	body   []byte  // inline
	file   *bodyWriter
	hash   hash.Hash // of a body that goes to a file
	size   int64
	sum    uint32 // for the entry
	digest record.Digest
	attrs  record.Attrs

	promised int64 // bytes of the disk reserved for the file
	counted  int64 // bytes of the file that count as taken
	kept     bool  // an entry refers to the file, or may
}

// maxEmptyReads bounds the reads in a row that give nothing.
const maxEmptyReads = 100

// checkNames refuses what no entry can hold.
func checkNames(r *record.Record) error {
	if r.Door == "" || r.Key == "" || len(r.Key) > record.MaxKey || len(r.Door)+len(r.Source)+len(r.Bucket) > 16<<10 {
		return fmt.Errorf("%w: key or names", record.ErrInvalid)
	}
	return nil
}

// admit reads the body of a record and asks its Seal. After an error nothing is
// held; else the caller frees.
func (a *admitter) admit(ctx context.Context, r *record.Record) (*admitted, error) {
	if err := checkNames(r); err != nil {
		return nil, err
	}
	in := &admitted{a: a}
	err := in.read(ctx, r)
	if err == nil && r.Size >= 0 && in.size != r.Size {
		err = fmt.Errorf("%w: %d bytes instead of %d", record.ErrSize, in.size, r.Size)
	}
	if err == nil {
		err = in.seal(r)
	}
	if err != nil {
		in.free()
		return nil, err
	}
	return in, nil
}

// free gives memory back and removes a body file that no entry refers to.
func (in *admitted) free() {
	in.a.budget.put(in.buf)
	in.buf, in.body = nil, nil
	if in.promised > 0 {
		in.a.space.settle(in.promised, 0)
		in.promised = 0
	}
	if in.file != nil && !in.kept {
		in.file.discard()
		in.a.space.add(-in.counted)
	}
	in.file = nil
}

// forget leaves the memory to the collector: a batch may still read it.
func (in *admitted) forget() {
	in.a.budget.forget(in.buf)
	in.buf, in.kept = nil, true
	in.free()
}

// read reads the body to its end. A short *bytes.Buffer is used as it is.
func (in *admitted) read(ctx context.Context, r *record.Record) error {
	if b, ok := r.Body.(*bytes.Buffer); ok && b.Len() <= in.a.inline {
		in.setInline(b.Next(b.Len()))
		return nil
	}
	if r.Size > int64(in.a.inline) {
		if r.Size > record.MaxBody {
			return fmt.Errorf("%w: body of %d bytes", record.ErrInvalid, r.Size)
		}
		if err := in.promise(ctx, bodyFileSize(r.Size), true); err != nil {
			return err
		}
	}
	in.buf = in.a.budget.first(r.Size)
	n, err := in.fill(ctx, r)
	if err != nil {
		return err
	}
	if in.file == nil && n <= in.a.inline {
		in.setInline(in.buf.b[:n])
		return nil
	}
	if err := in.spill(ctx, n); err != nil {
		return err
	}
	in.hash.Sum(in.digest[:0])
	return nil
}

func (in *admitted) setInline(body []byte) {
	in.body, in.size = body, int64(len(body))
	in.digest, in.sum = sha256.Sum256(body), crc32.Checksum(body, castagnoli)
}

// fill reads until the body ends; n bytes of it are in the buffer then, the others in the file.
func (in *admitted) fill(ctx context.Context, r *record.Record) (n int, err error) {
	limit := int64(record.MaxBody)
	if r.Size >= 0 {
		limit = min(r.Size, limit)
	}
	for empty := 0; r.Body != nil; {
		if n == len(in.buf.b) {
			if n, err = in.makeRoom(ctx, n); err != nil {
				return 0, err
			}
		}
		got, err := r.Body.Read(in.buf.b[n:])
		n += got
		in.size += int64(got)
		if in.size > limit {
			if limit == r.Size {
				return 0, fmt.Errorf("%w: more than %d bytes", record.ErrSize, limit)
			}
			return 0, fmt.Errorf("%w: body of more than %d bytes", record.ErrInvalid, limit)
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if empty++; got > 0 {
			empty = 0
		} else if err == nil && empty >= maxEmptyReads {
			err = io.ErrNoProgress
		}
		if err != nil {
			return 0, fmt.Errorf("read the body: %w", err)
		}
	}
	return n, nil
}

// makeRoom empties or grows the full buffer, which holds n bytes.
func (in *admitted) makeRoom(ctx context.Context, n int) (int, error) {
	if in.file == nil && n <= in.a.inline {
		if next := in.a.budget.grow(ctx, in.buf, n); next != nil {
			in.buf = next
			return n, nil
		}
	}
	return 0, in.spill(ctx, n)
}

// spill writes the n bytes of the buffer to the body's file, making it if need be.
func (in *admitted) spill(ctx context.Context, n int) error {
	if in.file == nil {
		if in.promised == 0 {
			if err := in.promise(ctx, 1<<20, true); err != nil {
				return err
			}
		}
		w, err := in.a.bodies.create()
		if err != nil {
			return in.failed(err)
		}
		in.file, in.hash = w, sha256.New()
	}
	// A body of unknown length takes space as it comes, and does not wait for
	// more while it holds some: two of them would wait for each other.
	if need := bodyFileSize(in.file.pos+int64(n)) - in.promised; need > 0 {
		if err := in.promise(ctx, max(need, 1<<20), false); err != nil {
			return err
		}
	}
	in.hash.Write(in.buf.b[:n])
	if _, err := in.file.Write(in.buf.b[:n]); err != nil {
		return in.failed(fmt.Errorf("write the body: %w", err))
	}
	return nil
}

func (in *admitted) promise(ctx context.Context, n int64, wait bool) error {
	if err := in.a.space.promise(ctx, n, wait); err != nil {
		return err
	}
	in.promised += n
	return nil
}

// failed notes a full disk.
func (in *admitted) failed(err error) error {
	if isFull(err) {
		in.a.space.full()
	}
	return pushback(err)
}

// seal asks the door, then makes a body file durable: before the entry that refers to it.
func (in *admitted) seal(r *record.Record) error {
	in.attrs = r.Attrs
	if r.Seal != nil {
		more, err := r.Seal(in.digest, in.size)
		if err != nil {
			return err
		}
		if len(more) > 0 {
			in.attrs = append(slices.Clip(slices.Clone(r.Attrs)), more...)
		}
	}
	n := 0
	for _, a := range in.attrs {
		n += len(a.Name) + len(a.Value)
	}
	if n > record.MaxAttrs || len(in.attrs) > 4096 {
		return fmt.Errorf("%w: attributes", record.ErrInvalid)
	}
	if in.file == nil {
		return nil
	}
	var err error
	if in.sum, err = in.file.finish(); err != nil {
		return in.failed(fmt.Errorf("make the body durable: %w", err))
	}
	in.counted = in.file.size()
	in.a.space.settle(in.promised, in.counted)
	in.promised = 0
	return nil
}

// entry is the entry of the record, without a seq.
func (in *admitted) entry(r *record.Record, ids secret, arrived time.Time) *pendingEntry {
	e := &pendingEntry{
		header: entryHeader{kind: kindInline, bodyLen: uint32(in.size), bodyCRC: in.sum, time: arrived.UnixNano(), digest: in.digest},
		bucket: r.Bucket, key: r.Key, in: in, body: in.body,
		id: ids.id(r.Bucket, r.Key, in.digest),
	}
	m := meta{door: r.Door, source: r.Source, bucket: r.Bucket, key: r.Key, attrs: in.attrs}
	e.meta = m.append(e.space[:0])
	e.header.metaLen, e.header.metaCRC = uint32(len(e.meta)), crc32.Checksum(e.meta, castagnoli)
	if in.file != nil {
		e.header.kind, e.header.bodyID = kindFile, in.file.id
	}
	return e
}
