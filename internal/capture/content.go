package capture

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxDecoded bounds what is looked at of one body, decoded. A longer one is kept whole, and
// its derived fields say that it was not read.
const maxDecoded = 8 << 20

var (
	errTooLong = errors.New("longer than is looked at")
	errCoding  = errors.New("unknown content coding")
)

// plain is what was found when a content coding was undone.
type plain struct {
	b   []byte
	err error
}

// coding is the content coding that the body's bytes are in; "" for none.
func (m *Message) coding() string {
	if m.Undone != "" {
		return ""
	}
	coding := strings.ToLower(strings.TrimSpace(field(m.Headers, "content-encoding")))
	if coding == "identity" {
		return ""
	}
	return coding
}

// content undoes the content coding of the body, once. It returns what it could decode
// also with an error.
func (m *Message) content() ([]byte, error) {
	if m.coding() == "" {
		return m.undo()
	}
	if m.plain == nil {
		b, err := m.undo()
		m.plain = &plain{b, err}
	}
	return m.plain.b, m.plain.err
}

func (m *Message) undo() ([]byte, error) {
	b, coding := &m.Body, m.coding()
	if b.Kept != b.Size && m.Undone == "" {
		return nil, errTooLong
	}
	if coding == "" {
		if b.Kept > maxDecoded {
			return nil, errTooLong
		}
		if b.File == nil {
			return b.Bytes, nil
		}
		whole := make([]byte, b.Kept)
		n, err := io.ReadFull(b.Reader(), whole)
		return whole[:n], err
	}
	r, err := decoder(b.Reader(), coding)
	if err == io.EOF {
		return nil, nil // not a byte
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // nothing is written
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, maxDecoded+1))
	if n > maxDecoded {
		return nil, errTooLong
	}
	return out.Bytes(), err
}

func decoder(r io.Reader, coding string) (io.ReadCloser, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDecoded), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case "deflate": // zlib by the book, raw from some servers
		var first [2]byte
		n, err := io.ReadFull(r, first[:])
		if n == 0 {
			return nil, io.EOF
		}
		whole := io.MultiReader(bytes.NewReader(first[:n]), r)
		if err == nil && first[0]&15 == 8 && (int(first[0])<<8|int(first[1]))%31 == 0 {
			return zlib.NewReader(whole)
		}
		return flate.NewReader(whole), nil
	}
	return nil, errCoding
}
