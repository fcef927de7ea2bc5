package pack

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/format"
)

// Find yields the rows whose column, one of the Column constants, has a value: every row group that its bloom
// filter does not rule out is read (one read of its columns, one of each body found). It ends after
// an error; no row is no error. A text in a column is at most fields.MaxText bytes long, and U+FFFD stands for what is no UTF-8.
func (r *Reader) Find(ctx context.Context, name, value string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		p, err := planOf()
		at := -1
		if err == nil {
			at = slices.IndexFunc(p.leaves, func(l leaf) bool { return l.name == name && slices.Contains(bloomColumns[:], name) })
		}
		if at < 0 {
			yield(Row{}, fmt.Errorf("find in pack: no lookup by %q (%v); it is by %v", name, err, bloomColumns))
			return
		}
		may, err := r.filters(at, value)
		for i := 0; err == nil && i < len(may); i++ {
			if !may[i] {
				continue
			}
			if err = ctx.Err(); err != nil {
				break
			}
			var o *openGroup
			if o, err = r.openGroup(&r.footer.groups[i], true, whole); err != nil {
				break
			}
			for j := 0; j < int(o.heads.g.rows); j++ {
				col := &o.heads.cols[at]
				if k := col.at(j); k < 0 || string(col.texts[k]) != value {
					continue
				}
				var row Row
				if row, err = o.row(j); err != nil {
					break
				}
				if !yield(row, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(Row{}, fmt.Errorf("find in pack: %w", err))
		}
	}
}

// filters says of each row group whether it may have the value in the column.
func (r *Reader) filters(at int, value string) (may []bool, err error) {
	defer guard("", &err)
	// The filters lie side by side. Where Open's read did not reach them, one read gets them all; r.tail
	// itself stays as it is, for other goroutines.
	t := *r.tail
	least := t.size
	for i := range r.footer.groups {
		if b := r.footer.groups[i].chunks[at].bloom; b.n > 0 {
			least = min(least, b.at)
		}
	}
	if least < t.size {
		if _, err := t.get(least, 0); err != nil {
			return nil, err
		}
	}
	hash := xxhash.Sum64([]byte(value))
	for i := range r.footer.groups {
		ok, err := t.mayHave(r.footer.groups[i].chunks[at].bloom, hash)
		if err != nil {
			return nil, fmt.Errorf("bloom filter of row group %d: %w", i, err)
		}
		may = append(may, ok)
	}
	return may, nil
}

// mayHave asks one filter. Where there is none, there may be the value.
func (t *tail) mayHave(s span, hash uint64) (bool, error) {
	if s.n == 0 {
		return true, nil
	}
	b, err := t.get(s.at, s.n)
	if err != nil {
		return false, err
	}
	var h format.BloomFilterHeader
	n, err := decode(b, &h)
	if err != nil {
		return false, err
	}
	if b = b[n:]; int(h.NumBytes) != len(b) || len(b) == 0 || len(b)%bloom.BlockSize != 0 {
		return false, fmt.Errorf("%d bytes in %d", h.NumBytes, len(b))
	}
	return bloom.CheckSplitBlock(bytes.NewReader(b), int64(len(b)), hash)
}

// Keys is between which texts the column key lies, as the footer says; ok is false if it does not say. Of a key that is
// no UTF-8 it is about the text with U+FFFD.
func (r *Reader) Keys() (least, most string, ok bool) {
	p, err := planOf()
	if err != nil {
		return "", "", false
	}
	at := slices.IndexFunc(p.leaves, func(l leaf) bool { return l.name == ColumnKey })
	for i := range r.footer.groups {
		c := &r.footer.groups[i].chunks[at]
		if !c.haveBounds {
			return "", "", false
		}
		if lo := string(c.min); i == 0 || lo < least {
			least = lo
		}
		most = max(most, string(c.max))
	}
	return least, most, true
}
