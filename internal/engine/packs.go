package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/upload"
)

// PacksDir is where packs are built, in the data directory.
const PacksDir = "packs"

// packedFile says that records were packed here once. It outlives PacksDir: packs that are not released yet are then
// finished, and those in the store are read, whatever the layout is now.
const packedFile = "packed"

// Packs says whether records are delivered in packs, and when one is closed. Zero values mean upload.Packing's.
type Packs struct {
	On         bool
	MaxBytes   int64
	MaxRecords int
	MaxAge     time.Duration
	// FastAfter is how long the first record of a pack has waited if the pack is compressed at FastLevel: processors are what a backlog
	// waits for. 0: no pack is.
	FastAfter time.Duration
}

// FastLevel is the zstd level for a backlog. docs/format/pack.md says what it costs and saves.
const FastLevel = 1

// openPacks opens the directory in which packs are built; nil if records are delivered as objects
// and none was ever packed here.
func (e *Engine) openPacks() (*upload.Packing, error) {
	o := e.opts.Packs
	dir := filepath.Join(e.opts.Dir, PacksDir)
	_, err := os.Stat(dir)
	_, merr := os.Stat(filepath.Join(e.opts.Dir, packedFile))
	known := merr == nil
	if !o.On && !known && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if !known {
		// Before the first pack is built. One that has a directory already is delivered all the same.
		merr = replace(e.data, packedFile, []byte("records were packed here\n"))
		switch {
		case merr != nil && err != nil:
			return nil, fmt.Errorf("write %s: %w", packedFile, merr)
		case merr != nil:
			e.log.Warn("the file that says that records were packed here could not be written", "file", packedFile, "error", merr)
		}
	}
	if err := MakeDir(dir); err != nil {
		return nil, fmt.Errorf("make the directory of packs: %w", err)
	}
	fsys, err := osdisk.Open(dir)
	if err != nil {
		return nil, err
	}
	e.later(fsys.Close)
	return &upload.Packing{
		Dir: fsys, Format: packFormat{e.dest.Layout, o.FastAfter}, Names: e.dest.Layout, Finish: !o.On,
		MaxBytes: o.MaxBytes, MaxRecords: o.MaxRecords, MaxAge: o.MaxAge,
	}, nil
}

// packFormat writes packs in the form of layout/pack.
type packFormat struct {
	objects   layout.Objects
	fastAfter time.Duration // Packs.FastAfter
}

var (
	_ upload.PackFormat = packFormat{}
	_ proof.Packs       = PackReader{}
	_ upload.PackLedger = (*ledger)(nil)
)

// New is upload.PackFormat's.
func (f packFormat) New(w io.Writer, log string) (upload.PackWriter, error) {
	return &packWriter{format: f, out: w, log: log}, nil
}

// Rows is upload.PackFormat's. It reads all columns: a file of which nothing else vouches may be taken for a pack.
func (packFormat) Rows(ctx context.Context, file io.ReaderAt, size int64, bodies bool) iter.Seq2[upload.PackRow, error] {
	return func(yield func(upload.PackRow, error) bool) {
		for r, err := range packRows(ctx, file, size, bodies, (*pack.Reader).Brief) {
			if !yield(upload.PackRow{Row: record.Row{Info: r.Info, Object: r.Object}, Body: bodyOf(&r, bodies)}, err) {
				return
			}
		}
	}
}

// packWriter is one pack of packFormat.
type packWriter struct {
	format packFormat
	out    io.Writer
	log    string
	w      *pack.Writer // nil before the first row, which decides about the level
}

// Add is upload.PackWriter's.
func (w *packWriter) Add(row record.Row, body []byte) error {
	r := pack.Row{Info: row.Info, Key: w.format.objects.Key(row.Bucket, row.Key), Attrs: proof.RowAttrs(row.Attrs), Body: body, Object: row.Object}
	if row.Object != "" { // the body is looked into, and lies elsewhere
		r.Fields, r.Records = pack.Inside(body)
		r.Body = nil
	}
	if w.w == nil {
		var err error
		if w.w, err = pack.NewWriter(w.out, pack.Options{Log: w.log, Level: w.format.level(row.Time)}); err != nil {
			return err
		}
	}
	return w.w.Add(&r)
}

// level is the zstd level of a pack whose first record arrived at that time; 0 is the usual one.
func (f packFormat) level(first time.Time) int {
	if f.fastAfter > 0 && time.Since(first) >= f.fastAfter {
		return FastLevel
	}
	return 0
}

// Size is upload.PackWriter's.
func (w *packWriter) Size() int64 {
	if w.w == nil {
		return 0
	}
	return w.w.Progress().Compressed
}

// Close is upload.PackWriter's.
func (w *packWriter) Close() error {
	if w.w == nil {
		return errors.New("close pack: it has no row")
	}
	_, err := w.w.Close()
	return err
}

// PackReader reads packs in the form of layout/pack, for verification.
type PackReader struct{}

// Rows is proof.Packs's. Columns of which no leaf is made are not decoded: package proof compares the digest of the whole file with
// the leaf, and a file that has another is reported whatever its rows are.
func (PackReader) Rows(ctx context.Context, file io.ReaderAt, size int64, bodies bool) iter.Seq2[proof.PackRow, error] {
	return func(yield func(proof.PackRow, error) bool) {
		for r, err := range packRows(ctx, file, size, bodies, (*pack.Reader).Proven) {
			if !yield(proof.PackRow{Row: record.Row{Info: r.Info, Object: r.Object}, Body: bodyOf(&r, bodies)}, err) {
				return
			}
		}
	}
}

func packRows(ctx context.Context, file io.ReaderAt, size int64, bodies bool, rows func(*pack.Reader, context.Context, bool) iter.Seq2[pack.Row, error]) iter.Seq2[pack.Row, error] {
	return func(yield func(pack.Row, error) bool) {
		r, err := pack.Open(file, size)
		if err != nil {
			yield(pack.Row{}, err)
			return
		}
		for row, err := range rows(r, ctx, bodies) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// bodyOf is the body of a row, if it was asked for and is in the row.
func bodyOf(r *pack.Row, bodies bool) io.Reader {
	if !bodies || r.Object != "" {
		return nil
	}
	return bytes.NewReader(r.Body)
}
