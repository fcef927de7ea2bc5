package otlpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/layout"
	"indelible/internal/otlp"
	"indelible/internal/record"
)

// Bounds of what is appended with one call: they bound what the spool and this door hold of a request at a time.
const (
	batchRecords = 4096
	batchBytes   = 4 << 20
)

// Memory that a request takes beside its body.
const (
	buildFactor = 3         // times the body, for its records
	buildMost   = 32 << 20  // at most, but for a single item and for what stands around items
	bigItem     = 256 << 10 // from which on an item's record is counted on its own
)

// flagUnparsed flags what is kept raw, as record.AttrFlag.
const flagUnparsed = "unparsed"

// errBody is in the error of a body that did not come to its end.
var errBody = errors.New("the body is cut off")

// mediaType is the encoding that a request says it has; "" for anything else.
func mediaType(r *http.Request) otlp.Encoding {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/json":
		return otlp.JSON
	case "application/x-protobuf", "application/protobuf":
		return otlp.Protobuf
	}
	return ""
}

// post takes the items of one request. It returns after the spool has fsynced all their records.
func (d *Door) post(q *request) error {
	ctx := q.Context()
	packed, err := q.reading.All(ctx, &q.body, q.ContentLength)
	switch {
	case errors.Is(err, ingest.ErrTooLong):
		return d.keepLong(q, packed)
	case err != nil && q.body.Err() != nil:
		return fmt.Errorf("%w: %w", errBody, err)
	case err != nil:
		return err
	}
	data := packed
	if encoding := ingest.Encoding(q.Header); encoding != "" {
		data, err = q.reading.Undo(ctx, packed, encoding)
		if errors.Is(err, ingest.ErrHeld) {
			return err
		}
		if err != nil {
			return d.keepRaw(q, packed, err)
		}
	}
	encoding := mediaType(q.Request)
	if encoding == "" {
		encoding = otlp.Protobuf
		if b := bytes.TrimLeft(data, " \t\r\n\ufeff"); len(b) > 0 && b[0] == '{' {
			encoding = otlp.JSON
		}
	}
	if err := q.reading.Take(ctx, min(buildFactor*int64(len(data)), buildMost)+int64(len(data))); err != nil {
		return err
	}
	items, err := otlp.Split(q.signal, encoding, data)
	if err != nil {
		if masked := otlp.MaskText(data); len(masked) > 0 && &masked[0] != &data[0] {
			packed = masked // what the compression held: without it nothing can be masked
		}
		return d.keepRaw(q, packed, err)
	}
	return d.keep(q, items)
}

// keep makes records of the items and has them fsynced.
func (d *Door) keep(q *request, items []otlp.Item) error {
	ctx, cancel := d.context(q)
	defer cancel()
	b := batch{door: d, q: q, ctx: ctx}
	for i := 0; i < len(items) && b.guess < batchBytes; i++ {
		b.guess += base64.StdEncoding.EncodedLen(items[i].Size()) + 2<<10
	}
	r := new(otlp.Record)
	for i := range items {
		r.Read(&items[i])
		if r.Kind == otlp.Other && !d.other {
			b.dropped++
			continue
		}
		d.links.link(r)
		if n := int64(items[i].Size()); n > bigItem {
			if err := q.reading.Take(q.Context(), buildFactor*n); err != nil {
				return err
			}
		}
		if err := b.add(r); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	b.release()
	d.meter.Drop(b.dropped)
	took := time.Since(q.start)
	for _, r := range b.receipts {
		d.meter.Ack(r, took)
	}
	d.meter.Flag(b.flagged)
	return nil
}

// context does not end with the client: records that are whole are kept, also when nobody waits for the answer.
func (d *Door) context(q *request) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(q.Context()), q.reading.Hold, ingest.ErrHeld)
}

// batch collects records until they are appended together.
type batch struct {
	door *Door
	q    *request
	ctx  context.Context

	guess    int    // about how long bodies becomes
	bodies   []byte // of the records, one after the other
	ends     []int  // where each ends
	readers  []bytes.Buffer
	records  []record.Record
	receipts []record.Receipt
	flagged  int
	dropped  uint64
}

func (b *batch) add(r *otlp.Record) error {
	at, attrs := r.Time, b.door.attrs
	if r.Unread() != nil {
		attrs = append(slices.Clip(attrs), record.Attr{Name: record.AttrFlag, Value: flagUnparsed})
		b.flagged++
	}
	if b.bodies == nil {
		b.bodies = b.door.buffer(b.guess)
	}
	begun := len(b.bodies)
	b.bodies = r.AppendBody(b.bodies)
	if at.IsZero() {
		at = b.door.first.First(r.ID, sha256.Sum256(b.bodies[begun:]), b.q.start)
	}
	b.ends = append(b.ends, len(b.bodies))
	b.records = append(b.records, record.Record{
		Door: door, Source: b.q.sender.Source(), Bucket: b.door.bucket, Key: layout.DoorKey(door, at.UTC(), r.ID), Attrs: attrs,
		Size: int64(len(b.bodies) - begun),
	})
	if len(b.records) >= batchRecords || len(b.bodies) >= batchBytes {
		return b.flush()
	}
	return nil
}

// flush has the records fsynced.
func (b *batch) flush() error {
	if len(b.records) == 0 {
		return nil
	}
	from := 0
	b.readers = slices.Grow(b.readers[:0], len(b.ends))[:len(b.ends)]
	for i, end := range b.ends { // the buffer moved as it grew
		b.readers[i] = *bytes.NewBuffer(b.bodies[from:end:end])
		b.records[i].Body = &b.readers[i]
		from = end
	}
	receipts, err := b.door.spool.AppendAll(b.ctx, b.records)
	if err != nil {
		return held(b.ctx, err)
	}
	b.receipts = append(b.receipts, receipts...)
	if cap(b.bodies) > largestBuffer {
		b.bodies = nil
	}
	b.bodies, b.ends, b.records = b.bodies[:0], b.ends[:0], b.records[:0]
	return nil
}

// largestBuffer is how long a buffer is at most that is used again.
const largestBuffer = 2 * batchBytes

// buffer is an empty buffer with room for about so many bytes.
func (d *Door) buffer(room int) []byte {
	if b, ok := d.buffers.Get().(*[]byte); ok && cap(*b) >= room {
		return *b
	}
	return make([]byte, 0, room)
}

// release leaves the buffer to the next request. After an error the spool may still read it, and it is not used again.
func (b *batch) release() {
	if bodies := b.bodies; bodies != nil {
		b.door.buffers.Put(&bodies) // and not the batch with it
	}
}

// held makes the end of a hold be seen as that.
func held(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ingest.ErrHeld) {
		return fmt.Errorf("%w: %w", ingest.ErrHeld, err)
	}
	return err
}

// keepRaw makes one record of a request that cannot be taken apart, as it came.
func (d *Door) keepRaw(q *request, data []byte, why error) error {
	return d.raw(q, otlp.MaskText(data), nil, why)
}

// keepLong makes one record of a request that is too long to be looked at: begun is what was read of it.
func (d *Door) keepLong(q *request, begun []byte) error {
	if q.ContentLength > record.MaxBody {
		return tooLarge()
	}
	return d.raw(q, begun, &q.body, ingest.ErrTooLong)
}

func (d *Door) raw(q *request, data []byte, rest io.Reader, why error) error {
	if len(data) == 0 && rest == nil {
		return nil
	}
	var hold ingest.Hold // the time that a long body takes to come does not count
	hold.Begin(&q.body, q.reading.Hold)
	defer hold.End()
	sum := sha256.Sum256(data)
	id := hex.EncodeToString(sum[:16])
	r := record.Record{
		Door: door, Source: q.sender.Source(), Bucket: d.bucket, Key: layout.DoorKey(door, d.first.First(id, sum, q.start).UTC(), id),
		Attrs: record.Attrs{{Name: "content-type", Value: "application/octet-stream"}, {Name: record.AttrFlag, Value: flagUnparsed}},
		Body:  bytes.NewBuffer(data), Size: int64(len(data)),
	}
	if rest != nil {
		r.Body, r.Size = io.MultiReader(bytes.NewReader(data), rest), q.ContentLength
		if ingest.Encoding(q.Header) == "" {
			r.Body = otlp.MaskRaw(r.Body)
		}
	}
	receipt, err := d.spool.Append(&hold, r)
	switch {
	case err != nil && q.body.Err() != nil:
		return fmt.Errorf("%w: %w", errBody, err)
	case errors.Is(err, record.ErrInvalid):
		return tooLarge()
	case err != nil:
		return held(&hold, err)
	}
	d.meter.Ack(receipt, time.Since(q.start))
	d.meter.Flag(1)
	if log, missed := d.notices.Note(ingest.Host(q.Request) + " unparsed"); log {
		d.log.LogAttrs(q.Context(), slog.LevelWarn, "a request could not be taken apart: it is kept as it came", slog.String("door", door),
			slog.String("from", ingest.Host(q.Request)), slog.Any("cause", why), slog.String("receipt", receipt.String()), slog.Uint64("more_in_the_minute_before", missed))
	}
	return nil
}
