package proof

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Leaves yields the leaves that give records their places, from seq on in their order, or, if
// back is set, from seq down to the first; each was checked against the signed checkpoint that
// was the newest when it was called. A log without a checkpoint has none. It ends after the first error.
func Leaves(ctx context.Context, st store.Store, base, vkey string, seq record.Seq, back bool) iter.Seq2[Leaf, error] {
	return func(yield func(Leaf, error) bool) {
		key, err := parsePublic(vkey)
		if err != nil {
			yield(Leaf{}, fmt.Errorf("read leaves: invalid public key: %w", err))
			return
		}
		w := leafWalk{reader: newReader(patientStore{st}, base, key.Name()), seq: seq, back: back}
		if err := w.run(ctx, key, yield); err != nil {
			yield(Leaf{}, fmt.Errorf("read leaves of log %s: %w", key.Name(), err))
		}
	}
}

// leafWalk is one Leaves under way.
type leafWalk struct {
	reader
	seq  record.Seq
	back bool
	// each takes every leaf, whatever its kind, instead of what is yielded; nil: those that give records their places.
	each func(index uint64, l *Leaf) (more bool)
	cp   Checkpoint
}

func (w *leafWalk) run(ctx context.Context, key publicKey, yield func(Leaf, error) bool) error {
	checkpoint, _, err := w.get(ctx, "checkpoint")
	if store.ClassOf(err) == store.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if w.cp, err = openCheckpoint(checkpoint, key.Name(), key); err != nil || w.cp.Size == 0 {
		return err
	}
	first, ok, err := w.first(ctx)
	if err != nil || !ok {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tiles := &cachedTiles{tileReader: tileReader{ctx: ctx, reader: w.reader, size: w.cp.Size}, kept: map[tlog.Tile][]byte{}}
	hashes := tlog.TileHashReader(tlog.Tree{N: int64(w.cp.Size), Hash: w.cp.Root}, tiles)
	if w.back {
		for n := first; ; n-- {
			b := w.readBundle(ctx, n, w.cp.Size)
			if more, err := w.bundle(&b, hashes, yield); err != nil || !more || n == 0 {
				return err
			}
		}
	}
	for next := range w.blocks(ctx, first, w.cp.Size, leavesAhead, false) {
		b := next.take()
		if more, err := w.bundle(&b, hashes, yield); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// leavesAhead is how many bundles are fetched before they are needed.
const leavesAhead = 4

// first is the bundle in which the walk begins; false if the tree ends before seq.
func (w *leafWalk) first(ctx context.Context) (uint64, bool, error) {
	if w.seq <= 1 && !w.back {
		return 0, true, nil
	}
	f := finder{reader: w.reader, size: w.cp.Size}
	at, ok, err := f.find(ctx, w.seq)
	if err != nil {
		return 0, false, err
	}
	switch {
	case ok:
		return at.index / width, true, nil
	case w.back:
		return (w.cp.Size - 1) / width, true, nil // the walk passes over what is newer
	}
	return 0, false, nil
}

// bundle yields the leaves of one bundle, once they are known to be the tree's.
func (w *leafWalk) bundle(b *block, hashes tlog.HashReader, yield func(Leaf, error) bool) (more bool, err error) {
	if b.leavesErr != nil {
		return false, b.leavesErr
	}
	if err := w.check(b, hashes); err != nil {
		return false, err
	}
	for i := range b.leaves {
		at := i
		if w.back {
			at = len(b.leaves) - 1 - i
		}
		if b.errs != nil && b.errs[at] != nil {
			return false, fmt.Errorf("leaf %d: %w", b.n*width+uint64(at), b.errs[at])
		}
		l := b.leaves[at]
		if w.each != nil {
			if !w.each(b.n*width+uint64(at), &l) {
				return false, nil
			}
			continue
		}
		last, _ := l.last()
		if !l.Kind.counts() || !w.back && last < w.seq || w.back && l.first() > w.seq {
			continue
		}
		if !yield(l, nil) {
			return false, nil
		}
	}
	return true, nil
}

// check compares a bundle's leaves with the signed tree.
func (w *leafWalk) check(b *block, hashes tlog.HashReader) error {
	var want []tlog.Hash
	var at []int64
	got := b.own
	if len(b.own) == width {
		at, got = append(at, tlog.StoredHashIndex(8, int64(b.n))), []tlog.Hash{b.root}
	} else {
		for i := range b.own {
			at = append(at, tlog.StoredHashIndex(0, int64(b.n*width)+int64(i)))
		}
	}
	want, err := hashes.ReadHashes(at)
	if err != nil {
		return fmt.Errorf("the tree in the bucket is damaged (%w): run verify", err)
	}
	if !equal(got, want) {
		return fmt.Errorf("the leaves from %d on are not those of the signed tree: run verify", b.n*width)
	}
	return nil
}

// cachedTiles keeps the tiles that were found to be the tree's, those of the lowest level left out.
type cachedTiles struct {
	tileReader
	kept map[tlog.Tile][]byte
}

// ReadTiles is tlog.TileReader's.
func (t *cachedTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, want := range tiles {
		if data[i] = t.kept[want]; data[i] != nil {
			continue
		}
		one, err := t.tileReader.ReadTiles(tiles[i : i+1])
		if err != nil {
			return nil, err
		}
		data[i] = one[0]
	}
	return data, nil
}

// SaveTiles is tlog.TileReader's.
func (t *cachedTiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	if len(t.kept) > 1024 {
		clear(t.kept)
	}
	for i, tile := range tiles {
		if tile.L > 0 {
			t.kept[tile] = data[i]
		}
	}
}

// SentAs is the key that the record's sender used, as far as its leaf tells: of one that is too long it is the stored key.
func (l *Leaf) SentAs() string { return sentKey(l) }
