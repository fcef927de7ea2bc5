package pack

import (
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of a page: a writer of ours makes none that is greater.
const (
	maxPage   = MaxBody + 1<<20 // bytes, uncompressed
	maxValues = 1 << 20
)

// page is a decoded page of data.
type page struct {
	defs, reps []int32 // levels; nil where the column has none
	texts      [][]byte
	words      []int64 // integers, booleans, and floats by their bits
}

// page decodes the page of l that b is, header and all.
func (d *decoder) page(l *leaf, b []byte, dict [][]byte) (*page, error) {
	var h format.PageHeader
	n, err := decode(b, &h)
	if err != nil {
		return nil, err
	}
	b = b[n:]
	if h.Type != format.DataPageV2 || !h.DataPageHeaderV2.Valid {
		return nil, fmt.Errorf("page of type %d", h.Type)
	}
	v := &h.DataPageHeaderV2.V
	reps, defs := int(v.RepetitionLevelsByteLength), int(v.DefinitionLevelsByteLength)
	switch {
	case int(h.CompressedPageSize) != len(b) || reps < 0 || defs < 0 || reps+defs > len(b):
		return nil, fmt.Errorf("page of %d bytes in %d", h.CompressedPageSize, len(b))
	case v.NumValues <= 0 || v.NumValues > maxValues || v.NumNulls < 0 || v.NumNulls > v.NumValues:
		return nil, fmt.Errorf("page of %d values", v.NumValues)
	case uint32(h.CRC) != crc32.ChecksumIEEE(b):
		return nil, fmt.Errorf("CRC-32 is not %08x", uint32(h.CRC))
	}
	p := &page{}
	if p.reps, err = levels(b[:reps], int(v.NumValues), l.maxRep); err != nil {
		return nil, err
	}
	if p.defs, err = levels(b[reps:reps+defs], int(v.NumValues), l.maxDef); err != nil {
		return nil, err
	}
	present := int(v.NumValues)
	if l.maxDef > 0 {
		present = 0
		for _, d := range p.defs {
			if int(d) == l.maxDef {
				present++
			}
		}
	}
	values := b[reps+defs:]
	if !v.IsCompressed.Valid || v.IsCompressed.V {
		if values, err = d.inflate(values, int64(h.UncompressedPageSize)-int64(reps+defs)); err != nil {
			return nil, err
		}
	}
	return p, l.values(p, values, v.Encoding, present, dict)
}

// values decodes the n values of a page.
func (l *leaf) values(p *page, b []byte, encoding format.Encoding, n int, dict [][]byte) (err error) {
	switch {
	case n == 0:
	case encoding == format.RLEDictionary && l.kind == format.ByteArray && len(b) > 0:
		var at []int32
		if at, err = runs(b[1:], n, int(b[0])); err != nil {
			return err
		}
		p.texts = make([][]byte, n)
		for i, k := range at {
			if int(k) >= len(dict) || k < 0 {
				return errEncoding
			}
			p.texts[i] = dict[k]
		}
	case encoding == format.DeltaBinaryPacked && l.kind == format.Int64:
		if p.words, b, err = deltas(b, n); err == nil && len(b) > 0 {
			err = errEncoding
		}
	case encoding == format.DeltaLengthByteArray && l.kind == format.ByteArray:
		p.texts, err = bytesDelta(b, n)
	case encoding != format.Plain:
		return fmt.Errorf("encoding %d", encoding)
	case l.kind == format.ByteArray:
		p.texts, err = bytesPlain(b, n)
	case l.kind == format.Boolean:
		p.words, err = bitsPlain(b, n)
	default:
		p.words, err = wordsPlain(b, n)
	}
	return err
}

// levels decodes n levels from 0 to most.
func levels(b []byte, n, most int) ([]int32, error) {
	if most == 0 {
		return nil, nil
	}
	list, err := runs(b, n, widthOf(most))
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		if int(v) > most {
			return nil, errEncoding
		}
	}
	return list, nil
}

// dictionary decodes the page of one.
func (d *decoder) dictionary(b []byte) ([][]byte, error) {
	var h format.PageHeader
	n, err := decode(b, &h)
	if err != nil {
		return nil, err
	}
	b = b[n:]
	v := h.DictionaryPageHeader.V
	switch {
	case h.Type != format.DictionaryPage || !h.DictionaryPageHeader.Valid || v.Encoding != format.Plain:
		return nil, fmt.Errorf("page of type %d for a dictionary", h.Type)
	case int(h.CompressedPageSize) != len(b) || v.NumValues < 0 || v.NumValues > maxValues:
		return nil, fmt.Errorf("dictionary of %d bytes in %d", h.CompressedPageSize, len(b))
	case uint32(h.CRC) != crc32.ChecksumIEEE(b):
		return nil, fmt.Errorf("CRC-32 is not %08x", uint32(h.CRC))
	}
	if b, err = d.inflate(b, int64(h.UncompressedPageSize)); err != nil {
		return nil, err
	}
	return bytesPlain(b, int(v.NumValues))
}

// decoder decompresses up to a budget.
type decoder struct {
	zstd   *zstd.Decoder // never makes more bytes than it is given room for
	budget int64         // uncompressed bytes that may still be made
	room   *room         // what is made lies there until the next page is decoded; nil: it has memory of its own
}

// blocksAtOnce is how many goroutines decompress pages of one pack at the same time.
const blocksAtOnce = 4

func newZstd() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(blocksAtOnce), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxPage))
}

// inflate decompresses b to exactly size bytes.
func (d *decoder) inflate(b []byte, size int64) ([]byte, error) {
	if size < 0 || size > maxPage || size > d.budget {
		return nil, fmt.Errorf("page of %d bytes, uncompressed", size)
	}
	d.budget -= size
	var out []byte
	if d.room != nil {
		out = sized(&d.room.page, size)[:0]
	} else {
		out = make([]byte, 0, size)
	}
	out, err := d.zstd.DecodeAll(b, out)
	if err == nil && int64(len(out)) != size {
		err = fmt.Errorf("page has %d bytes uncompressed, not %d", len(out), size)
	}
	return out, err
}
