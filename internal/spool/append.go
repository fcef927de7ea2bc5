package spool

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"indelible/internal/record"
)

// Append makes a record durable and returns its receipt: see ingest.Appender.
// It reads the body to its end first, holding no lock.
func (s *Spool) Append(ctx context.Context, r record.Record) (record.Receipt, error) {
	arrived := time.Now()
	if s.opts.ReadOnly {
		return record.Receipt{}, fmt.Errorf("append: %w: the spool is open for reading only", record.ErrClosed)
	}
	if err := checkNames(r); err != nil {
		return record.Receipt{}, fmt.Errorf("append: %w", err)
	}
	in, err := s.intake(ctx, r)
	if err != nil {
		return record.Receipt{}, fmt.Errorf("append: %w", err)
	}
	defer in.free()
	if err := s.seeBucket(r.Bucket, arrived); err != nil {
		return record.Receipt{}, fmt.Errorf("append: %w", err)
	}
	read := time.Now()
	receipt, err := s.commitOrFind(ctx, r, in, arrived)
	if err != nil {
		return record.Receipt{}, err
	}
	if s.opts.Events.Acked != nil {
		s.opts.Events.Acked(r.Door, time.Since(read))
	}
	return receipt, nil
}

// intake is a body that was read, and what is known about it then.
type intake struct {
	s      *Spool
	buf    *buffer // the inline body is buf.b[:size]
	file   *bodyWriter
	size   int64
	sum    uint32 // for the entry
	digest record.Digest
	attrs  record.Attrs
	hash   hash.Hash // of a body that goes to a file
	kept   bool      // the body file belongs to an entry

	counted int64 // bytes of the body file, as far as they count as taken
}

// free gives the buffer back and removes a body file that no entry refers to.
func (in *intake) free() {
	in.s.budget.put(in.buf)
	in.buf = nil
	if in.file != nil && !in.kept {
		in.file.discard(in.s.fs)
		in.s.mu.Lock()
		in.s.room.used -= in.counted
		in.s.mu.Unlock()
	}
}

// intake reads the body: into memory while that is short and allowed, else into a file.
func (s *Spool) intake(ctx context.Context, r record.Record) (*intake, error) {
	in := &intake{s: s, buf: s.budget.first()}
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

// read reads the body to its end.
func (in *intake) read(ctx context.Context, r record.Record) error {
	limit := int64(record.MaxBody)
	if r.Size >= 0 {
		limit = min(r.Size, limit)
	}
	n := 0 // bytes in the buffer
	for r.Body != nil {
		if n == len(in.buf.b) {
			if err := in.makeRoom(ctx, &n); err != nil {
				return err
			}
		}
		got, err := r.Body.Read(in.buf.b[n:])
		n += got
		in.size += int64(got)
		if in.size > limit {
			if limit == r.Size {
				return fmt.Errorf("%w: more than %d bytes", record.ErrSize, limit)
			}
			return fmt.Errorf("%w: body of more than %d bytes", record.ErrInvalid, limit)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
	}
	if in.file != nil || n > in.s.opts.InlineBytes {
		if err := in.spill(ctx, n); err != nil {
			return err
		}
		in.hash.Sum(in.digest[:0])
		return nil
	}
	body := in.buf.b[:n]
	in.digest, in.sum = sha256.Sum256(body), crc32.Checksum(body, castagnoli)
	return nil
}

// makeRoom empties or grows the full buffer, which holds *n bytes.
func (in *intake) makeRoom(ctx context.Context, n *int) error {
	if in.file == nil && *n <= in.s.opts.InlineBytes {
		if next := in.s.budget.grow(in.buf, *n); next != nil {
			in.buf = next
			return nil
		}
	}
	err := in.spill(ctx, *n)
	*n = 0
	return err
}

// spill writes the n bytes of the buffer to the body's file, making it if need be.
func (in *intake) spill(ctx context.Context, n int) error {
	s := in.s
	if in.file == nil || in.file.pos>>20 != (in.file.pos+int64(n))>>20 {
		if err := s.waitForRoom(ctx, 1<<20); err != nil {
			return err
		}
	}
	if in.file == nil {
		w, err := s.createBody()
		if err != nil {
			return err
		}
		in.file, in.hash = w, sha256.New()
	}
	in.hash.Write(in.buf.b[:n])
	if _, err := in.file.Write(in.buf.b[:n]); err != nil {
		return fmt.Errorf("write the body: %w", noRoom(err))
	}
	return nil
}

// noRoom makes a full disk the sender's matter: it keeps the record and comes again.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", record.ErrPushback, err)
	}
	return err
}

// createBody makes a body file under a name of its own.
func (s *Spool) createBody() (*bodyWriter, error) {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		id := binary.LittleEndian.Uint64(b[:])
		if id == 0 {
			continue
		}
		file, err := s.fs.Create(bodyName(id))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create the body's file: %w", noRoom(err))
		}
		return &bodyWriter{file: file, name: bodyName(id), id: id}, nil
	}
}

// seal asks the door, then makes a body file durable: before the entry that refers to it.
func (in *intake) seal(r record.Record) error {
	in.attrs = r.Attrs
	if r.Seal != nil {
		more, err := r.Seal(in.digest, in.size)
		if err != nil {
			return err
		}
		in.attrs = append(slices.Clip(slices.Clone(r.Attrs)), more...)
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
	if in.sum, err = in.file.finish(in.s.fs, &in.s.bodyNames); err != nil {
		return fmt.Errorf("make the body durable: %w", noRoom(err))
	}
	in.counted = in.file.pos + int64(len(in.file.sums.table))
	in.s.mu.Lock()
	in.s.room.used += in.counted
	in.s.mu.Unlock()
	return nil
}

// waiter is the entry of the body.
func (in *intake) waiter(r record.Record, arrived time.Time) *waiter {
	w := &waiter{
		header: entryHeader{kind: kindInline, bodyLen: uint32(in.size), bodyCRC: in.sum, time: arrived.UnixNano(), digest: in.digest},
		bucket: r.Bucket, key: r.Key,
		hash: keyHash(r.Bucket, r.Key),
		done: make(chan struct{}), lead: make(chan struct{}, 1),
	}
	w.copy = copyHash(w.hash, in.digest)
	m := meta{door: r.Door, source: r.Source, bucket: r.Bucket, key: r.Key, attrs: in.attrs}
	w.meta = m.append(make([]byte, 0, 512))
	w.header.metaLen, w.header.metaCRC = uint32(len(w.meta)), crc32.Checksum(w.meta, castagnoli)
	if in.file != nil {
		w.header.kind, w.header.bodyID = kindFile, in.file.id
	} else {
		w.body, w.buf, in.buf = in.buf.b[:in.size], in.buf, nil
	}
	return w
}

// commitOrFind finds the record's first copy, or commits it as the first.
func (s *Spool) commitOrFind(ctx context.Context, r record.Record, in *intake, arrived time.Time) (record.Receipt, error) {
	w := in.waiter(r, arrived)
	defer func() { s.drop(w) }()
	for {
		receipt, known, err := s.findCopy(ctx, w)
		if err != nil {
			return record.Receipt{}, fmt.Errorf("append: look for a copy: %w", err)
		}
		if known {
			return receipt, nil
		}
		if err := s.waitForRoom(ctx, w.header.size()); err != nil {
			return record.Receipt{}, fmt.Errorf("append: %w", err)
		}
		err = s.enqueue(ctx, w)
		switch {
		case err == nil:
			in.kept = true
			return s.receipt(w, false), nil
		case errors.Is(err, errKnown):
			continue // another copy became known while we looked
		case errors.Is(err, syscall.ENOSPC):
			s.noSpace()
			w = s.anew(w)
			continue
		}
		in.kept = errors.Is(err, errTaken) // it may be delivered
		return record.Receipt{}, fmt.Errorf("append: %w", err)
	}
}

var (
	errKnown = errors.New("a copy is known")
	errTaken = errors.New("on its way to the disk")
)

// receipt is what the sender of a durable record gets.
func (s *Spool) receipt(w *waiter, resent bool) record.Receipt {
	return record.Receipt{
		Log: s.opts.Log, Seq: w.header.seq, Time: time.Unix(0, w.header.time).UTC(),
		Digest: w.header.digest, Size: int64(w.header.bodyLen), Resent: resent,
	}
}

// enqueue puts w in the queue and returns once it is durable. Where nobody
// writes, it leads.
func (s *Spool) enqueue(ctx context.Context, w *waiter) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return record.ErrClosed
	}
	if p := s.pending[w.copy]; p != nil && p.same(w) || s.knownSince(w) {
		s.mu.Unlock()
		return errKnown
	}
	s.pending[w.copy] = w
	s.queue = append(s.queue, w)
	leads := !s.writing
	s.writing = true
	s.mu.Unlock()
	if leads {
		s.lead()
	} else {
		select {
		case s.kick <- struct{}{}:
		default: // the writer knows already
		}
	}
	for {
		select {
		case <-w.done:
			return w.err
		case <-w.lead:
			s.lead()
		case <-ctx.Done():
			if err := s.abandon(w); err != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return fmt.Errorf("%w: %w", record.ErrPushback, ctx.Err())
		}
	}
}

// abandon takes an entry out of the queue that its sender waits for no longer.
func (s *Spool) abandon(w *waiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.taken {
		return errTaken
	}
	i := slices.Index(s.queue, w)
	if i < 0 {
		return nil // it was refused with the whole queue
	}
	s.queue = slices.Delete(slices.Clone(s.queue), i, i+1)
	delete(s.pending, w.copy)
	w.err, w.settled = context.Canceled, true
	close(w.done) // who waits for this copy tries itself
	select {
	case <-w.lead:
		s.passOn()
	default:
	}
	return nil
}

// anew is a refused entry for another try. The refused one stays as it is:
// who waited for it as a copy may not have asked yet how it ended.
func (s *Spool) anew(w *waiter) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *w
	next.done, next.err, next.taken, next.settled = make(chan struct{}), nil, false, false
	w.buf = nil
	return &next
}

// drop gives the buffer back, unless a batch still reads from it.
func (s *Spool) drop(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.taken && !w.settled {
		s.budget.forget(w.buf)
	} else {
		s.budget.put(w.buf)
	}
	w.buf = nil
}
