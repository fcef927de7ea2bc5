package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"indelible/internal/record"
)

// leaf is a column as the file has it.
type leaf struct {
	name           string
	kind           format.Type
	maxDef, maxRep int
}

// plan is what every pack's footer says of the columns: those of our own
// writer, taken from a file that it wrote.
type plan struct {
	elements []format.SchemaElement
	leaves   []leaf // in the order of the fields of columns
}

var planOf = sync.OnceValues(func() (*plan, error) {
	var b bytes.Buffer
	pages, err := newCodec(DefaultLevel)
	if err != nil {
		return nil, err
	}
	w := newParquet(&b, "", pages)
	if _, err := w.Write(make([]columns, 1)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	end := b.Len() - 8
	var m format.FileMetaData
	if _, err := decode(b.Bytes()[end-int(binary.LittleEndian.Uint32(b.Bytes()[end:])):end], &m); err != nil {
		return nil, err
	}
	p := &plan{elements: m.Schema}
	schema := parquet.SchemaOf(columns{})
	for _, path := range schema.Columns() {
		c, ok := schema.Lookup(path...)
		if !ok {
			return nil, fmt.Errorf("no column %v", path)
		}
		p.leaves = append(p.leaves, leaf{name: path[0], kind: format.Type(c.Node.Type().Kind()), maxDef: c.MaxDefinitionLevel, maxRep: c.MaxRepetitionLevel})
	}
	return p, nil
})

// tail is the end of the file, from some offset on.
type tail struct {
	r    io.ReaderAt
	size int64
	from int64
	b    []byte
}

const (
	tailShare = 128      // the first read is this part of the file, and
	tailBytes = 64 << 10 // so much more: it holds all but the rows of an ordinary pack
	maxTail   = 64 << 20
	magic     = "PAR1"
)

// get is n bytes at an offset; the tail grows to hold them.
func (t *tail) get(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > t.size-n {
		return nil, fmt.Errorf("%d bytes at %d: %w", n, at, errOutside)
	}
	if at < t.from {
		if t.size-at > maxTail {
			return nil, fmt.Errorf("metadata of %d bytes: %w", t.size-at, errOutside)
		}
		more := make([]byte, t.size-at)
		if err := readFull(t.r, more[:t.from-at], at); err != nil {
			return nil, err
		}
		copy(more[t.from-at:], t.b)
		t.from, t.b = at, more
	}
	return t.b[at-t.from:][:n:n], nil
}

var errOutside = errors.New("outside of the file")

// ioError is an error of the io.ReaderAt: it says nothing about the pack.
type ioError struct{ err error }

func (e *ioError) Error() string { return e.err.Error() }
func (e *ioError) Unwrap() error { return e.err }

// readFull reads all of b. The file is known to reach so far: its end is an error of the reader.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &ioError{fmt.Errorf("read %d bytes at %d: %w", len(b), at, err)}
}

// group is one row group.
type group struct {
	rows        int64
	first, last record.Seq
	chunks      []chunk // as plan.leaves
}

// chunk is one column of a row group.
type chunk struct {
	from, to   int64 // in the file, dictionary included
	data       int64 // where the first page of data begins
	index      span  // of the offset index
	bloom      span
	nulls      bool // no row has a value
	min, max   []byte
	haveBounds bool
}

type span struct{ at, n int64 }

// footer is what a pack says of itself.
type footer struct {
	log    string
	rows   int64
	groups []group
}

// readFooter reads and checks the footer. Its errors wrap ErrForeign, ErrDamaged or are the reader's.
func readFooter(t *tail) (*footer, error) {
	end, err := t.get(t.size-8, 8)
	if err != nil {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrForeign, t.size)
	}
	if string(end[4:]) != magic {
		return nil, fmt.Errorf("%w: it does not end as Parquet does", ErrForeign)
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > t.size-12 || n > maxTail {
		return nil, fmt.Errorf("%w: a footer of %d bytes in a file of %d", ErrDamaged, n, t.size)
	}
	b, err := t.get(t.size-8-n, n)
	if err != nil {
		return nil, err
	}
	var m format.FileMetaData
	if _, err := decode(b, &m); err != nil {
		return nil, fmt.Errorf("%w: footer: %w", ErrDamaged, err)
	}
	p, err := planOf()
	if err != nil {
		return nil, err
	}
	version, log := "", ""
	for _, kv := range m.KeyValueMetadata {
		switch kv.Key {
		case metaVersion:
			version = kv.Value
		case metaLog:
			log = kv.Value
		}
	}
	switch {
	case version == "":
		return nil, fmt.Errorf("%w: another program wrote this Parquet file", ErrForeign)
	case version != Version:
		return nil, fmt.Errorf("%w of format %s: it is of format %.20q; use the program that wrote it, or a newer one", ErrForeign, Version, version)
	case !reflect.DeepEqual(p.elements, []format.SchemaElement(m.Schema)):
		return nil, fmt.Errorf("%w: it says to be one, and has other columns: another program rewrote it", ErrForeign)
	}
	f := &footer{log: log, rows: m.NumRows}
	if err := f.setGroups(p, &m, t.size-8-n); err != nil {
		return nil, fmt.Errorf("%w: footer: %w", ErrDamaged, err)
	}
	return f, nil
}

// setGroups checks the row groups against each other and against where the footer begins.
func (f *footer) setGroups(p *plan, m *format.FileMetaData, end int64) error {
	at := int64(len(magic))
	var rows int64
	for i := range m.RowGroups {
		g := &m.RowGroups[i]
		if len(g.Columns) != len(p.leaves) || g.NumRows <= 0 || g.NumRows > groupRows {
			return fmt.Errorf("row group %d has %d columns, %d rows", i, len(g.Columns), g.NumRows)
		}
		rows += g.NumRows
		one := group{rows: g.NumRows, chunks: make([]chunk, len(g.Columns))}
		for j := range g.Columns {
			c, err := newChunk(&p.leaves[j], &g.Columns[j], at, end)
			if err != nil {
				return fmt.Errorf("row group %d, column %s: %w", i, p.leaves[j].name, err)
			}
			one.chunks[j], at = c, c.to
		}
		var err error
		if one.first, one.last, err = seqs(&one.chunks[columnSeq], f.groups, g.NumRows); err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
		f.groups = append(f.groups, one)
	}
	if rows != m.NumRows || rows == 0 {
		return fmt.Errorf("%d rows in the row groups of %d", rows, m.NumRows)
	}
	return nil
}

// The places of seq and time among the columns.
const (
	columnSeq  = 1
	columnTime = 2
)

// at is the place of a column by its name; -1 if there is none.
func (p *plan) at(name string) int {
	return slices.IndexFunc(p.leaves, func(l leaf) bool { return l.name == name })
}

func newChunk(l *leaf, c *format.ColumnChunk, at, end int64) (chunk, error) {
	m := &c.MetaData
	from := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		from = m.DictionaryPageOffset
	}
	switch {
	case m.Type != l.kind:
		return chunk{}, fmt.Errorf("type %d", m.Type)
	case m.Codec != format.Zstd:
		return chunk{}, fmt.Errorf("compression %d", m.Codec)
	case from != at || m.DataPageOffset < from || m.TotalCompressedSize <= 0 || m.TotalCompressedSize > end-from || m.DataPageOffset >= from+m.TotalCompressedSize:
		return chunk{}, fmt.Errorf("%d bytes at %d, and not at %d", m.TotalCompressedSize, from, at)
	}
	s := &m.Statistics
	return chunk{
		from: from, to: from + m.TotalCompressedSize, data: m.DataPageOffset,
		index: span{c.OffsetIndexOffset, int64(c.OffsetIndexLength)},
		bloom: span{m.BloomFilterOffset, int64(m.BloomFilterLength)},
		min:   s.MinValue, max: s.MaxValue, haveBounds: s.MinValue != nil && s.MaxValue != nil,
		nulls: m.NumValues > 0 && s.NullCount == m.NumValues,
	}, nil
}

// seqs is the range of a row group, behind that of the one before.
func seqs(c *chunk, before []group, rows int64) (first, last record.Seq, err error) {
	if len(c.min) != 8 || len(c.max) != 8 {
		return 0, 0, errors.New("no statistics of seq")
	}
	lo, hi := binary.LittleEndian.Uint64(c.min), binary.LittleEndian.Uint64(c.max)
	if lo == 0 || hi > math.MaxInt64 || lo > hi || hi-lo < uint64(rows)-1 || len(before) > 0 && record.Seq(lo) <= before[len(before)-1].last {
		return 0, 0, fmt.Errorf("seq %d to %d in %d rows", lo, hi, rows)
	}
	return record.Seq(lo), record.Seq(hi), nil
}

// pages are where the pages of data of a chunk lie: the offset index, checked.
func (t *tail) pages(c *chunk, rows int64) ([]format.PageLocation, error) {
	b, err := t.get(c.index.at, c.index.n)
	if err != nil {
		return nil, err
	}
	var index format.OffsetIndex
	if _, err := decode(b, &index); err != nil {
		return nil, err
	}
	at, row := c.data, int64(-1)
	for _, p := range index.PageLocations {
		if p.Offset != at || p.CompressedPageSize <= 0 || p.FirstRowIndex <= row || p.FirstRowIndex >= rows {
			return nil, fmt.Errorf("page of %d bytes at %d, row %d", p.CompressedPageSize, p.Offset, p.FirstRowIndex)
		}
		at, row = at+int64(p.CompressedPageSize), p.FirstRowIndex
	}
	if at != c.to || len(index.PageLocations) == 0 || index.PageLocations[0].FirstRowIndex != 0 {
		return nil, errors.New("pages do not make the column")
	}
	return slices.Clip(index.PageLocations), nil
}
