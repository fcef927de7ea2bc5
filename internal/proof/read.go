package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// reader reads one log's objects.
type reader struct {
	store store.Store
	dir   string // "<prefix>/_indelible/<log>/"
}

func newReader(st store.Store, base, log string) reader {
	return reader{store: st, dir: Dir(base, log)}
}

// Dir is where a log lies in the store: base is what stands before the first
// '{' of the destination's prefix.
func Dir(base, log string) string { return slashed(base) + "_indelible/" + log + "/" }

// slashed is a prefix with the slash that divides it from what follows.
func slashed(base string) string {
	if base == "" || strings.HasSuffix(base, "/") {
		return base
	}
	return base + "/"
}

// maxObject bounds what is read into memory of one of the log's own objects: a
// bundle of the longest leaves.
const maxObject = width * (MaxLeaf + 2)

// get reads one of the log's own objects whole.
func (r reader) get(ctx context.Context, name string) ([]byte, store.Info, error) {
	return r.objectUpTo(ctx, r.dir+name, "", maxObject)
}

// errLarger says that an object has more bytes than were asked for.
var errLarger = errors.New("more bytes than such an object has")

// maxCheckpoint bounds a checkpoint: the cosignatures of 70 witnesses that sign with ML-DSA-44 fit.
const maxCheckpoint = 256 << 10

func (r reader) objectUpTo(ctx context.Context, key, version string, limit int64) ([]byte, store.Info, error) {
	body, info, err := r.store.Get(ctx, key, store.GetOptions{Version: version})
	if err != nil {
		return nil, info, err
	}
	defer body.Close()
	if info.Size > limit {
		return nil, info, fmt.Errorf("read %s: %d bytes: %w", key, info.Size, errLarger)
	}
	var b bytes.Buffer
	b.Grow(int(max(info.Size, 0)))
	if _, err := io.Copy(&b, io.LimitReader(body, limit+1)); err != nil {
		return nil, info, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(b.Len()) > limit {
		return nil, info, fmt.Errorf("read %s: %w", key, errLarger)
	}
	return b.Bytes(), info, nil
}

// tile reads the tile that a tree of this size has at level and n. Where the
// partial one is gone, the full one holds the same hashes.
func (r reader) tile(ctx context.Context, level int, n, size uint64) ([]tlog.Hash, error) {
	w := int(min(width, atLevel(size, level)-n*width))
	name := tilePath(level, n, w)
	const limit = width * tlog.HashSize
	b, _, err := r.objectUpTo(ctx, r.dir+name, "", limit)
	if err != nil && w < width && store.ClassOf(err) == store.NotFound {
		if full, _, ferr := r.objectUpTo(ctx, r.dir+tilePath(level, n, width), "", limit); ferr == nil && len(full) == width*tlog.HashSize {
			b, err = full[:w*tlog.HashSize], nil
		}
	}
	if err != nil {
		return nil, err
	}
	hashes, err := decodeTile(b, w)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return hashes, nil
}

// bundle reads the leaves of entry bundle n that a tree of this size has.
func (r reader) bundle(ctx context.Context, n, size uint64) ([][]byte, error) {
	return r.bundleUpTo(ctx, n, size, maxObject)
}

// bundleUpTo is bundle, and fails with errLarger where the bundle has more bytes.
func (r reader) bundleUpTo(ctx context.Context, n, size uint64, limit int64) ([][]byte, error) {
	w := int(min(width, size-n*width))
	name := tilePath(entries, n, w)
	have := w
	b, _, err := r.objectUpTo(ctx, r.dir+name, "", limit)
	if err != nil && w < width && store.ClassOf(err) == store.NotFound {
		full, _, ferr := r.objectUpTo(ctx, r.dir+tilePath(entries, n, width), "", limit)
		if ferr == nil || errors.Is(ferr, errLarger) {
			b, err, have = full, ferr, width
		}
	}
	if err != nil {
		return nil, err
	}
	leaves, err := decodeBundle(b, have)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return leaves[:w], nil
}

// edge reads the right edge of the tree that cp states, and checks that it is that tree.
func (r reader) edge(ctx context.Context, cp Checkpoint) (*edge, error) {
	e := &edge{size: cp.Size}
	for level := 0; atLevel(cp.Size, level) > 0; level++ {
		n := atLevel(cp.Size, level)
		hashes := []tlog.Hash{}
		if n%width != 0 {
			var err error
			if hashes, err = r.tile(ctx, level, n/width, cp.Size); err != nil {
				return nil, fmt.Errorf("read tree: %w", err)
			}
		}
		e.levels = append(e.levels, append(make([]tlog.Hash, 0, width), hashes...))
	}
	if e.root() != cp.Root {
		return nil, fmt.Errorf("read tree: its right edge in the bucket is not that of the signed checkpoint of size %d: run verify", cp.Size)
	}
	return e, nil
}

// place is a leaf and where it stands.
type place struct {
	index uint64
	raw   []byte
	leaf  Leaf
}

// finder looks for leaves in a tree of fixed size. It keeps the last bundle it read.
type finder struct {
	reader
	size   uint64
	cached uint64 // number of the bundle in leaves
	leaves []place
}

// load reads a bundle and parses it.
func (f *finder) load(ctx context.Context, n uint64) error {
	if f.leaves != nil && f.cached == n {
		return nil
	}
	raw, err := f.bundle(ctx, n, f.size)
	if err != nil {
		return err
	}
	leaves := make([]place, len(raw))
	for i, b := range raw {
		leaf, err := ParseLeaf(b)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", n*width+uint64(i), err)
		}
		leaves[i] = place{n*width + uint64(i), b, leaf}
	}
	f.cached, f.leaves = n, leaves
	return nil
}

// find is the leaf that gives seq its place in the order; false if the tree has none.
func (f *finder) find(ctx context.Context, seq record.Seq) (place, bool, error) {
	if f.leaves != nil { // callers mostly walk forward
		if p, ok := f.here(seq); ok {
			return p, true, nil
		}
		if next := f.cached + 1; next*width < f.size {
			if err := f.load(ctx, next); err != nil {
				return place{}, false, err
			}
			if p, ok := f.here(seq); ok {
				return p, true, nil
			}
		}
	}
	var err error
	bundles := (f.size + width - 1) / width
	n := sort.Search(int(bundles), func(n int) bool {
		reached := false
		if err == nil {
			reached, err = f.reached(ctx, uint64(n), seq)
		}
		return reached
	})
	if err != nil || uint64(n) == bundles {
		return place{}, false, err
	}
	if err := f.load(ctx, uint64(n)); err != nil {
		return place{}, false, err
	}
	p, ok := f.here(seq)
	return p, ok, nil
}

// here looks in the bundle that is loaded.
func (f *finder) here(seq record.Seq) (place, bool) {
	for _, p := range f.leaves {
		if last, _ := p.leaf.last(); p.leaf.Kind.counts() && p.leaf.first() <= seq && last >= seq {
			return p, true
		}
	}
	return place{}, false
}

// reached says whether the order has come to seq by the end of bundle n. A
// bundle of nothing but late leaves does not tell; the one before it does.
func (f *finder) reached(ctx context.Context, n uint64, seq record.Seq) (bool, error) {
	for {
		if err := f.load(ctx, n); err != nil {
			return false, err
		}
		for i := range f.leaves {
			if last, ok := f.leaves[len(f.leaves)-1-i].leaf.last(); ok {
				return last >= seq, nil
			}
		}
		if n == 0 {
			return false, nil
		}
		n--
	}
}
