package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Memory that a decoder takes besides the decoded bytes.
const (
	MaxWindow     = 8 << 20           // of a zstd stream: what its specification asks of every decoder
	decoderMemory = MaxWindow + 1<<20 // counted for each compressed request
	firstBuffer   = 32 << 10          // of a body that is not known to be shorter

	// A short compressed body is read before it is decoded, so that it can be
	// decoded again where it asks for more memory than most short ones do.
	shortBody         = 64 << 10
	shortWindow       = 64 << 10
	shortDecodeMemory = shortWindow + 64<<10
)

// Errors of a body that is read.
var (
	// ErrTooLong: the body is over the limit, decoded or as it came.
	ErrTooLong = errors.New("the body is over the limit")
	// ErrWideWindow: a zstd stream wants a window over MaxWindow.
	ErrWideWindow = errors.New("the zstd stream wants too wide a window")
)

// UnknownEncodingError is a Content-Encoding that is not undone here.
type UnknownEncodingError struct{ Name string }

func (e *UnknownEncodingError) Error() string {
	return fmt.Sprintf("the Content-Encoding %.60q is not known", e.Name)
}

// Bodies reads bodies whole and undoes gzip, deflate and zstd, within one budget of
// memory for all requests. The doors of one listener share it. It is safe for
// concurrent use.
type Bodies struct {
	max                      int64
	memory                   *Memory
	gzips, zstds, shortZstds sync.Pool // decoders for the next request
}

// NewBodies reads bodies of up to most bytes, decoded. What the longest one may
// need is left to the request that goes on when all others wait; of the rest of
// memory one sender gets half. memory is at least twice most.
func NewBodies(most, memory int64) *Bodies {
	shared := memory - 2*most
	return &Bodies{max: most, memory: NewMemory(shared, shared/2)}
}

// Max is how long a body may be.
func (b *Bodies) Max() int64 { return b.max }

// Reading is one request's use of Bodies. It belongs to the goroutine that
// serves the request.
type Reading struct {
	bodies *Bodies
	grant  Grant
	Hold   time.Duration // how long the request may still be held for memory; a wait takes its time from it
}

// Begin begins to read the request of a sender.
func (b *Bodies) Begin(sender string, hold time.Duration) Reading {
	return Reading{bodies: b, grant: b.memory.Grant(sender), Hold: hold}
}

// Release returns the memory, also of the zero Reading.
func (r *Reading) Release() { r.grant.Release() }

// Take waits until n bytes more of the memory are free. Its error is ErrHeld.
func (r *Reading) Take(ctx context.Context, n int64) error { return r.grow(ctx, 0, n) }

// grow takes the memory of a buffer in place of that of a smaller one.
func (r *Reading) grow(ctx context.Context, held, next int64) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, r.Hold, ErrHeld)
	defer cancel()
	err := r.grant.Grow(ctx, held, next)
	r.Hold -= time.Since(begun)
	if err != nil && !errors.Is(err, ErrHeld) {
		err = fmt.Errorf("%w: %w", ErrHeld, err) // the client is gone: nobody reads the answer
	}
	return err
}

// Encoding is the Content-Encoding of a request: "" for none.
func Encoding(header map[string][]string) string {
	name := strings.ToLower(strings.TrimSpace(strings.Join(header["Content-Encoding"], ", ")))
	switch name {
	case "identity":
		return ""
	case "x-gzip":
		return "gzip"
	}
	return name
}

func known(encoding string) bool {
	return encoding == "gzip" || encoding == "zstd" || encoding == "deflate"
}

// Decoded reads the whole body, which has a length or -1, and undoes its encoding as it comes.
// Errors are those of the body, ErrHeld, ErrTooLong, ErrWideWindow, *UnknownEncodingError and else what a decoder says.
func (r *Reading) Decoded(ctx context.Context, body *Body, encoding string, length int64) ([]byte, error) {
	switch {
	case encoding == "":
		return r.All(ctx, body, length)
	case !known(encoding):
		return nil, &UnknownEncodingError{encoding}
	case length >= 0 && length <= shortBody:
		packed, err := r.All(ctx, body, length)
		if err != nil {
			return nil, err
		}
		return r.Undo(ctx, packed, encoding)
	}
	if err := r.Take(ctx, decoderMemory); err != nil {
		return nil, err
	}
	data, err := r.decode(ctx, encoding, body, &r.bodies.zstds, MaxWindow)
	if err == nil {
		err = body.Finish() // a compressed stream can end before the body
	}
	return data, err
}

// Undo decodes a body that was read. Errors are as Decoded's.
func (r *Reading) Undo(ctx context.Context, packed []byte, encoding string) ([]byte, error) {
	if !known(encoding) {
		return nil, &UnknownEncodingError{encoding}
	}
	if len(packed) <= shortBody {
		if err := r.Take(ctx, shortDecodeMemory); err != nil {
			return nil, err
		}
		data, err := r.decode(ctx, encoding, &sliceReader{packed}, &r.bodies.shortZstds, shortWindow)
		if !errors.Is(err, ErrWideWindow) {
			return data, err
		}
	}
	if err := r.Take(ctx, decoderMemory); err != nil {
		return nil, err
	}
	return r.decode(ctx, encoding, &sliceReader{packed}, &r.bodies.zstds, MaxWindow)
}

type sliceReader struct{ b []byte }

func (s *sliceReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}

// decode reads src through a decoder.
func (r *Reading) decode(ctx context.Context, encoding string, src io.Reader, pool *sync.Pool, window uint64) (data []byte, err error) {
	if encoding == "zstd" {
		z, ok := pool.Get().(*zstd.Decoder)
		if !ok {
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
			if err != nil {
				return nil, err
			}
		}
		defer pool.Put(z)
		defer func() { _ = z.Reset(nil) }() // keeps nothing of the request
		if err := z.Reset(src); err != nil {
			return nil, err
		}
		data, err = r.All(ctx, z, -1)
		if errors.Is(err, zstd.ErrWindowSizeExceeded) {
			err = fmt.Errorf("%w: %w", ErrWideWindow, err)
		}
		return data, err
	}
	if encoding == "deflate" { // which is zlib's format; a bare stream is what some old browsers took it for, and no sender of records
		return r.inflate(ctx, bufio.NewReader(src))
	}
	z, ok := r.bodies.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	if err := z.Reset(src); err != nil {
		if err == io.EOF {
			return nil, nil // not a byte came
		}
		return nil, err
	}
	if data, err = r.All(ctx, z, -1); err == nil {
		r.bodies.gzips.Put(z)
	}
	return data, err
}

// inflate reads a zlib stream, behind which nothing may follow: the format knows no second one, and what is left out would be acknowledged.
func (r *Reading) inflate(ctx context.Context, src *bufio.Reader) ([]byte, error) {
	z, err := zlib.NewReader(src)
	if err == io.EOF {
		return nil, nil // not a byte came
	} else if err != nil {
		return nil, err
	}
	data, err := r.All(ctx, z, -1)
	if err != nil {
		return data, err
	}
	if _, err := src.ReadByte(); err == nil {
		return nil, errors.New("something follows the end of the zlib stream")
	} else if err != io.EOF {
		return nil, err
	}
	return data, nil
}

// All reads src to its end. One that is over the limit is ErrTooLong, with what was read of it until
// then. Memory is taken as the bytes come, up to length, which is -1 where it is not known: what a
// sender announces costs nothing before it is sent.
func (r *Reading) All(ctx context.Context, src io.Reader, length int64) ([]byte, error) {
	limit := r.bodies.max
	most := limit + 1 // one more, to see the end
	if length >= 0 {
		most = min(most, length+1)
	}
	first := min(firstBuffer, most)
	if err := r.Take(ctx, first); err != nil {
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
			if err := r.grow(ctx, held, next); err != nil {
				return nil, err
			}
			data = append(make([]byte, 0, next), data...)
		}
		n, err := src.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if int64(len(data)) > limit {
			return data, ErrTooLong
		}
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
