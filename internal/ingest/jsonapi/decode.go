package jsonapi

import (
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
	firstBuffer   = 32 << 10          // of a body of unknown length
)

// decoders are kept for the next request. Safe for concurrent use.
type decoders struct{ gzips, zstds sync.Pool }

// take waits until n bytes of the memory for bodies are free.
func (d *Door) take(q *request, n int64) error {
	if !d.memory.TryAcquire(n) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(q.Context(), q.hold)
		defer cancel()
		if err := d.memory.Acquire(ctx, n); err != nil {
			return fmt.Errorf("wait for memory: %w: %w", ingest.ErrHeld, err)
		}
		q.hold -= time.Since(begun)
	}
	q.taken += n
	return nil
}

// read reads and decodes the whole body into q.data.
func (d *Door) read(q *request) error {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(q.Header["Content-Encoding"], ", ")))
	first := int64(firstBuffer)
	switch {
	case encoding == "" || encoding == "identity":
		encoding = ""
		if q.ContentLength > d.maxRequest {
			return d.tooLarge()
		}
		if q.ContentLength >= 0 {
			first = q.ContentLength + 1 // room to see its end
		}
	case encoding != "gzip" && encoding != "x-gzip" && encoding != "zstd":
		return unsupportedEncoding(encoding)
	default:
		if err := d.take(q, decoderMemory); err != nil {
			return err
		}
	}
	if err := d.take(q, first); err != nil {
		return err
	}
	q.data = make([]byte, 0, first)
	var err error
	if encoding == "" {
		err = d.fill(q, &q.body)
	} else if err = d.decode(q, encoding); err == nil {
		err = q.body.Finish() // a compressed stream can end before the body
	}
	if err == nil {
		return nil
	}
	if q.body.Err() != nil {
		return broken(q.body.Err())
	}
	if _, ok := errors.AsType[*ingest.Refusal](err); ok {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return wideWindow(err)
	}
	return badEncoding(encoding, err)
}

// decode reads the body through a decoder.
func (d *Door) decode(q *request, encoding string) error {
	if encoding == "zstd" {
		z, ok := d.decoders.zstds.Get().(*zstd.Decoder)
		if !ok {
			var err error
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
			if err != nil {
				return err
			}
		}
		defer d.decoders.zstds.Put(z)
		defer func() { _ = z.Reset(nil) }() // keeps nothing of the request
		if err := z.Reset(&q.body); err != nil {
			return err
		}
		return d.fill(q, z)
	}
	z, ok := d.decoders.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	if err := z.Reset(&q.body); err != nil {
		if err == io.EOF {
			return nil // not a byte came
		}
		return err
	}
	err := d.fill(q, z)
	if err == nil {
		d.decoders.gzips.Put(z)
	}
	return err
}

// fill reads src to its end, and no further than the limit.
func (d *Door) fill(q *request, src io.Reader) error {
	for {
		if len(q.data) == cap(q.data) {
			if err := d.grow(q); err != nil {
				return err
			}
		}
		n, err := src.Read(q.data[len(q.data):cap(q.data)])
		q.data = q.data[:len(q.data)+n]
		if int64(len(q.data)) > d.maxRequest {
			return d.tooLarge()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow doubles the buffer, up to one byte over the limit.
func (d *Door) grow(q *request) error {
	next := min(2*int64(cap(q.data)), d.maxRequest+1)
	if err := d.take(q, next); err != nil {
		return err
	}
	old := q.data
	q.data = append(make([]byte, 0, next), old...)
	d.give(q, int64(cap(old)))
	return nil
}

// give returns memory to the other requests.
func (d *Door) give(q *request, n int64) {
	n = min(n, q.taken)
	q.taken -= n
	d.memory.Release(n)
}
