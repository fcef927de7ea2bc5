package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// width is how many hashes a full tile has, and how many leaves a full bundle.
const width = 256

// entries is the level that stands for entry bundles.
const entries = -1

// tilePath is where a tile lies below the log's directory, in the form of
// tlog-tiles. w is its width; a full tile has no width in its path.
func tilePath(level int, n uint64, w int) string {
	num := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		num = fmt.Sprintf("x%03d/%s", n%1000, num)
	}
	path := "tile/entries/" + num
	if level != entries {
		path = "tile/" + strconv.Itoa(level) + "/" + num
	}
	if w != width {
		path += ".p/" + strconv.Itoa(w)
	}
	return path
}

// atLevel is how many hashes a tree of this size has at the level of a tile:
// how many complete subtrees of 256^level leaves.
func atLevel(size uint64, level int) uint64 {
	if level >= 8 {
		return 0
	}
	return size >> (8 * level)
}

// edge is the right edge of a tree: for each level the hashes in its last,
// not yet full tile. It is all that a tree needs to grow, a few kilobytes at any size.
type edge struct {
	size   uint64
	levels [][]tlog.Hash // [level][0 to 255]
}

// clone is a copy that grows on its own.
func (e *edge) clone() *edge {
	c := &edge{size: e.size, levels: make([][]tlog.Hash, len(e.levels))}
	for i, hashes := range e.levels {
		c.levels[i] = append(make([]tlog.Hash, 0, width), hashes...)
	}
	return c
}

// add appends one leaf and reports each tile that it completes. The slice
// given to full is its own.
func (e *edge) add(leaf tlog.Hash, full func(level int, n uint64, hashes []tlog.Hash)) {
	e.push(0, leaf, full)
	e.size++
}

// push appends the hash of a complete subtree at a level; the levels below must be empty.
func (e *edge) push(level int, h tlog.Hash, full func(level int, n uint64, hashes []tlog.Hash)) {
	for ; ; level++ {
		for len(e.levels) <= level {
			e.levels = append(e.levels, make([]tlog.Hash, 0, width))
		}
		e.levels[level] = append(e.levels[level], h)
		if len(e.levels[level]) < width {
			return
		}
		done := e.levels[level]
		e.levels[level] = make([]tlog.Hash, 0, width)
		h = subtree(done)
		if full != nil {
			full(level, e.size>>(8*(level+1)), done)
		}
	}
}

// addBlock appends a whole bundle of leaves by the hash over them, and reports each tile above that it
// completes. The tree must end with a whole bundle.
func (e *edge) addBlock(h tlog.Hash, full func(level int, n uint64, hashes []tlog.Hash)) {
	e.size += width - 1 // push computes the index of a tile from the size before its last leaf
	e.push(1, h, full)
	e.size++
}

// root is the RFC 6962 root of the tree.
func (e *edge) root() tlog.Hash { return e.compact().root() }

// compact is the tree as a compact range.
func (e *edge) compact() *compactRange {
	c := &compactRange{size: e.size}
	for level := len(e.levels) - 1; level >= 0; level-- {
		hashes := e.levels[level]
		for bit := width / 2; bit > 0; bit >>= 1 { // the largest subtree is the leftmost
			if len(hashes)&bit != 0 {
				c.peaks = append(c.peaks, subtree(hashes[:bit]))
				hashes = hashes[bit:]
			}
		}
	}
	return c
}

// compactRange is a tree as the roots of its complete subtrees, from the
// largest to the smallest: from them its root takes a few hashes.
type compactRange struct {
	size  uint64
	peaks []tlog.Hash
}

func (c *compactRange) add(leaf tlog.Hash) { c.push(leaf, 1) }

// push appends a complete subtree of so many leaves, a power of two that divides the size.
func (c *compactRange) push(h tlog.Hash, leaves uint64) {
	for n := c.size / leaves; n&1 == 1; n >>= 1 {
		last := len(c.peaks) - 1
		h = nodeHash(&c.peaks[last], &h)
		c.peaks = c.peaks[:last]
	}
	c.peaks = append(c.peaks, h)
	c.size += leaves
}

func (c *compactRange) root() tlog.Hash {
	if len(c.peaks) == 0 {
		return sha256.Sum256(nil)
	}
	root := c.peaks[len(c.peaks)-1]
	for i := len(c.peaks) - 2; i >= 0; i-- {
		root = nodeHash(&c.peaks[i], &root)
	}
	return root
}

// subtree is the root over a power of two of hashes.
func subtree(hashes []tlog.Hash) tlog.Hash {
	switch len(hashes) {
	case 1:
		return hashes[0]
	case 2:
		return nodeHash(&hashes[0], &hashes[1])
	}
	half := len(hashes) / 2
	left, right := subtree(hashes[:half]), subtree(hashes[half:])
	return nodeHash(&left, &right)
}

// nodeHash is tlog.NodeHash without its allocations.
func nodeHash(left, right *tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// leafHash is the RFC 6962 hash of a leaf.
func leafHash(leaf []byte) tlog.Hash {
	var room [2048]byte // most leaves are shorter: nothing is allocated
	return sha256.Sum256(append(append(room[:0], 0), leaf...))
}

// encodeTile is a tile as it is stored.
func encodeTile(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

func decodeTile(b []byte, w int) ([]tlog.Hash, error) {
	if len(b) != w*tlog.HashSize {
		return nil, fmt.Errorf("%d bytes, want %d", len(b), w*tlog.HashSize)
	}
	hashes := make([]tlog.Hash, w)
	for i := range hashes {
		copy(hashes[i][:], b[i*tlog.HashSize:])
	}
	return hashes, nil
}

// encodeBundle is an entry bundle as it is stored: each leaf behind its length
// in two bytes, big endian.
func encodeBundle(leaves [][]byte) []byte {
	var b bytes.Buffer
	for _, leaf := range leaves {
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(leaf))))
		b.Write(leaf)
	}
	return b.Bytes()
}

// decodeBundle reads n leaves and wants nothing behind them. They share b's memory.
func decodeBundle(b []byte, n int) ([][]byte, error) {
	leaves := make([][]byte, 0, n)
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return leaves, errors.New("ends in the middle of a leaf")
		}
		size := int(binary.BigEndian.Uint16(b))
		leaves = append(leaves, b[2:2+size:2+size])
		b = b[2+size:]
		if len(leaves) > n {
			break
		}
	}
	if len(leaves) != n {
		return leaves, fmt.Errorf("%d leaves, want %d", len(leaves), n)
	}
	return leaves, nil
}
