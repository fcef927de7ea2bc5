package jsonapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"indelible/internal/ingest"
)

// Memory that a decoder takes besides the decoded bytes.
const (
	maxWindow     = 8 << 20           // of a zstd stream: what its specification asks of every decoder
	decoderMemory = maxWindow + 1<<20 // counted for each compressed request
	firstBuffer   = 32 << 10          // of a body that is not known to be shorter

	// A short compressed body is read before it is decoded, so that it can be
	// decoded again where it asks for more memory than most short ones do.
	shortBody         = 64 << 10
	shortWindow       = 64 << 10
	shortDecodeMemory = shortWindow + 64<<10
)

// decoders are kept for the next request. Safe for concurrent use.
type decoders struct{ gzips, zstds, shortZstds sync.Pool }

// take waits until n bytes of the memory for bodies are free.
func (d *Door) take(q *request, n int64) error { return d.grow(q, 0, n) }

// grow takes the memory of a buffer in place of that of a smaller one.
func (d *Door) grow(q *request, held, next int64) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(q.Context(), q.hold, ingest.ErrHeld)
	defer cancel()
	err := q.memory.Grow(ctx, held, next)
	q.hold -= time.Since(begun)
	if err != nil && !errors.Is(err, ingest.ErrHeld) {
		err = fmt.Errorf("%w: %w", ingest.ErrHeld, err) // the client is gone: nobody reads the answer
	}
	return err
}

// read reads and decodes the whole body into q.data.
func (d *Door) read(q *request) error {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(q.Header["Content-Encoding"], ", ")))
	var err error
	switch {
	case encoding == "" || encoding == "identity":
		if q.ContentLength > d.maxRequest {
			return d.tooLarge()
		}
		q.data, err = d.readAll(q, &q.body, q.ContentLength)
	case encoding != "gzip" && encoding != "x-gzip" && encoding != "zstd":
		return unsupportedEncoding(encoding)
	case q.ContentLength >= 0 && q.ContentLength <= shortBody:
		err = d.decodeShort(q, encoding)
	default:
		if err := d.take(q, decoderMemory); err != nil {
			return err
		}
		if err = d.decode(q, encoding, &q.body, &d.decoders.zstds, maxWindow); err == nil {
			err = q.body.Finish() // a compressed stream can end before the body
		}
	}
	if err == nil {
		return nil
	}
	if q.body.Err() != nil {
		return broken(q.body.Err())
	}
	if _, ok := errors.AsType[*ingest.Refusal](err); ok || errors.Is(err, ingest.ErrHeld) {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return wideWindow(err)
	}
	return badEncoding(encoding, err)
}

// decodeShort decodes a body that is short while it is compressed.
func (d *Door) decodeShort(q *request, encoding string) error {
	packed, err := d.readAll(q, &q.body, q.ContentLength)
	if err != nil {
		return err
	}
	if err := d.take(q, shortDecodeMemory); err != nil {
		return err
	}
	err = d.decode(q, encoding, bytes.NewReader(packed), &d.decoders.shortZstds, shortWindow)
	if !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return err
	}
	if err := d.take(q, decoderMemory); err != nil {
		return err
	}
	return d.decode(q, encoding, bytes.NewReader(packed), &d.decoders.zstds, maxWindow)
}

// decode reads src through a decoder into q.data.
func (d *Door) decode(q *request, encoding string, src io.Reader, pool *sync.Pool, window uint64) (err error) {
	if encoding == "zstd" {
		z, ok := pool.Get().(*zstd.Decoder)
		if !ok {
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
			if err != nil {
				return err
			}
		}
		defer pool.Put(z)
		defer func() { _ = z.Reset(nil) }() // keeps nothing of the request
		if err := z.Reset(src); err != nil {
			return err
		}
		q.data, err = d.readAll(q, z, -1)
		return err
	}
	z, ok := d.decoders.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	if err := z.Reset(src); err != nil {
		if err == io.EOF {
			return nil // not a byte came
		}
		return err
	}
	if q.data, err = d.readAll(q, z, -1); err == nil {
		d.decoders.gzips.Put(z)
	}
	return err
}

// readAll reads src to its end, and no further than the limit. Memory is taken
// as the bytes come, up to length, which is -1 where it is not known: what a
// sender announces costs nothing before it is sent.
func (d *Door) readAll(q *request, src io.Reader, length int64) ([]byte, error) {
	most := d.maxRequest + 1 // one more, to see the end
	if length >= 0 {
		most = min(most, length+1)
	}
	first := min(firstBuffer, most)
	if err := d.take(q, first); err != nil {
		return nil, err
	}
	data := make([]byte, 0, first)
	for {
		if len(data) == cap(data) {
			held := int64(cap(data))
			next := 2 * held
			if next > most/2 && held < most { // a body that is longer than announced goes on doubling
				next = most
			}
			if err := d.grow(q, held, next); err != nil {
				return nil, err
			}
			data = append(make([]byte, 0, next), data...)
		}
		n, err := src.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if int64(len(data)) > d.maxRequest {
			return nil, d.tooLarge()
		}
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
