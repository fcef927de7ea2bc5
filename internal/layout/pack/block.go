package pack

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"indelible/internal/record"
)

// Blocks is how many row groups the pack has, in the order of seq.
func (r *Reader) Blocks() int { return len(r.footer.groups) }

// Span is between which numbers the rows of block i lie.
func (r *Reader) Span(i int) (first, last record.Seq) {
	return r.footer.groups[i].first, r.footer.groups[i].last
}

// Times is between which times the records of block i arrived, to the microsecond, as the footer says; ok is false if it does not say.
func (r *Reader) Times(i int) (first, last time.Time, ok bool) {
	c := &r.footer.groups[i].chunks[columnTime]
	if !c.haveBounds || len(c.min) != 8 || len(c.max) != 8 {
		return first, last, false
	}
	at := func(b []byte) time.Time { return time.UnixMicro(int64(binary.LittleEndian.Uint64(b))).UTC() }
	return at(c.min), at(c.max), true
}

// Block is a row group whose columns are decoded when they are asked for, and its bodies page by page. It is for one goroutine.
// It holds some 20 MiB at most for any pack of ours, and keeps what was decoded.
type Block struct {
	r     *Reader
	heads *heads
	body  *bodies
	some  []any // what Only asked for, as heads.into
}

// Block reads the columns of block i, without the bodies: one read.
func (r *Reader) Block(i int) (_ *Block, err error) {
	defer guard("read pack", &err)
	g := &r.footer.groups[i]
	h, err := r.undecoded(g)
	if err == nil {
		err = h.decode(columnSeq)
	}
	if err == nil {
		err = h.checkSeqs()
	}
	if err != nil {
		return nil, err
	}
	h.into = h.wanted(func(string) bool { return true })
	return &Block{r: r, heads: h}, nil
}

// Len is how many rows the block has.
func (b *Block) Len() int { return int(b.heads.g.rows) }

// Seq is the number of row j.
func (b *Block) Seq(j int) record.Seq { return record.Seq(b.heads.cols[columnSeq].words[j]) }

// Column decodes a column by its name in the file, which is not the body.
func (b *Block) Column(name string) (_ Column, err error) {
	defer guard("read pack", &err)
	at := b.heads.plan.at(name)
	if at < 0 || at >= len(b.heads.cols) {
		return Column{}, fmt.Errorf("no column %q", name)
	}
	if err := b.heads.decode(at); err != nil {
		return Column{}, err
	}
	return Column{&b.heads.cols[at]}, nil
}

// Row is row j without its body.
func (b *Block) Row(j int) (_ Row, err error) {
	defer guard("read pack", &err)
	if err := b.heads.decodeAll(b.heads.into); err != nil {
		return Row{}, err
	}
	row, err := b.heads.row(j)
	if err != nil {
		return Row{}, fmt.Errorf("row %d of a row group: %w", j, err)
	}
	return row, nil
}

// Only has Part put rows together from these columns and from seq, time_ns and size.
func (b *Block) Only(names []string) {
	b.some = b.heads.wanted(func(name string) bool {
		return name == "seq" || name == "time_ns" || name == "size" || slices.Contains(names, name)
	})
}

// Part is row j of the columns that Only named; all else in it is zero. It tells texts as the columns have them, and not what
// the column extra says of them.
func (b *Block) Part(j int) (_ Row, err error) {
	defer guard("read pack", &err)
	if err := b.heads.decodeAll(b.some); err != nil {
		return Row{}, err
	}
	return b.heads.part(j, b.some), nil
}

// Body is the body of row j, nil if the row holds none. It is not compared with its digest. Nobody may change it.
func (b *Block) Body(j int) (_ []byte, err error) {
	defer guard("read pack", &err)
	if b.body == nil {
		if b.body, err = b.r.bodies(b.heads.g); err != nil {
			return nil, fmt.Errorf("column body: %w", err)
		}
	}
	return b.body.at(j)
}

// Done forgets the columns, and what was given of them as bytes: nothing but Body may be called then.
func (b *Block) Done() {
	b.heads.region, b.heads.cols, b.heads.into, b.some = nil, nil, nil, nil
}

// Column is a decoded column of a Block.
type Column struct{ c *column }

// Text is the text of row j of a column of texts; ok is false where it has none. It is good as long as the Block, and nobody may change it.
func (c Column) Text(j int) (text []byte, ok bool) {
	at := c.c.at(j)
	if at < 0 || at >= len(c.c.texts) {
		return nil, false
	}
	return c.c.texts[at], true
}

// Int is the value of row j of a column of integers, times (microseconds) or truth values.
func (c Column) Int(j int) (n int64, ok bool) {
	at := c.c.at(j)
	if at < 0 || at >= len(c.c.words) {
		return 0, false
	}
	return c.c.words[at], true
}

// Float is the value of row j of a column of such numbers.
func (c Column) Float(j int) (f float64, ok bool) {
	n, ok := c.Int(j)
	return math.Float64frombits(uint64(n)), ok
}

// List is the texts of row j of a column of lists.
func (c Column) List(j int) (texts []string) {
	if c.c.lists == nil || c.c.lists[j] == nil {
		return nil
	}
	for _, s := range c.c.texts[c.c.lists[j][0]:c.c.lists[j][1]] {
		texts = append(texts, string(s))
	}
	return texts
}
