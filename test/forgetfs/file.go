package main

import "math/rand/v2"

const (
	pageSize   = 4096
	sectorSize = 512 // what a disk writes whole
)

// image is a file's content: pages that are missing are zeros.
type image struct {
	size  int64
	pages map[int64]*[pageSize]byte
}

func newImage() image { return image{pages: map[int64]*[pageSize]byte{}} }

func (m *image) clone() image {
	c := image{m.size, make(map[int64]*[pageSize]byte, len(m.pages))}
	for i, p := range m.pages {
		q := *p
		c.pages[i] = &q
	}
	return c
}

// page is a copy of a page, nil for zeros.
func (m *image) page(i int64) *[pageSize]byte {
	p := m.pages[i]
	if p == nil {
		return nil
	}
	q := *p
	return &q
}

func (m *image) set(i int64, p *[pageSize]byte) {
	if p == nil {
		delete(m.pages, i)
		return
	}
	m.pages[i] = p
}

// content is a file as the processes see it, and as the disk would have it
// after a power cut. The caller holds the file system's lock.
type content struct {
	now  image
	disk image

	// What has changed since it was last synced, and in which change of the file.
	change  uint64
	dirty   map[int64]uint64 // page → its last change
	resized uint64           // the last change of the size; 0: none unsynced
	// Which change of a page and of the size the disk has.
	written     map[int64]uint64
	writtenSize uint64
}

func newContent() *content {
	return &content{now: newImage(), disk: newImage(), dirty: map[int64]uint64{}, written: map[int64]uint64{}}
}

func (c *content) readAt(buf []byte, off int64) int {
	n := 0
	for n < len(buf) && off < c.now.size {
		in := int(off % pageSize)
		part := min(int64(pageSize-in), c.now.size-off, int64(len(buf)-n))
		if p := c.now.pages[off/pageSize]; p != nil {
			copy(buf[n:n+int(part)], p[in:])
		} else {
			clear(buf[n : n+int(part)])
		}
		n, off = n+int(part), off+part
	}
	return n
}

func (c *content) writeAt(data []byte, off int64) {
	c.change++
	for len(data) > 0 {
		i, in := off/pageSize, int(off%pageSize)
		p := c.now.pages[i]
		if p == nil {
			p = new([pageSize]byte)
			c.now.pages[i] = p
		}
		n := copy(p[in:], data)
		c.dirty[i] = c.change
		data, off = data[n:], off+int64(n)
	}
	if off > c.now.size {
		c.now.size, c.resized = off, c.change
	}
}

func (c *content) truncate(size int64) {
	if size == c.now.size {
		return
	}
	c.change++
	for i, p := range c.now.pages {
		switch start := i * pageSize; {
		case start >= size:
			delete(c.now.pages, i)
			c.dirty[i] = c.change
		case start+pageSize > size:
			clear(p[size-start:])
			c.dirty[i] = c.change
		}
	}
	c.now.size, c.resized = size, c.change
}

// pending is what a sync that begins now will have written when it ends.
type pending struct {
	pages  map[int64]*[pageSize]byte
	dirty  map[int64]uint64
	size   int64
	change uint64 // of the size; 0: not changed
}

func (c *content) begin() pending {
	p := pending{pages: map[int64]*[pageSize]byte{}, dirty: map[int64]uint64{}, size: c.now.size, change: c.resized}
	for i, change := range c.dirty {
		p.pages[i], p.dirty[i] = c.now.page(i), change
	}
	return p
}

// end has what begin saw on the disk, unless a later sync has been faster.
func (c *content) end(p pending) {
	for i, change := range p.dirty {
		if change > c.written[i] {
			c.disk.set(i, p.pages[i])
			c.written[i] = change
		}
		if c.dirty[i] == change {
			delete(c.dirty, i)
		}
	}
	if p.change > c.writtenSize {
		c.disk.size, c.writtenSize = p.size, p.change
	}
	if c.resized == p.change {
		c.resized = 0
	}
}

// survive is the content after a power cut: what was synced, and of the rest what the
// fate of the cut leaves: pages that are new, old or torn, in any order, and any size between.
func (c *content) survive(f fate, rng *rand.Rand) *content {
	after := c.disk.clone()
	if c.resized != 0 && f.page(rng) {
		after.size = c.now.size
		if grown := c.now.size - c.disk.size; grown > 0 && rng.IntN(2) == 0 {
			after.size = c.disk.size + rng.Int64N(grown+1)
		}
	}
	for i := range c.dirty {
		if !f.page(rng) {
			continue
		}
		fresh := c.now.page(i)
		if f.torn && rng.IntN(2) == 0 {
			fresh = tear(c.disk.pages[i], fresh, rng)
		}
		after.set(i, fresh)
	}
	s := newContent()
	s.now = after
	s.truncatePages()
	s.disk = s.now.clone()
	return s
}

// truncatePages drops what lies behind the end.
func (c *content) truncatePages() {
	for i, p := range c.now.pages {
		switch start := i * pageSize; {
		case start >= c.now.size:
			delete(c.now.pages, i)
		case start+pageSize > c.now.size:
			clear(p[c.now.size-start:])
		}
	}
}

// tear is a page of which some sectors were written.
func tear(old, fresh *[pageSize]byte, rng *rand.Rand) *[pageSize]byte {
	p := new([pageSize]byte)
	if old != nil {
		*p = *old
	}
	for s := 0; s < pageSize; s += sectorSize {
		if rng.IntN(2) != 0 {
			continue
		}
		if fresh == nil {
			clear(p[s : s+sectorSize])
		} else {
			copy(p[s:s+sectorSize], fresh[s:])
		}
	}
	return p
}
