package main

import (
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// node is a file or a directory.
type node struct {
	id       uint64
	kind     uint32 // of file: S_IFREG, S_IFDIR, S_IFSOCK
	mode     uint32 // permission bits
	modified time.Time
	links    uint32
	spool    bool // in a directory named "spool", or below one; or that directory

	file *content // nil for a directory

	entries map[string]*node // as the processes see them
	disk    map[string]*node // as they would be after a power cut
}

func (n *node) isDir() bool { return n.file == nil }

// entry is one name of a directory, and what it shall stand for; nil: nothing.
type entry struct {
	dir  *node
	name string
	to   *node
}

// change is what one call did to directories: it survives a power cut whole or not at all,
// and does for sure once a directory that it touched was synced.
type change struct {
	number  uint64
	entries []entry
}

func (c change) touches(dir *node) bool {
	return slices.ContainsFunc(c.entries, func(e entry) bool { return e.dir == dir })
}

func (c change) apply() {
	for _, e := range c.entries {
		if e.to == nil {
			delete(e.dir.disk, e.name)
		} else {
			e.dir.disk[e.name] = e.to
		}
	}
}

// tree is all nodes. The caller locks.
type tree struct {
	root    *node
	nodes   map[uint64]*node
	lastID  uint64
	changes []change // of directories, unsynced, in their order
	number  uint64   // of the last change
}

func newTree() *tree {
	t := &tree{nodes: map[uint64]*node{}}
	t.root = t.newNode(0o755, true)
	return t
}

func (t *tree) newNode(mode uint32, dir bool) *node {
	t.lastID++
	n := &node{id: t.lastID, mode: mode & 0o7777, modified: time.Now(), links: 1, kind: syscall.S_IFREG}
	if dir {
		n.kind = syscall.S_IFDIR
		n.entries, n.disk = map[string]*node{}, map[string]*node{}
	} else {
		n.file = newContent()
	}
	t.nodes[n.id] = n
	return n
}

// set changes names, at once for the processes, and on the disk once it is synced.
func (t *tree) set(entries ...entry) {
	for _, e := range entries {
		if e.to == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = e.to
		}
		e.dir.modified = time.Now()
	}
	t.number++
	t.changes = append(t.changes, change{t.number, entries})
}

// syncDir has the changes of a directory up to a number on the disk.
func (t *tree) syncDir(dir *node, upTo uint64) {
	t.changes = slices.DeleteFunc(t.changes, func(c change) bool {
		if c.number > upTo || !c.touches(dir) {
			return false
		}
		c.apply()
		return true
	})
}

// fate is what becomes of what was not synced.
type fate struct {
	keep float64 // the share of pages and names that survive
	torn bool    // some pages survive in part
	// ordered: of the changes of names, the first ones survive, as with a journal.
	ordered bool
}

func (f fate) page(rng *rand.Rand) bool { return rng.Float64() < f.keep }

func newFate(rng *rand.Rand) fate {
	return fate{keep: []float64{0, 0, 0.2, 0.5, 0.8, 1}[rng.IntN(6)], torn: rng.IntN(2) == 0, ordered: rng.IntN(2) == 0}
}

// survive is the tree after a power cut.
func (t *tree) survive(rng *rand.Rand) *tree {
	f := newFate(rng)
	first := int(f.keep * float64(len(t.changes)+1) * rng.Float64())
	for i, c := range t.changes {
		if f.ordered && i < first || !f.ordered && f.page(rng) {
			c.apply()
		}
	}
	after := &tree{nodes: map[uint64]*node{}, lastID: t.lastID}
	known := map[*node]*node{}
	var walk func(n *node) *node
	walk = func(n *node) *node {
		if s := known[n]; s != nil {
			s.links++ // a second name
			return s
		}
		s := after.newNode(n.mode, n.isDir())
		s.modified, s.kind, s.spool = n.modified, n.kind, n.spool
		known[n] = s
		if !n.isDir() {
			s.file = n.file.survive(f, rng)
			return s
		}
		for _, name := range slices.Sorted(maps.Keys(n.disk)) {
			c := walk(n.disk[name])
			s.entries[name], s.disk[name] = c, c
		}
		return s
	}
	after.root = walk(t.root)
	return after
}
