package proof

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// resume begins behind the checkpoint that was audited before. Its right edge
// is read from the bucket, and is the one that was audited if it makes that
// checkpoint's root; the tree of the newest checkpoint is then computed over it, so that this
// root is right only if nothing before was changed.
func (v *verifier) resume(ctx context.Context) error {
	from := v.opt.From
	if from.Checkpoint == nil {
		return nil
	}
	h := v.addCheckpoint(from.Name, from.Checkpoint, external, time.Time{})
	v.sortCheckpoints()
	if h == nil || h.Size == 0 {
		return nil
	}
	e, err := v.edge(ctx, h.Checkpoint)
	if look := cannotLook(err); look != nil {
		return look
	}
	if err != nil {
		v.faultf(from.Name, "the tree in the bucket is not, or no longer, the one that this checkpoint of size %d states (%v): the whole log is read instead", h.Size, err)
		return nil
	}
	if err := v.lastLeaves(ctx, e); err != nil {
		return err
	}
	v.tree, v.report.From = *e, h.Size
	for v.nextCheckpoint < len(v.checkpoints) && v.checkpoints[v.nextCheckpoint].Size < h.Size {
		v.nextCheckpoint++
	}
	return nil
}

// lastLeaves takes up what the leaves before the edge tell of the state of the log: how far
// it had come, and where its objects lie. They are checked against the edge.
func (v *verifier) lastLeaves(ctx context.Context, e *edge) error {
	v.leaves.partly = true
	last := v.readBundle(ctx, (e.size-1)/width, e.size)
	if err := cannotLook(last.leavesErr); err != nil {
		return err
	}
	ok := false
	if last.leavesErr == nil {
		var err error
		if ok, err = v.endsWith(ctx, e, last.own); cannotLook(err) != nil {
			return err
		}
	}
	if !ok {
		return fmt.Errorf("the leaves before size %d are not those that were audited: verify the whole log", e.size)
	}
	for i := range last.leaves {
		l := &last.leaves[i]
		if n, ok := l.last(); ok && n > 0 {
			v.leaves.next = n + 1
		}
		v.leaves.prev, v.leaves.stopped = l.Kind, l.Kind == Stop
		if l.Time.After(v.leaves.latest) {
			v.leaves.latest = l.Time
		}
	}
	// The prefix only says where to look: what is found there is checked.
	first := v.readBundle(ctx, 0, e.size)
	for _, leaves := range [][]Leaf{first.leaves, last.leaves} {
		for i := range leaves {
			if l := &leaves[i]; l.Kind == Start || l.Kind == Config {
				v.leaves.prefix, v.leaves.prefixed = l.Prefix, true
			}
		}
	}
	return nil
}

// endsWith says whether a tree with this right edge ends with these hashes: those of its last bundle.
func (r reader) endsWith(ctx context.Context, e *edge, hashes []tlog.Hash) (bool, error) {
	if len(hashes) != width {
		return equal(e.levels[0], hashes), nil
	}
	h := subtree(hashes)
	for level := 1; level < len(e.levels); level++ {
		if have := e.levels[level]; len(have) > 0 {
			return have[len(have)-1] == h, nil
		}
		// The tile of this level is full: it is below the last hash of a level above.
		tile, err := r.tile(ctx, level, atLevel(e.size, level+1)-1, e.size)
		if err != nil || tile[width-1] != h {
			return false, err
		}
		h = subtree(tile)
	}
	return false, nil
}
