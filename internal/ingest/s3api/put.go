package s3api

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
)

// keptHeaders are the request headers that come back with the object, besides
// Content-Encoding. The names are canonical here, lower case in the record.
var keptHeaders = [...]struct{ header, attr string }{
	{"Cache-Control", "cache-control"},
	{"Content-Disposition", "content-disposition"},
	{"Content-Language", "content-language"},
	{"Content-Type", "content-type"},
	{"Expires", "expires"},
}

const (
	metaHeader = "X-Amz-Meta-"
	metaAttr   = "x-amz-meta-"
)

// noLength is the Content-Length of an answer without a body. It is never changed.
var noLength = []string{"0"}

// putObject takes one record. It answers after the spool has fsynced it.
func (d *Door) putObject(q *request) error {
	start := time.Now()
	cond := putConditions(q.Header)
	payload, attrs, err := d.admit(q)
	if err != nil {
		return err
	}
	if err := d.checkEarly(q, cond); err != nil {
		return err
	}
	ctx := &q.hold
	ctx.Begin(&q.body, d.maxHold)
	defer ctx.End()

	if attrs, err = d.keepHeaders(ctx, q, attrs); err != nil {
		return err
	}
	lock := writeLock{locks: &d.writers, exclusive: cond.any(), key: objectName{q.bucket, q.key}}
	defer lock.release()
	receipt, err := d.spool.Append(ctx, record.Record{
		Door: "s3", Source: d.source(q), Bucket: q.bucket, Key: q.key, Attrs: attrs,
		Body: &bounded{src: payload, left: record.MaxBody}, Size: payload.Size(),
		Seal: func(digest record.Digest, size int64) (record.Attrs, error) {
			attrs, err := payload.Seal(digest, size)
			if err != nil {
				return nil, err
			}
			if err := lock.acquire(ctx); err != nil {
				return nil, err
			}
			return attrs, d.checkPut(ctx, q, cond)
		},
	})
	if err != nil {
		return err
	}
	d.meter.Ack(receipt, time.Since(start))
	if sums := payload.Checksums(); len(sums) > 0 {
		for _, c := range sums {
			setHeader(q.w, c.Header(), c.Value)
		}
		setHeader(q.w, "x-amz-checksum-type", "FULL_OBJECT")
	}
	values := [...]string{`"` + payload.MD5() + `"`, receipt.String()} // one piece of memory for both
	h := q.w.Header()
	h["ETag"], h["x-indelible-receipt"], h["Content-Length"] = values[0:1:1], values[1:2:2], noLength
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// admit refuses what can be refused before the body is read, and returns the
// verified body and the attributes of the record.
func (d *Door) admit(q *request) (*sigv4.Body, record.Attrs, error) {
	if lengthless(q.Request) {
		return nil, nil, missingLength()
	}
	if len(q.key) > record.MaxKey {
		return nil, nil, refuse(http.StatusBadRequest, "KeyTooLongError", "Your key is too long")
	}
	for name := range q.Header {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption-Customer-") {
			return nil, nil, notImplemented("Encryption with a key of the sender's (SSE-C) is not supported: the record could not be read without it.")
		}
	}
	payload, err := q.auth.Body(q.Request)
	if err != nil {
		return nil, nil, err
	}
	if payload.Size() > record.MaxBody {
		return nil, nil, tooLarge(payload.Size())
	}
	attrs := attributes(q.Header)
	size := 0
	for _, a := range attrs {
		size += len(a.Name) + len(a.Value)
	}
	if size > record.MaxAttrs-1024 { // what Seal adds
		return nil, nil, refuse(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
	}
	return payload, attrs, nil
}

// attributes are the headers that come back with the object, in the order of their names.
func attributes(h http.Header) record.Attrs {
	attrs := make(record.Attrs, 0, len(keptHeaders)+3)
	for _, k := range keptHeaders {
		if v := h[k.header]; len(v) > 0 && v[0] != "" {
			attrs = append(attrs, record.Attr{Name: k.attr, Value: strings.Join(v, ", ")})
		}
	}
	if v := contentEncoding(h); v != "" {
		attrs = append(attrs, record.Attr{Name: "content-encoding", Value: v})
	}
	first := len(attrs)
	for name, v := range h {
		if strings.HasPrefix(name, metaHeader) {
			attrs = append(attrs, record.Attr{Name: strings.ToLower(name), Value: strings.Join(v, ",")})
		}
	}
	slices.SortFunc(attrs[first:], func(a, b record.Attr) int { return strings.Compare(a.Name, b.Name) })
	return attrs
}

// contentEncoding is what was sent, less aws-chunked, which was about the wire.
func contentEncoding(h http.Header) string {
	v := strings.Join(h["Content-Encoding"], ", ")
	if strings.Contains(strings.ToLower(v), "aws-chunked") {
		return sigv4.ContentEncoding(h)
	}
	return v
}

// source is who sent a request: the name or the id of a proven access key, or the remote host.
func (d *Door) source(q *request) string {
	s := ingest.Sender{Addr: ingest.Host(q.Request)}
	if q.auth.Signed {
		s = d.senders[q.auth.KeyID]
		s.ID = q.auth.KeyID
	}
	return s.Source()
}

// bounded ends a body of unknown length that grows over the limit.
type bounded struct {
	src  io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(record.MaxBody - b.left)
	}
	return n, err
}

// putCondition is what a conditional PUT wants of the object that is there.
type putCondition struct {
	noneMatch string // If-None-Match: "*" or, which S3 does not have, ETags
	match     string // If-Match
}

func putConditions(h http.Header) putCondition {
	return putCondition{noneMatch: h.Get("If-None-Match"), match: h.Get("If-Match")}
}

func (c putCondition) any() bool { return c.noneMatch != "" || c.match != "" }

// checkEarly spares the sender a body whose condition cannot hold.
func (d *Door) checkEarly(q *request, c putCondition) error {
	if !c.any() {
		return nil
	}
	ctx, cancel := d.reading(q)
	defer cancel()
	return d.checkPut(ctx, q, c)
}

// checkPut compares a condition with the newest record of the key. For the
// answer to stay true until the commit, the caller holds the key's write lock.
func (d *Door) checkPut(ctx context.Context, q *request, c putCondition) error {
	if !c.any() {
		return nil
	}
	entry, found, err := d.records.Find(ctx, q.bucket, q.key)
	switch {
	case err != nil:
		return err
	case c.noneMatch != "" && found && matches(c.noneMatch, etag(&entry.Info)):
		return preconditionFailed("If-None-Match")
	case c.match != "" && !found:
		return noSuchKey(q.key)
	case c.match != "" && !matches(c.match, etag(&entry.Info)):
		return preconditionFailed("If-Match")
	}
	return nil
}
