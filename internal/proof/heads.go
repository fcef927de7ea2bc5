package proof

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/store"
)

// signedHead is one checkpoint that the tree must agree with.
type signedHead struct {
	Head
	name string // where it was found
	raw  []byte
	kept bool // it comes from elsewhere than the bucket

	reached bool      // the walk came to its size
	tree    tlog.Hash // the root that the tree had there
}

// findHeads collects the checkpoint, what history/ keeps, and what the caller
// knows. The tree that is walked is the checkpoint's; where that is gone, the greatest kept one's.
func (v *verifier) findHeads(ctx context.Context) error {
	// The checkpoint last: a log that grows meanwhile is then never behind its history.
	if err := v.findHistory(ctx); err != nil {
		return err
	}
	bySize := func(a, b *signedHead) int { return cmp.Compare(a.Size, b.Size) }
	if len(v.heads) > 0 {
		v.head = slices.MaxFunc(v.heads, bySize).Head
	}
	raw, _, err := v.get(ctx, "checkpoint")
	switch {
	case store.ClassOf(err) == store.NotFound:
		v.faultf(v.dir+"checkpoint", "the checkpoint is missing")
	case err != nil:
		return err
	default:
		if h := v.addHead(v.dir+"checkpoint", raw, false); h != nil {
			v.head = h.Head
		}
	}
	for _, k := range v.opt.Kept {
		v.addHead(k.Name, k.Checkpoint, true)
	}
	slices.SortStableFunc(v.heads, bySize)
	if v.head.Log == "" {
		v.heads = nil
		v.faultf(v.dir, "there is no signed head of log %s here: nothing can be verified; is it the right place and key?", v.key.Name())
	}
	return nil
}

func (v *verifier) findHistory(ctx context.Context) error {
	for info, err := range v.store.List(ctx, store.ListOptions{Prefix: v.dir + "history/"}) {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(info.Key, v.dir)
		raw, _, err := v.get(ctx, name)
		if err != nil {
			return err
		}
		if h := v.addHead(info.Key, raw, false); h != nil && historyName(h.Size) != name {
			v.faultf(info.Key, "the head kept here has size %d, which its name does not tell", h.Size)
		}
	}
	return nil
}

func (v *verifier) addHead(name string, raw []byte, kept bool) *signedHead {
	h, err := ParseHead(raw)
	if err != nil {
		v.faultf(name, "%v", err)
		return nil
	}
	if h.Log != v.key.Name() {
		v.faultf(name, "the head is that of log %q, not of %s", h.Log, v.key.Name())
		return nil
	}
	s := &signedHead{Head: h, name: name, raw: raw, kept: kept}
	v.heads = append(v.heads, s)
	return s
}

// pass notes the roots of the heads at the size that the walk has come to.
func (v *verifier) pass() {
	for _, h := range v.heads {
		if h.Size == v.tree.size && !v.broken && !h.reached {
			h.reached, h.tree = true, v.tree.root()
		}
	}
}

// checkHeads judges every head once the whole tree was seen.
func (v *verifier) checkHeads() {
	var last *signedHead // the greatest that agrees
	for _, h := range v.heads {
		if err := v.checkSignature(h); err != nil {
			v.faultf(h.name, "the head of size %d: %v", h.Size, err)
			continue
		}
		v.report.Heads++
		switch {
		case h.Size > v.head.Size && h.kept:
			v.faultf(h.name, "this head has size %d, but the bucket's checkpoint only %d: the bucket was put back to an older state", h.Size, v.head.Size)
		case h.Size > v.head.Size:
			v.faultf(h.name, "the head kept here has size %d, but the checkpoint only %d: the checkpoint was replaced by an older one", h.Size, v.head.Size)
		case !h.reached:
			v.faultf(h.name, "the head of size %d cannot be compared: too much of the tree is gone", h.Size)
		case h.tree == h.Root:
			last = h
		case last != nil && last.Size == h.Size:
			v.faultf(h.name, "two trees of size %d were signed: the log was forked (the other is in %s)", h.Size, last.name)
		case last == nil:
			v.faultf(h.name, "the tree in the bucket is not the one that the signed head of size %d states: a leaf among the first %d was changed, added or removed", h.Size, h.Size)
		default:
			v.faultf(h.name, "the tree in the bucket is not the one that the signed head of size %d states, but agrees with that of size %d: a leaf from %d to %d was changed, added or removed", h.Size, last.Size, last.Size, h.Size-1)
		}
	}
}

// checkSignature says whether a key that was valid at the head's size has signed it.
func (v *verifier) checkSignature(h *signedHead) error {
	var keys []note.Verifier
	for _, k := range v.keys() {
		if h.Size >= k.from && h.Size <= k.to {
			keys = append(keys, k.Verifier)
		}
	}
	if _, err := openHead(h.raw, h.Log, keys...); err != nil {
		return fmt.Errorf("it does not bear the log's signature: %w", err)
	}
	return nil
}

// trusted is a key and the sizes of the heads that it may sign.
type trusted struct {
	note.Verifier
	from, to uint64
}

// keys follows the changes of key in the log from the one that the caller
// trusts, forward and backward: each is stated by both keys, so none rests on the tree alone.
func (v *verifier) keys() []trusted {
	chain := []trusted{{v.key, 0, math.MaxInt64}}
	vkey := v.vkey
	for _, c := range v.sense.changes { // forward
		if next, err := note.NewVerifier(c.new); err == nil && c.old == vkey {
			chain[len(chain)-1].to = c.index
			chain = append(chain, trusted{next, c.index + 1, math.MaxInt64})
			vkey = c.new
		}
	}
	vkey = v.vkey
	for _, c := range slices.Backward(v.sense.changes) {
		if old, err := note.NewVerifier(c.old); err == nil && c.new == vkey {
			chain[0].from = c.index + 1
			chain = append([]trusted{{old, 0, c.index}}, chain...)
			vkey = c.old
		}
	}
	return chain
}
