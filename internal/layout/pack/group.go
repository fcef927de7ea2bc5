package pack

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/parquet-go/parquet-go/format"

	"indelible/internal/record"
)

// Bounds of what is read and made of one row group besides its bodies.
const (
	maxRegion  = 64 << 20
	maxInflate = 64 << 20
)

// column is a decoded column of one row group: for each row where its value is.
type column struct {
	leaf  *leaf
	texts [][]byte
	words []int64
	rows  []int32   // of each row the index of its value, -1 for null; nil: all rows have one
	lists [][]int32 // of a list: of each row first and behind last value; nil: null
	lent  bool      // no Row has the texts as they are: they need not be copied
	last  string    // the text of the row before, which often is this one's as well
}

// heads are the columns of one row group but the body. It is for one goroutine.
type heads struct {
	g      *group
	r      *Reader
	plan   *plan
	region []byte // of the file: all columns but the body, which lie side by side before it
	d      decoder
	cols   []column
	have   []bool // which of cols were decoded
	one    columns
	into   []any // of each column where in one its value goes; nil: nobody asks for it
}

// heads reads all columns but the body: one read.
func (r *Reader) heads(g *group, how depth) (*heads, error) {
	h, err := r.undecoded(g)
	if err != nil {
		return nil, err
	}
	for i := range h.cols { // all of them: a page that is damaged is damage, whether anybody asks for it or not
		check := h.decode
		if how == proven && !inBrief(h.plan.leaves[i].name) {
			check = h.checkSums
		}
		if err := check(i); err != nil {
			return nil, err
		}
	}
	h.into = h.wanted(func(name string) bool { return how == whole || inBrief(name) })
	return h, h.checkSeqs()
}

// undecoded reads the columns of a row group, and decodes none.
func (r *Reader) undecoded(g *group) (*heads, error) {
	body := len(g.chunks) - 1
	from, to := g.chunks[0].from, g.chunks[body].from
	if to-from > maxRegion {
		return nil, fmt.Errorf("columns of %d bytes", to-from)
	}
	p, err := planOf()
	if err != nil {
		return nil, err
	}
	h := &heads{g: g, r: r, plan: p, region: make([]byte, to-from), d: decoder{zstd: r.zstd, budget: maxInflate}, cols: make([]column, body), have: make([]bool, body)}
	return h, readFull(r.tail.r, h.region, from)
}

// decode decodes a column, unless it was.
func (h *heads) decode(i int) error {
	if h.have[i] {
		return nil
	}
	c := &h.g.chunks[i]
	pages, err := h.r.pages(c, h.g.rows)
	if err == nil {
		from := h.g.chunks[0].from
		h.cols[i], err = h.d.column(&h.plan.leaves[i], c, pages, h.region[c.from-from:c.to-from], h.g.rows)
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", h.plan.leaves[i].name, err)
	}
	h.cols[i].lent = slices.Contains(lentColumns[:], h.plan.leaves[i].name)
	h.have[i] = true
	return nil
}

// checkSums compares the pages of a column with their checksums, in place of decoding it.
func (h *heads) checkSums(i int) error {
	c := &h.g.chunks[i]
	pages, err := h.r.pages(c, h.g.rows)
	if err == nil {
		from := h.g.chunks[0].from
		err = checkSums(c, pages, h.region[c.from-from:c.to-from])
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", h.plan.leaves[i].name, err)
	}
	return nil
}

// decodeAll decodes the columns that rows are put together from.
func (h *heads) decodeAll(into []any) error {
	for i := range into {
		if into[i] == nil {
			continue
		}
		if err := h.decode(i); err != nil {
			return err
		}
	}
	return nil
}

// wanted is where the values of columns of these names go, as heads.into has it.
func (h *heads) wanted(name func(string) bool) []any {
	into := make([]any, len(h.cols))
	one := reflect.ValueOf(&h.one).Elem() // here, and not for each row, because it takes longer than the values
	for i := range into {
		if name(h.plan.leaves[i].name) {
			into[i] = one.Field(i).Addr().Interface()
		}
	}
	return into
}

// checkSeqs compares the numbers with what the footer, which has no checksum, says of them.
func (h *heads) checkSeqs() error {
	seqs := h.cols[columnSeq].words
	if record.Seq(seqs[0]) != h.g.first || record.Seq(seqs[len(seqs)-1]) != h.g.last {
		return fmt.Errorf("rows %d to %d, and the footer says %d to %d", seqs[0], seqs[len(seqs)-1], h.g.first, h.g.last)
	}
	for i := range seqs[1:] {
		if seqs[i+1] <= seqs[i] {
			return fmt.Errorf("row %d comes after row %d", seqs[i+1], seqs[i])
		}
	}
	return nil
}

// column decodes a whole column chunk, which b is.
func (d *decoder) column(l *leaf, c *chunk, pages []format.PageLocation, b []byte, rows int64) (column, error) {
	dict, err := d.dictOf(c, b)
	if err != nil {
		return column{}, err
	}
	col := column{leaf: l}
	for i, at := range pages {
		p, err := d.page(l, b[at.Offset-c.from:][:at.CompressedPageSize], dict)
		if err != nil {
			return column{}, fmt.Errorf("page %d: %w", i, err)
		}
		last := rows
		if i+1 < len(pages) {
			last = pages[i+1].FirstRowIndex
		}
		if n := col.append(p); int64(n) != last-at.FirstRowIndex {
			return column{}, fmt.Errorf("page %d has %d rows, not %d", i, n, last-at.FirstRowIndex)
		}
	}
	return col, nil
}

// checkSums compares the pages of a column chunk, which b is, with their checksums.
func checkSums(c *chunk, pages []format.PageLocation, b []byte) error {
	if c.data > c.from {
		if err := checkSum(b[:c.data-c.from]); err != nil {
			return err
		}
	}
	for i, at := range pages {
		if err := checkSum(b[at.Offset-c.from:][:at.CompressedPageSize]); err != nil {
			return fmt.Errorf("page %d: %w", i, err)
		}
	}
	return nil
}

// dictOf is the dictionary that a chunk begins with, if it does.
func (d *decoder) dictOf(c *chunk, b []byte) ([][]byte, error) {
	if c.data == c.from {
		return nil, nil
	}
	return d.dictionary(b[:c.data-c.from])
}

// append adds a page's values and returns how many rows it has.
func (c *column) append(p *page) int {
	base := int32(max(len(c.texts), len(c.words)))
	c.texts, c.words = append(c.texts, p.texts...), append(c.words, p.words...)
	l := c.leaf
	switch {
	case l.maxRep > 0:
		n := len(c.lists)
		for i, def := range p.defs {
			if p.reps[i] == 0 || len(c.lists) == n {
				c.lists = append(c.lists, nil)
				if def > 0 {
					c.lists[len(c.lists)-1] = []int32{base, base}
				}
			}
			if int(def) == l.maxDef {
				base++
				if list := c.lists[len(c.lists)-1]; list != nil {
					list[1] = base
				}
			}
		}
		return len(c.lists) - n
	case l.maxDef > 0:
		for _, def := range p.defs {
			if def == 0 {
				c.rows = append(c.rows, -1)
			} else {
				c.rows = append(c.rows, base)
				base++
			}
		}
		return len(p.defs)
	}
	return max(len(p.texts), len(p.words))
}

// at is the index of a row's value, or -1.
func (c *column) at(row int) int {
	if c.rows == nil {
		return row
	}
	return int(c.rows[row])
}

// briefColumns are what a row is made of without its Fields.
var briefColumns = [...]string{"seq", "time_ns", "door", "source", "bucket", ColumnKey, "sent_key", "size", "sha256", "attrs_sha256", "headers", "extra"}

func inBrief(name string) bool { return slices.Contains(briefColumns[:], name) }

// row puts one row together, without its body.
func (h *heads) row(i int) (Row, error) {
	h.fill(i, h.into)
	return h.one.row()
}

// part is a row of some columns alone.
func (h *heads) part(i int, into []any) Row {
	h.fill(i, into)
	return h.one.part()
}

// fill sets one to the values of a row.
func (h *heads) fill(i int, into []any) {
	h.one = columns{}
	for j := range into {
		col := &h.cols[j]
		switch to := into[j].(type) {
		case nil:
		case *[]string:
			if list := col.lists[i]; list != nil {
				*to = make([]string, 0, list[1]-list[0])
				for _, s := range col.texts[list[0]:list[1]] {
					*to = append(*to, string(s))
				}
			}
		default:
			if at := col.at(i); at >= 0 {
				col.set(to, at)
			}
		}
	}
}

// set puts a value where a field of columns is.
func (c *column) set(field any, at int) {
	switch p := field.(type) {
	case *string:
		*p = c.text(at)
	case **string:
		s := c.text(at)
		*p = &s
	case *int64:
		*p = c.words[at]
	case **int64:
		*p = &[]int64{c.words[at]}[0]
	case *time.Time:
		*p = time.UnixMicro(c.words[at]).UTC()
	case **time.Time:
		t := time.UnixMicro(c.words[at]).UTC()
		*p = &t
	case **bool:
		b := c.words[at] != 0
		*p = &b
	case **float64:
		f := math.Float64frombits(uint64(c.words[at]))
		*p = &f
	}
}

// lentColumns are read for what they say, when the row is put together.
var lentColumns = [...]string{"sha256", "attrs_sha256", "headers", "extra"}

// text is a text that a Row may keep, unless the column is lent.
func (c *column) text(at int) string {
	b := c.texts[at]
	if c.lent {
		return unsafe.String(unsafe.SliceData(b), len(b))
	}
	if string(b) != c.last {
		c.last = string(b)
	}
	return c.last
}
