// Package export writes records for others to read: as lines of text or as Parquet, into a stream, or in parts into a
// store. What the parts hold is decided and kept before they are put, so that an export that was cut short goes
// on without a record twice or missing.
package export

import (
	"bufio"
	"io"

	"indelible/internal/layout/pack"
)

// Item is one record.
type Item struct {
	pack.Row
	Text []byte // what a part that is text has of it
}

// Form is how a part is written.
type Form interface {
	// Begin begins a part, which is written to w in order.
	Begin(w io.Writer) (Part, error)
	// Ext is the extension of a part's name, and ContentType what it is.
	Ext() string
	ContentType() string
}

// Part is one file under way. It is for one goroutine.
type Part interface {
	// Add appends a record.
	Add(item *Item) error
	// Size is how many bytes it has so far, or a little more.
	Size() int64
	// Close writes what is left; it does not close the io.Writer.
	Close() error
}

// Text is Item.Text of each record.
type Text struct{}

// Begin is Form's.
func (Text) Begin(w io.Writer) (Part, error) {
	return &textPart{w: bufio.NewWriterSize(w, 64<<10)}, nil
}

// Ext is Form's.
func (Text) Ext() string { return ".ndjson" }

// ContentType is Form's.
func (Text) ContentType() string { return "application/x-ndjson" }

type textPart struct {
	w    *bufio.Writer
	size int64
}

func (t *textPart) Add(item *Item) error {
	n, err := t.w.Write(item.Text)
	t.size += int64(n)
	return err
}

func (t *textPart) Size() int64  { return t.size }
func (t *textPart) Close() error { return t.w.Flush() }

// Parquet is the form of packs: docs/format/pack.md.
type Parquet struct{ Log string }

// Begin is Form's.
func (p Parquet) Begin(w io.Writer) (Part, error) {
	out := bufio.NewWriterSize(w, 256<<10)
	pw, err := pack.NewWriter(out, pack.Options{Log: p.Log})
	if err != nil {
		return nil, err
	}
	return &parquetPart{w: pw, out: out}, nil
}

// Ext is Form's.
func (Parquet) Ext() string { return ".parquet" }

// ContentType is Form's.
func (Parquet) ContentType() string { return "application/vnd.apache.parquet" }

type parquetPart struct {
	w   *pack.Writer
	out *bufio.Writer
}

func (p *parquetPart) Add(item *Item) error { return p.w.Add(&item.Row) }
func (p *parquetPart) Size() int64          { return p.w.Progress().Compressed }

func (p *parquetPart) Close() error {
	if _, err := p.w.Close(); err != nil {
		return err
	}
	return p.out.Flush()
}
