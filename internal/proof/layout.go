package proof

import (
	"strconv"
	"strings"
)

// object is one of the log's own objects, to be put.
type object struct {
	name      string
	build     func() []byte
	temporary bool // superseded soon: a lifecycle rule may expire it
}

// bundles are the entry bundles that the pending leaves fill or begin.
func (l *Log) bundles(s *state, final bool) []object {
	leaves := append(append(make([][]byte, 0, len(s.tail)+len(s.pending)), s.tail...), s.pending...)
	n := s.edge.size / width
	var puts []object
	for ; len(leaves) > 0; n++ {
		w := min(width, len(leaves))
		part := leaves[:w]
		leaves = leaves[w:]
		puts = append(puts, object{tilePath(entries, n, w), func() []byte { return encodeBundle(part) }, w < width && !final})
	}
	return puts
}

// partials are the partial tiles of a tree that have changed since an earlier
// one. Those of the lowest level are superseded by the next checkpoint; those above stand
// for long and are never marked as temporary.
func partials(before, after *edge, final bool) []object {
	var puts []object
	for level, hashes := range after.levels {
		n := atLevel(after.size, level)
		if len(hashes) > 0 && n != atLevel(before.size, level) {
			puts = append(puts, object{tilePath(level, n/width, len(hashes)), func() []byte { return encodeTile(hashes) }, level == 0 && !final})
		}
	}
	return puts
}

// parseTilePath reads what tilePath wrote; level is entries for a bundle.
func parseTilePath(name string) (level int, n uint64, w int, ok bool) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if !ok {
		return 0, 0, 0, false
	}
	first, rest, _ := strings.Cut(rest, "/")
	level = entries
	if first != "entries" {
		var err error
		if level, err = strconv.Atoi(first); err != nil || level < 0 || level > 63 {
			return 0, 0, 0, false
		}
	}
	w = width
	number, partial, isPartial := strings.Cut(rest, ".p/")
	if isPartial {
		var err error
		if w, err = strconv.Atoi(partial); err != nil || w < 1 || w >= width {
			return 0, 0, 0, false
		}
	}
	for group := range strings.SplitSeq(number, "/") {
		d, err := strconv.ParseUint(strings.TrimPrefix(group, "x"), 10, 10)
		if err != nil || n > 1<<53 {
			return 0, 0, 0, false
		}
		n = n*1000 + d
	}
	return level, n, w, tilePath(level, n, w) == name
}
