package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/parquet-go/parquet-go/encoding/thrift"
)

// Bounds of a structure in Thrift's compact protocol, which is what a footer, an index and
// a page header are. The library makes lists as long as the file says before it
// reads their elements, so that a few hostile bytes could ask for all memory there is.
const (
	maxItems = 1 << 18 // elements of all lists together
	maxDepth = 16
)

var errThrift = errors.New("malformed metadata")

// decode reads the structure that b begins with, after walking it. It returns its length.
func decode(b []byte, v any) (int, error) {
	w := walker{b: b}
	if err := w.structure(0); err != nil {
		return 0, err
	}
	var protocol thrift.CompactProtocol
	return w.at, thrift.Unmarshal(&protocol, b[:w.at], v)
}

// walker passes over a structure and checks that all it claims to hold is there.
type walker struct {
	b     []byte
	at    int
	items int
}

func (w *walker) structure(depth int) error {
	if depth > maxDepth {
		return errThrift
	}
	for {
		head, err := w.byte()
		if err != nil {
			return err
		}
		if head == 0 {
			return nil
		}
		if head>>4 == 0 { // the field's id stands by itself
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		if kind := head & 15; kind == 1 || kind == 2 {
			continue // a boolean is its own value
		} else if err := w.value(kind, depth); err != nil {
			return err
		}
	}
}

// checkSum compares the page that b is, header and all, with its CRC-32. It looks at no more of the header than that needs.
func checkSum(b []byte) error {
	const compressedSize, sum = 3, 4 // fields of PageHeader
	var have [5]int64
	w, id := walker{b: b}, int64(0)
	for {
		head, err := w.byte()
		if err != nil {
			return err
		}
		if head == 0 {
			break
		}
		if id += int64(head >> 4); head>>4 == 0 {
			v, err := w.varint()
			if err != nil {
				return err
			}
			id = unzigzag(v)
		}
		switch kind := head & 15; {
		case kind == 1 || kind == 2:
		case kind == 5 && (id == compressedSize || id == sum):
			v, err := w.varint()
			if err != nil {
				return err
			}
			have[id] = unzigzag(v)
		default:
			if err := w.value(kind, 0); err != nil {
				return err
			}
		}
	}
	b = b[w.at:]
	switch {
	case have[compressedSize] != int64(len(b)):
		return fmt.Errorf("page of %d bytes in %d", have[compressedSize], len(b))
	case uint32(have[sum]) != crc32.ChecksumIEEE(b):
		return fmt.Errorf("CRC-32 is not %08x", uint32(have[sum]))
	}
	return nil
}

// value passes over one value of a kind as compact-protocol lists have them.
func (w *walker) value(kind byte, depth int) error {
	switch kind {
	case 1, 2, 3:
		return w.skip(1)
	case 4, 5, 6:
		_, err := w.varint()
		return err
	case 7:
		return w.skip(8)
	case 8:
		n, err := w.varint()
		if err != nil || n > uint64(len(w.b)) {
			return errThrift
		}
		return w.skip(int(n))
	case 9, 10:
		return w.list(depth)
	case 12:
		return w.structure(depth + 1)
	}
	return errThrift // maps are in no structure of Parquet
}

func (w *walker) list(depth int) error {
	head, err := w.byte()
	if err != nil || depth > maxDepth {
		return errThrift
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	if n > uint64(len(w.b)-w.at) || w.items+int(n) > maxItems { // each takes a byte at least
		return errThrift
	}
	w.items += int(n)
	for range n {
		if err := w.value(head&15, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) byte() (byte, error) {
	if w.at >= len(w.b) {
		return 0, errThrift
	}
	w.at++
	return w.b[w.at-1], nil
}

func (w *walker) varint() (uint64, error) {
	v, n := binary.Uvarint(w.b[w.at:])
	if n <= 0 {
		return 0, errThrift
	}
	w.at += n
	return v, nil
}

func (w *walker) skip(n int) error {
	if n > len(w.b)-w.at {
		return errThrift
	}
	w.at += n
	return nil
}
