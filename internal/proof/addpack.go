package proof

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Pack takes a pack that is stored, in its place in the order: one leaf for all its
// rows. One that the tree knows already, from before a crash, must be the same and is
// added no second time; another under the same numbers is ErrForked.
func (l *Log) Pack(ctx context.Context, p record.Pack) error {
	l.adding.Lock()
	defer l.adding.Unlock()
	if err := l.addPack(ctx, &p); err != nil {
		return fmt.Errorf("add to log %s: %w", l.name, err)
	}
	return nil
}

func (l *Log) addPack(ctx context.Context, p *record.Pack) error {
	if p.First == 0 || p.Last < p.First || p.Key == "" {
		return fmt.Errorf("pack %q of %s: no such range, or nothing says where it is", p.Key, SeqRange{p.First, p.Last})
	}
	leaf := packLeaf(p)
	l.mu.Lock()
	switch {
	case l.failed != nil:
		defer l.mu.Unlock()
		return l.failed
	case l.from != 0 && p.First > l.from:
		defer l.mu.Unlock()
		return errOrder(l.from, p.First)
	case l.from == 0 || p.First == l.from:
		full := l.append(&leaf)
		l.mu.Unlock()
		if full {
			return l.Checkpoint(ctx)
		}
		return nil
	}
	l.mu.Unlock()
	there, ok, err := l.placed(ctx, p.First)
	if err != nil {
		return err
	}
	there.VersionID = leaf.VersionID // the same bytes may have been put there once more
	if ok && bytes.Equal(there.Encode(), leaf.Encode()) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail(fmt.Errorf("%s: the spool has the pack %q with SHA-256 %s, but the tree has another one: the data directory is an old copy, or another process writes this log: %w", SeqRange{p.First, p.Last}, p.Key, p.Digest, ErrForked))
}

// PackOf is the pack in which the tree has a record, published or decided; false if
// it has the record otherwise, or not at all.
func (l *Log) PackOf(ctx context.Context, seq record.Seq) (record.Pack, bool, error) {
	l.adding.Lock()
	defer l.adding.Unlock()
	leaf, ok, err := l.placed(ctx, seq)
	if err != nil {
		return record.Pack{}, false, fmt.Errorf("find record %d in log %s: %w", seq, l.name, err)
	}
	if !ok || leaf.Kind != Pack {
		return record.Pack{}, false, nil
	}
	p, err := leaf.pack()
	return p, err == nil, err
}

// placed is the leaf that gives seq its place, published or pending. The caller holds adding.
func (l *Log) placed(ctx context.Context, seq record.Seq) (Leaf, bool, error) {
	l.mu.Lock()
	pending, size := l.state.pending, l.state.edge.size
	_, mine := l.pendingAt(seq)
	l.mu.Unlock()
	if mine {
		for _, raw := range pending {
			leaf, err := ParseLeaf(raw)
			if err != nil {
				return Leaf{}, false, err
			}
			if last, _ := leaf.last(); leaf.Kind.counts() && leaf.first() <= seq && seq <= last {
				return leaf, true, nil
			}
		}
	}
	if l.lookup == nil || l.lookup.size != size {
		l.lookup = &finder{reader: l.reader, size: size}
	}
	p, ok, err := l.lookup.find(ctx, seq)
	return p.leaf, ok, err
}

// rowDigests are the digests of a pack's rows.
type rowDigests struct {
	first record.Seq
	sums  []record.Digest
}

// rowDigest is the digest that a record has in the pack of which the tree has it; zero if the pack tells nothing, because it is
// gone or damaged, or this machine has no room to look at it. The caller holds adding.
func (l *Log) rowDigest(ctx context.Context, seq record.Seq) (record.Digest, error) {
	if l.opt.Packs == nil {
		return record.Digest{}, nil
	}
	if at := int(seq - l.rows.first); seq >= l.rows.first && at < len(l.rows.sums) {
		return l.rows.sums[at], nil
	}
	leaf, ok, err := l.placed(ctx, seq)
	if err != nil || !ok || leaf.Kind != Pack {
		return record.Digest{}, err
	}
	rows, err := l.readRows(ctx, &leaf)
	if e, ofStore := errors.AsType[*store.Error](err); ofStore && e.Class != store.NotFound && e.Class != store.Archived || ctx.Err() != nil {
		return record.Digest{}, fmt.Errorf("compare record %d with its pack: %w", seq, err)
	}
	if err != nil {
		rows.sums = make([]record.Digest, leaf.Count) // it is not read for each of its records
	}
	l.rows = rows
	return rows.sums[seq-rows.first], nil
}

// readRows reads the rows of a pack, which have the root that its leaf states.
func (l *Log) readRows(ctx context.Context, leaf *Leaf) (rowDigests, error) {
	rows := rowDigests{first: leaf.First}
	file, done, err := l.openPack(ctx, leaf)
	if err != nil {
		return rows, err
	}
	defer done()
	var tree RowTree
	for row, err := range l.opt.Packs.Rows(ctx, file, leaf.Size, false) {
		if err != nil {
			return rows, err
		}
		tree.Add(&row.Info)
		rows.sums = append(rows.sums, row.Digest)
	}
	if root := tree.Root(); hex.EncodeToString(root[:]) != leaf.Root || int64(len(rows.sums)) != leaf.Count {
		return rows, errors.New("the rows are not those that were logged")
	}
	return rows, nil
}

// packLeaf is the leaf that states a pack.
func packLeaf(p *record.Pack) Leaf {
	return Leaf{
		Kind: Pack, First: p.First, Last: p.Last, Time: p.Time, Key: p.Key, Size: p.Size, Digest: p.Digest,
		VersionID: p.Version, Count: p.Count(), Root: hex.EncodeToString(p.Root[:]),
	}
}

// pack is what packLeaf stated.
func (l *Leaf) pack() (record.Pack, error) {
	p := record.Pack{First: l.First, Last: l.Last, Time: l.Time, Key: l.Key, Version: l.VersionID, Size: l.Size, Digest: l.Digest}
	root, err := hex.DecodeString(l.Root)
	if err != nil || len(root) != len(p.Root) {
		return p, errors.New("the leaf of a pack has no root")
	}
	copy(p.Root[:], root)
	return p, nil
}
