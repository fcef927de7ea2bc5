package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Rows yields the rows of the pack under a stored key, in the order of their seqs, or the newest first if back is set.
// Each body was compared with its digest. Entries of a walk back can be opened until the next one is asked for: their
// bodies wait in a temporary file.
func (r *Reader) Rows(ctx context.Context, stored, version string, back bool) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		if err := r.rows(ctx, stored, version, back, yield); err != nil {
			yield(record.Entry{}, err)
		}
	}
}

func (r *Reader) rows(ctx context.Context, stored, version string, back bool, yield func(record.Entry, error) bool) (err error) {
	packs := r.packs
	if packs == nil { // a log that has packs of an earlier setting
		packs = newPacks(r.pending, r.store, r.layout)
	}
	obj, err := r.store.Head(ctx, stored, store.GetOptions{Version: version})
	if err != nil {
		return err
	}
	n := packName{key: stored, size: obj.Size, version: obj.Version}
	p, err := packs.reader(ctx, n)
	if err != nil {
		return err
	}
	var kept *rowFile
	if back {
		if kept, err = newRowFile(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.close()) }()
	}
	for row, err := range p.Rows(ctx) {
		if err != nil {
			return fmt.Errorf("read the pack %s: %w", stored, err)
		}
		e := packs.entry(n, &row)
		if kept == nil {
			if !yield(e, nil) {
				return nil
			}
		} else if err := kept.add(e, row.Object != ""); err != nil {
			return err
		}
	}
	if kept != nil {
		kept.back(yield)
	}
	return nil
}

// rowFile keeps rows on the disk to be read in the other order.
type rowFile struct {
	file *os.File
	size int64
	rows []keptRow
}

type keptRow struct {
	entry record.Entry
	at    int64 // of its body in the file; -1: it is not there
}

func newRowFile() (*rowFile, error) {
	f, err := os.CreateTemp("", "indelible-rows-")
	return &rowFile{file: f}, err
}

func (k *rowFile) close() error { return errors.Join(k.file.Close(), os.Remove(k.file.Name())) }

// add keeps a row, with its body if that is in the pack.
func (k *rowFile) add(e record.Entry, elsewhere bool) error {
	row := keptRow{e, -1}
	if !elsewhere {
		body, err := e.Open()
		if err != nil {
			return err
		}
		n, err := io.Copy(k.file, body)
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
		row.at, row.entry.Open = k.size, nil
		k.size += n
	}
	k.rows = append(k.rows, row)
	return nil
}

// back yields the rows, the last one first.
func (k *rowFile) back(yield func(record.Entry, error) bool) {
	for i := len(k.rows) - 1; i >= 0; i-- {
		row := k.rows[i]
		if row.at >= 0 {
			row.entry.Open = func() (io.ReadSeekCloser, error) {
				return fileBody{io.NewSectionReader(k.file, row.at, row.entry.Size)}, nil
			}
		}
		if !yield(row.entry, nil) {
			return
		}
	}
}

// fileBody is a body in a rowFile.
type fileBody struct{ *io.SectionReader }

// Close is io.Closer's.
func (fileBody) Close() error { return nil }
