package proof

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// ahead is how many bundles are fetched before they are needed, where their objects take the most time.
const ahead = 48

// block is a bundle, parsed, and the tile over it.
type block struct {
	n         uint64
	raw       [][]byte
	leaves    []Leaf
	errs      []error // of the leaves; nil if all were read
	own       []tlog.Hash
	root      tlog.Hash // over own
	leavesErr error
	hashes    []tlog.Hash
	hashesErr error
}

// readBundle fetches and parses bundle n of a tree of this size.
func (r reader) readBundle(ctx context.Context, n, size uint64) block {
	return r.readBundleUpTo(ctx, n, size, maxObject)
}

// readBundleUpTo is readBundle, and fails with errLarger where the bundle has more bytes.
func (r reader) readBundleUpTo(ctx context.Context, n, size uint64, limit int64) block {
	b := block{n: n}
	if b.raw, b.leavesErr = r.bundleUpTo(ctx, n, size, limit); b.leavesErr != nil {
		return b
	}
	var p leafParser
	b.leaves, b.own = make([]Leaf, len(b.raw)), make([]tlog.Hash, len(b.raw))
	for i, raw := range b.raw {
		b.own[i] = leafHash(raw)
		if err := p.parse(raw, &b.leaves[i]); err != nil {
			if b.errs == nil {
				b.errs = make([]error, len(b.raw))
			}
			b.errs[i] = err
		}
	}
	b.root = rootOf(b.own)
	return b
}

// rootOf is the root over the leaf hashes of one block.
func rootOf(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == width {
		return subtree(hashes)
	}
	e := edge{size: uint64(len(hashes)), levels: [][]tlog.Hash{hashes}}
	return e.root()
}

// aheadBytes bounds the bundles that are fetched before their turn, all together: those of an honest log have some 150 KiB each, but
// whoever can write to the bucket can put one of 16 MiB in the place of each.
const aheadBytes = 64 << 20

// fetched is a block on its way.
type fetched struct {
	block chan block
	turn  chan struct{}
}

// take waits for the block: it is its turn.
func (f fetched) take() block {
	close(f.turn)
	return <-f.block
}

// blocks yields the blocks of a tree of this size from bundle first on, in
// order; so many are fetched ahead, and the tiles over them if tiles is set. A bundle larger than its share of aheadBytes
// is fetched when it is its turn.
func (r reader) blocks(ctx context.Context, first, size uint64, ahead int, tiles bool) <-chan fetched {
	queue := make(chan fetched, ahead)
	go func() {
		defer close(queue)
		for n := first; n*width < size; n++ {
			one := fetched{make(chan block, 1), make(chan struct{})}
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
			go func() {
				b := r.readBundleUpTo(ctx, n, size, aheadBytes/int64(ahead))
				if errors.Is(b.leavesErr, errLarger) {
					select {
					case <-one.turn:
						b = r.readBundle(ctx, n, size)
					case <-ctx.Done():
					}
				}
				if tiles {
					b.hashes, b.hashesErr = r.tile(ctx, 0, n, size)
				}
				one.block <- b
			}()
		}
	}()
	return queue
}

// tileAt is a tile of a level above the lowest.
type tileAt struct {
	loaded bool
	n      uint64
	hashes []tlog.Hash // nil if it is not there
}

// walk recomputes the tree of a checkpoint from its leaves, from where the tree
// ends so far, and compares it with every tile; each leaf that stands is judged, and its object
// sent to the readers. Where neither a bundle nor its tile is there it ends: nothing behind can be checked.
func (v *verifier) walk(ctx context.Context, to *foundCheckpoint) error {
	v.cp, v.parent, v.walked = to.Checkpoint, tileAt{}, true
	v.compact = v.tree.compact()
	v.reachCheckpoints()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for next := range v.blocks(ctx, v.tree.size/width, to.Size, ahead, true) {
		b := next.take()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := v.block(ctx, &b); err != nil {
			return err
		}
		if v.stopped {
			return nil
		}
		v.progress(min(to.Size, (b.n+1)*width), to.Size)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return v.checkPartials(ctx)
}

// block takes one bundle and the tile over it into the tree.
func (v *verifier) block(ctx context.Context, b *block) error {
	start := b.n * width
	w := int(min(width, v.cp.Size-start))
	skip := int(v.tree.size - start) // leaves that an earlier walk took
	bundle, tile := v.dir+tilePath(entries, b.n, w), v.dir+tilePath(0, b.n, w)
	if err := cmp.Or(cannotLook(b.leavesErr), cannotLook(b.hashesErr)); err != nil {
		return err
	}
	if b.leavesErr != nil {
		v.faultf(bundle, "bundle with leaves %d to %d is missing or damaged: %v", start, start+uint64(w)-1, b.leavesErr)
		v.leaves.skip()
	}
	if b.hashesErr != nil {
		v.faultf(tile, "tile is missing or damaged: %v", b.hashesErr)
	}
	if b.leavesErr != nil && b.hashesErr != nil {
		v.faultf(bundle, "nothing from leaf %d on was checked: neither the leaves nor their hashes are there", start+uint64(skip))
		v.broken, v.stopped = true, true
		return nil
	}
	good := v.judge(ctx, b, w, bundle, tile)
	for i := range skip {
		if b.own != nil && b.own[i] != v.tree.levels[0][i] {
			v.changed(start+uint64(i), b.raw[i], bundle, fmt.Sprintf("leaf %d is another one than in the smaller tree", start+uint64(i)))
		}
	}
	at := v.rootsWithin(b, w)
	for i := skip; i < w; i++ {
		if b.own != nil {
			if err := v.leaf(ctx, start+uint64(i), b, i, good[i] == b.own[i]); err != nil {
				return err
			}
		}
		if at {
			v.compact.add(good[i])
			v.reachCheckpoints()
		}
	}
	v.grow(ctx, b, good, skip, !at)
	v.reachCheckpoints()
	return nil
}

// rootsWithin says whether the root of the tree is asked for somewhere within a block: by a checkpoint or a change of key.
func (v *verifier) rootsWithin(b *block, w int) bool {
	for i := range b.leaves {
		if b.leaves[i].Kind == NewKey {
			return true
		}
	}
	return v.nextCheckpoint < len(v.checkpoints) && v.checkpoints[v.nextCheckpoint].Size < b.n*width+uint64(w)
}

// grow takes the hashes of a block, those before skip left out, into the tree, at once where it is a whole one; and into
// the compact range, if that has none of them yet.
func (v *verifier) grow(ctx context.Context, b *block, good []tlog.Hash, skip int, compact bool) {
	compare := func(level int, n uint64, hashes []tlog.Hash) {
		if level > 0 {
			v.compareTile(ctx, level, n, hashes)
		}
	}
	if len(good) == width && skip == 0 {
		root := b.root
		if !equal(good, b.own) {
			root = subtree(good)
		}
		v.tree.addBlock(root, compare)
		if compact {
			v.compact.push(root, width)
		}
		return
	}
	for _, h := range good[skip:] {
		v.tree.add(h, compare)
		if compact {
			v.compact.add(h)
		}
	}
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
// or those of the tile, as the level above has it.
func (v *verifier) judge(ctx context.Context, b *block, w int, bundle, tile string) []tlog.Hash {
	own := b.own
	switch {
	case own == nil:
		return b.hashes
	case b.hashesErr != nil, equal(own, b.hashes):
		return own
	}
	above := v.above(ctx, b.n, w)
	holds := func(hashes []tlog.Hash) bool { return above != nil && subtree(hashes) == *above }
	switch {
	case holds(own) && !holds(b.hashes):
		v.faultf(tile, "tile was changed: it is not the one over its leaves")
		return own
	case holds(b.hashes) || above == nil && v.edgeHolds(b.hashes, w):
		for i := range own {
			if own[i] != b.hashes[i] {
				v.changed(b.n*width+uint64(i), b.raw[i], bundle, fmt.Sprintf("leaf %d was changed: it is not the one in the tree", b.n*width+uint64(i)))
			}
		}
		return b.hashes
	case above == nil && v.edgeHolds(own, w):
		v.faultf(tile, "tile was changed: it is not the one over its leaves")
		return own
	}
	for i := range own {
		if own[i] != b.hashes[i] {
			v.changed(b.n*width+uint64(i), b.raw[i], bundle, fmt.Sprintf("leaf %d and the tile over it do not agree, and neither is the one in the tree", b.n*width+uint64(i)))
		}
	}
	return own
}

// edgeHolds says whether the hashes of the last, partial block make the root that is signed.
func (v *verifier) edgeHolds(hashes []tlog.Hash, w int) bool {
	if w == width {
		return false
	}
	t := v.tree.clone()
	for _, h := range hashes[int(t.size%width):] {
		t.add(h, nil)
	}
	return t.root() == v.cp.Root
}

func equal(a, b []tlog.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// changed reports a leaf, by the seq that it claims.
func (v *verifier) changed(index uint64, raw []byte, bundle, what string) {
	x := Fault{Object: bundle, What: what}
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
		hashes, err := v.tile(ctx, 1, n/width, v.cp.Size)
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

func (v *verifier) compareTile(ctx context.Context, level int, n uint64, hashes []tlog.Hash) {
	stored, err := v.tile(ctx, level, n, v.cp.Size)
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
	for level := 1; level < len(v.tree.levels); level++ {
		if hashes := v.tree.levels[level]; len(hashes) > 0 {
			v.compareTile(ctx, level, atLevel(v.cp.Size, level)/width, hashes)
		}
	}
	return nil
}

// leaf judges one leaf. One that is not the tree's own is not followed to its object.
func (v *verifier) leaf(ctx context.Context, index uint64, b *block, i int, stands bool) error {
	if b.errs != nil && b.errs[i] != nil {
		v.faultf("", "leaf %d: %v", index, b.errs[i])
		v.leaves.skip()
		return nil
	}
	leaf := &b.leaves[i]
	bound := true
	if leaf.Kind == NewKey {
		root := v.compact.root()
		bound = uint64(leaf.Size) == v.compact.size && leaf.Root == hex.EncodeToString(root[:])
	}
	v.leaves.leaf(index, leaf, bound)
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
		if leaf.Kind == Pack {
			v.unread.add(leaf.First, leaf.Last)
		}
		return nil
	}
	j := job{seq: leaf.Seq, last: leaf.Seq, time: leaf.Time, key: leaf.Key, object: key, version: leaf.VersionID, size: leaf.Size, digest: leaf.Digest, attrs: leaf.Attrs}
	if leaf.Kind == Pack {
		j.seq, j.last, j.attrs = leaf.First, leaf.Last, record.Digest{}
		if v.opt.Packs != nil && !v.opt.NoRows {
			j.root, j.prefix = leaf.Root, v.leaves.prefix
		} else {
			v.unread.add(leaf.First, leaf.Last)
		}
	}
	return v.send(ctx, j)
}
