package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"indelible/internal/record"
)

// Reader reads a pack. It may be used by several goroutines at once, if the io.ReaderAt may.
//
// It believes nothing that the file says before it has checked it against the file's
// size and against what a Writer writes, so that its memory is bounded by about 300 MiB for any
// bytes at all, and by one row group (some 20 MiB) for a pack. It does not compare bodies with their
// digests: that is the caller's.
//
// Errors of the io.ReaderAt come back wrapped; they say nothing about the pack. All
// others wrap ErrForeign, ErrDamaged or ErrNotFound.
type Reader struct {
	tail   *tail // as Open left it; never changed
	footer *footer
	zstd   *zstd.Decoder
}

// Open reads the end of a pack of that size: one read of 64 KiB and a 128th of the file (at most 1 MiB) holds
// everything but the rows of an ordinary pack. A larger footer takes one or two more.
func Open(r io.ReaderAt, size int64) (_ *Reader, err error) {
	defer guard("open pack", &err)
	n := min(size, min(size/tailShare+tailBytes, 1<<20))
	if n < 12 {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrForeign, size)
	}
	t := &tail{r: r, size: size, from: size - n, b: make([]byte, n)}
	if err := readFull(r, t.b, t.from); err != nil {
		return nil, err
	}
	f, err := readFooter(t)
	if err != nil {
		return nil, err
	}
	least := size
	for i := range f.groups {
		for j := range f.groups[i].chunks {
			least = min(least, f.groups[i].chunks[j].index.at)
		}
	}
	if _, err := t.get(least, 0); err != nil { // all indexes at once
		return nil, err
	}
	z, err := newZstd()
	if err != nil {
		return nil, err
	}
	return &Reader{tail: t, footer: f, zstd: z}, nil
}

// Log is the name of the log whose records these are.
func (r *Reader) Log() string { return r.footer.log }

// Summary is which rows the pack has, as its footer says.
func (r *Reader) Summary() Summary {
	g := r.footer.groups
	return Summary{First: g[0].first, Last: g[len(g)-1].last, Count: r.footer.rows}
}

// Rows yields all rows in order. It holds one row group without its bodies, and the bodies of one read (1 MiB, or one body) at
// a time. It ends after an error.
func (r *Reader) Rows(ctx context.Context) iter.Seq2[Row, error] { return r.all(ctx, true, whole) }

// Heads yields all rows in order without their bodies, which it does not read.
func (r *Reader) Heads(ctx context.Context) iter.Seq2[Row, error] { return r.all(ctx, false, whole) }

// Brief yields all rows in order without their Fields, and with their bodies or without. A body is good until the next row is asked for.
func (r *Reader) Brief(ctx context.Context, bodies bool) iter.Seq2[Row, error] {
	return r.all(ctx, bodies, brief)
}

// Proven is Brief without decoding the columns of the Fields, of which no leaf is made: their pages are compared with their checksums only.
// It is for a file whose digest its caller compares with a signed one. Of any other, Brief tells more: that whoever made the
// checksums also made pages that can be read.
func (r *Reader) Proven(ctx context.Context, bodies bool) iter.Seq2[Row, error] {
	return r.all(ctx, bodies, proven)
}

// depth is how much of the columns is read.
type depth int

const (
	whole  depth = iota // all
	brief               // all are decoded, and rows are put together without their Fields
	proven              // those of the Fields are not even decoded
)

func (r *Reader) all(ctx context.Context, bodies bool, how depth) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var kept room
		for i := range r.footer.groups {
			if ctx.Err() != nil {
				yield(Row{}, ctx.Err())
				return
			}
			g, err := r.openGroup(&r.footer.groups[i], bodies, how)
			if err == nil && bodies && how != whole {
				g.body.room = &kept
			}
			for j := 0; err == nil && j < int(g.heads.g.rows); j++ {
				var row Row
				if row, err = g.row(j); err != nil {
					break
				}
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(Row{}, fmt.Errorf("read pack: %w", err))
				return
			}
		}
	}
}

// Seq is the row of that number, by two reads: the row group's columns, and the page of the body.
func (r *Reader) Seq(seq record.Seq) (_ Row, err error) {
	defer guard("read pack", &err)
	for i := range r.footer.groups {
		g := &r.footer.groups[i]
		if seq < g.first || seq > g.last {
			continue
		}
		o, err := r.openGroup(g, true, whole)
		if err != nil {
			return Row{}, err
		}
		for j, word := range o.heads.cols[columnSeq].words {
			if record.Seq(word) == seq {
				return o.row(j)
			}
		}
	}
	return Row{}, fmt.Errorf("record %d: %w", seq, ErrNotFound)
}

// openGroup is one row group being read, front to back.
type openGroup struct {
	r     *Reader
	heads *heads
	body  *bodies // nil: they are not read
}

func (r *Reader) openGroup(g *group, withBodies bool, how depth) (_ *openGroup, err error) {
	defer guard("", &err)
	h, err := r.heads(g, how)
	if err != nil {
		return nil, damaged(err)
	}
	o := &openGroup{r: r, heads: h}
	if withBodies {
		if o.body, err = r.bodies(g); err != nil {
			return nil, damaged(fmt.Errorf("column body: %w", err))
		}
	}
	return o, nil
}

// row is a row of the group with its body.
func (o *openGroup) row(i int) (_ Row, err error) {
	defer guard("", &err)
	row, err := o.heads.row(i)
	if err != nil {
		return Row{}, damaged(fmt.Errorf("row %d of a row group: %w", i, err))
	}
	if o.body == nil {
		row.Body = nil
		return row, nil
	}
	if row.Body, err = o.body.at(i); err != nil {
		return Row{}, damaged(fmt.Errorf("body of record %d: %w", row.Info.Seq, err))
	}
	if row.Object == "" && int64(len(row.Body)) != row.Info.Size {
		return Row{}, damaged(fmt.Errorf("body of record %d has %d bytes, not %d", row.Info.Seq, len(row.Body), row.Info.Size))
	}
	return row, nil
}

// pages are where a chunk's pages lie. The tail holds all indexes.
func (r *Reader) pages(c *chunk, rows int64) ([]format.PageLocation, error) {
	if c.index.at < r.tail.from {
		return nil, errOutside
	}
	return r.tail.pages(c, rows)
}

// damaged marks an error as one of the bytes, unless it is one of the reader.
func damaged(err error) error {
	if failed := (*ioError)(nil); err == nil || errors.As(err, &failed) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrForeign) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// guard turns a panic, the library's or our own, into an error: bytes that nobody foresaw are
// damage and no crash.
func guard(op string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: reading it panicked: %v", ErrDamaged, p)
	}
	if *err != nil {
		if *err = damaged(*err); op != "" && !errors.Is(*err, ErrNotFound) {
			*err = fmt.Errorf("%s: %w", op, *err)
		}
	}
}
