package proof

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// ahead is how many bundles are fetched before they are needed.
const ahead = 16

// fetched is a bundle and the tile over it.
type fetched struct {
	n         uint64
	leaves    [][]byte
	leavesErr error
	hashes    []tlog.Hash
	hashesErr error
}

// tileAt is a tile of a level above the lowest.
type tileAt struct {
	loaded bool
	n      uint64
	hashes []tlog.Hash // nil if it is not there
}

// walk recomputes the tree from its leaves, from left to right, and compares it
// with every tile; each leaf that stands is judged, and its object sent to the readers.
func (v *verifier) walk(ctx context.Context) error {
	v.pass()
	size := v.head.Size
	if size == 0 {
		return nil
	}
	if _, err := v.bundle(ctx, (size-1)/width, size); err != nil && size > 1<<20 {
		// Do not look for a billion bundles that a broken head promises.
		v.faultf(v.dir+"checkpoint", "it promises %d leaves, but the last bundle is not there: %v", size, err)
	}
	for next := range v.fetch(ctx, size) {
		f := <-next
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := v.block(ctx, f); err != nil {
			return err
		}
		v.progress(min(size, (f.n+1)*width), size)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return v.checkPartials(ctx)
}

// fetch reads the bundles and their tiles ahead, and yields them in order.
func (v *verifier) fetch(ctx context.Context, size uint64) <-chan chan fetched {
	queue := make(chan chan fetched, ahead)
	go func() {
		defer close(queue)
		for n := uint64(0); n*width < size; n++ {
			one := make(chan fetched, 1)
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
			go func() {
				f := fetched{n: n}
				f.leaves, f.leavesErr = v.bundle(ctx, n, size)
				f.hashes, f.hashesErr = v.tile(ctx, 0, n, size)
				one <- f
			}()
		}
	}()
	return queue
}

// block takes one bundle and the tile over it into the tree.
func (v *verifier) block(ctx context.Context, f fetched) error {
	w := int(min(width, v.head.Size-f.n*width))
	bundle, tile := v.dir+tilePath(entries, f.n, w), v.dir+tilePath(0, f.n, w)
	if err := cmp.Or(cannotLook(f.leavesErr), cannotLook(f.hashesErr)); err != nil {
		return err
	}
	if f.leavesErr != nil {
		v.faultf(bundle, "bundle with leaves %d to %d is missing or damaged: %v", f.n*width, f.n*width+uint64(w)-1, f.leavesErr)
		v.sense.hole()
	}
	if f.hashesErr != nil {
		v.faultf(tile, "tile is missing or damaged: %v", f.hashesErr)
	}
	var own []tlog.Hash
	if f.leavesErr == nil {
		own = make([]tlog.Hash, w)
		for i, raw := range f.leaves {
			own[i] = tlog.RecordHash(raw)
		}
	}
	good, whole := v.judge(ctx, f, own, w, bundle, tile)
	for i := range w {
		if own != nil {
			if err := v.leaf(ctx, f.n*width+uint64(i), f.leaves[i], good == nil || good[i] == own[i]); err != nil {
				return err
			}
		}
		if good != nil {
			v.grow(ctx, func(full func(int, uint64, []tlog.Hash)) { v.tree.add(good[i], full) })
		}
	}
	switch {
	case good != nil:
	case whole != nil:
		v.grow(ctx, func(full func(int, uint64, []tlog.Hash)) {
			v.tree.size += width - 1
			v.tree.push(1, *whole, full)
			v.tree.size++
		})
	default:
		v.broken = true
	}
	return nil
}

// cannotLook is err where it speaks of the store or the way to it, not of the object.
func cannotLook(err error) error {
	switch store.ClassOf(err) {
	case store.Throttled, store.Credentials, store.Configuration, store.Unreachable:
		return err
	}
	return nil
}

// judge decides which hashes of a block are the tree's: those of the leaves,
// or those of the tile, as the level above has it; or, where both are gone, the hash of the whole block.
func (v *verifier) judge(ctx context.Context, f fetched, own []tlog.Hash, w int, bundle, tile string) (good []tlog.Hash, whole *tlog.Hash) {
	if own != nil && f.hashesErr == nil && equal(own, f.hashes) {
		return own, nil
	}
	above := v.above(ctx, f.n, w)
	holds := func(hashes []tlog.Hash) bool { return above != nil && hashes != nil && subtree(hashes) == *above }
	switch {
	case own == nil && f.hashesErr != nil:
		return nil, above
	case own == nil:
		return f.hashes, nil
	case f.hashesErr != nil:
		return own, nil
	case holds(own) && !holds(f.hashes):
		v.faultf(tile, "tile was changed: it is not the one over its leaves")
		return own, nil
	case holds(f.hashes) || above == nil && v.edgeHolds(f.hashes, w):
		for i := range own {
			if own[i] != f.hashes[i] {
				v.changed(f.n*width+uint64(i), f.leaves[i], bundle, "leaf %d was changed: it is not the one in the tree")
			}
		}
		return f.hashes, nil
	case above == nil && v.edgeHolds(own, w):
		v.faultf(tile, "tile was changed: it is not the one over its leaves")
		return own, nil
	}
	for i := range own {
		if own[i] != f.hashes[i] {
			v.changed(f.n*width+uint64(i), f.leaves[i], bundle, "leaf %d and the tile over it do not agree, and neither is the one in the tree")
		}
	}
	return own, nil
}

// edgeHolds says whether the hashes of the last, partial block make the root that is signed.
func (v *verifier) edgeHolds(hashes []tlog.Hash, w int) bool {
	if w == width || v.broken {
		return false
	}
	t := v.tree.clone()
	for _, h := range hashes {
		t.add(h, nil)
	}
	return t.root() == v.head.Root
}

func equal(a, b []tlog.Hash) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// changed reports a leaf, by the seq that it claims.
func (v *verifier) changed(index uint64, raw []byte, bundle, format string) {
	x := Fault{Object: bundle, What: sprintIndex(format, index)}
	if leaf, err := ParseLeaf(raw); err == nil {
		x.Seq, x.Key = leaf.Seq, leaf.Key
	}
	v.fault(x)
}

// above is the hash that the level-1 tile has for a full block; nil if there is none.
func (v *verifier) above(ctx context.Context, n uint64, w int) *tlog.Hash {
	if w < width {
		return nil
	}
	if !v.parent.loaded || v.parent.n != n/width {
		hashes, err := v.tile(ctx, 1, n/width, v.head.Size)
		if err != nil {
			hashes = nil // said when the tile itself is compared
		}
		v.parent = tileAt{loaded: true, n: n / width, hashes: hashes}
	}
	if i := int(n % width); i < len(v.parent.hashes) {
		return &v.parent.hashes[i]
	}
	return nil
}

// grow lets the tree grow and compares each tile above the lowest that this completes.
func (v *verifier) grow(ctx context.Context, step func(full func(int, uint64, []tlog.Hash))) {
	if v.broken {
		return
	}
	step(func(level int, n uint64, hashes []tlog.Hash) {
		if level > 0 {
			v.compareTile(ctx, level, n, hashes)
		}
	})
	v.pass()
}

func (v *verifier) compareTile(ctx context.Context, level int, n uint64, hashes []tlog.Hash) {
	stored, err := v.tile(ctx, level, n, v.head.Size)
	name := v.dir + tilePath(level, n, len(hashes))
	switch {
	case err != nil:
		v.faultf(name, "tile is missing or damaged: %v", err)
	case !equal(stored, hashes):
		v.faultf(name, "tile was changed: it is not the one over the tiles below")
	}
}

// checkPartials compares the partial tiles of the right edge above the lowest level.
func (v *verifier) checkPartials(ctx context.Context) error {
	for level := 1; level < len(v.tree.levels) && !v.broken; level++ {
		if hashes := v.tree.levels[level]; len(hashes) > 0 {
			v.compareTile(ctx, level, atLevel(v.head.Size, level)/width, hashes)
		}
	}
	return nil
}

// leaf judges one leaf. One that is not the tree's own is not followed to its object.
func (v *verifier) leaf(ctx context.Context, index uint64, raw []byte, stands bool) error {
	leaf, err := ParseLeaf(raw)
	if err != nil {
		v.faultf("", "leaf %d: %v", index, err)
		v.sense.hole()
		return nil
	}
	v.sense.leaf(index, &leaf, v.key.Name())
	if root := v.tree.root(); leaf.Kind == NewKey && !v.broken && (uint64(leaf.Size) != v.tree.size || leaf.Root != hex.EncodeToString(root[:])) {
		v.faultf("", "leaf %d: the change of key was signed for another tree: one of size %d", index, leaf.Size)
	}
	if leaf.Kind != Record && leaf.Kind != Stored && leaf.Kind != Pack {
		return nil
	}
	key := v.objectKey(leaf.Key)
	if v.names != nil {
		v.names.add(key)
	}
	if !stands {
		return nil
	}
	if leaf.Time.Before(v.opt.Since) || v.opt.Sample > 0 && !chance(v.opt.Sample) {
		v.report.Skipped++
		return nil
	}
	seq := leaf.Seq
	if leaf.Kind == Pack {
		seq = leaf.First
	}
	return v.send(ctx, job{seq: record.Seq(seq), key: leaf.Key, object: key, version: leaf.VersionID, size: leaf.Size, digest: leaf.Digest})
}

func sprintIndex(format string, index uint64) string { return fmt.Sprintf(format, index) }
