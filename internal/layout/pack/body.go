package pack

import (
	"fmt"
	"sort"

	"github.com/parquet-go/parquet-go/format"
)

// readAhead is how many bytes of bodies, as they are stored, are read at once where rows are read one
// after the other.
const readAhead = 1 << 20

// bodies reads the bodies of one row group, page by page.
type bodies struct {
	r     *Reader
	leaf  *leaf
	c     *chunk
	rows  int64
	pages []format.PageLocation

	buf  []byte // of the file, from from on
	from int64
	last int // the page that col holds, -1 for none
	col  column
	room *room // bodies lie in it until the next one is asked for; nil: each page has its own
}

// room is memory that is used again from one page to the next.
type room struct{ file, page []byte }

// sized is n bytes at *b, which are new ones where it is shorter.
func sized(b *[]byte, n int64) []byte {
	if int64(cap(*b)) < n {
		*b = make([]byte, n)
	}
	return (*b)[:n:n]
}

func (r *Reader) bodies(g *group) (*bodies, error) {
	p, err := planOf()
	if err != nil {
		return nil, err
	}
	last := len(g.chunks) - 1
	b := &bodies{r: r, leaf: &p.leaves[last], c: &g.chunks[last], rows: g.rows, last: -1}
	b.pages, err = r.pages(b.c, g.rows)
	if err == nil && b.c.data != b.c.from {
		err = fmt.Errorf("a dictionary")
	}
	return b, err
}

// at is the body of a row, nil if it has none. The caller owns it, unless there is a room.
func (b *bodies) at(row int) ([]byte, error) {
	i := sort.Search(len(b.pages), func(i int) bool { return b.pages[i].FirstRowIndex > int64(row) }) - 1
	if i != b.last {
		if err := b.load(i); err != nil {
			return nil, err
		}
	}
	if at := b.col.at(row - int(b.pages[i].FirstRowIndex)); at >= 0 {
		return b.col.texts[at], nil
	}
	return nil, nil
}

// load decodes page i. The page behind the one before is read ahead; for any other, it alone.
func (b *bodies) load(i int) error {
	p := b.pages[i]
	at, n := p.Offset, int64(p.CompressedPageSize)
	if n > maxPage+1<<10 {
		return fmt.Errorf("page of %d bytes", n)
	}
	if at < b.from || at+n > b.from+int64(len(b.buf)) {
		want := n
		if i == b.last+1 && b.last >= 0 {
			want = max(n, min(readAhead, b.c.to-at))
		}
		if b.room != nil {
			b.buf = sized(&b.room.file, want)
		} else {
			b.buf = make([]byte, want)
		}
		b.from = at
		if err := readFull(b.r.tail.r, b.buf, at); err != nil {
			return err
		}
	}
	d := &decoder{zstd: b.r.zstd, budget: maxPage, room: b.room}
	one, err := d.page(b.leaf, b.buf[at-b.from:][:n], nil)
	if err != nil {
		return fmt.Errorf("page %d: %w", i, err)
	}
	last := b.rows
	if i+1 < len(b.pages) {
		last = b.pages[i+1].FirstRowIndex
	}
	col := column{leaf: b.leaf}
	if n := col.append(one); int64(n) != last-p.FirstRowIndex {
		return fmt.Errorf("page %d has %d rows, not %d", i, n, last-p.FirstRowIndex)
	}
	b.col, b.last = col, i
	return nil
}
