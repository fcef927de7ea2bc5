package proof

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"

	"indelible/internal/store"
)

// readOtherLogs collects the names of the objects that belong to other logs under the same prefix,
// so that they are not called extra. Nobody signs for that here: which object is whose is told, not
// proven, and an object that no log names is no fault either. A log that cannot be read names nothing.
func (v *verifier) readOtherLogs(ctx context.Context) error {
	dir := v.base + "_indelible/"
	for info, err := range v.store.List(ctx, store.ListOptions{Prefix: dir, Delimiter: "/"}) {
		if look := cannotLook(err); look != nil || ctx.Err() != nil {
			return errors.Join(look, ctx.Err())
		}
		if err != nil { // of something that somebody put here, and none of this log's
			v.noticef(dir, "the logs beside this one were not all looked at, and objects of theirs are called extra: %v", err)
			break
		}
		name := strings.TrimSuffix(strings.TrimPrefix(info.Key, dir), "/")
		if !info.Prefix || name == v.report.Log {
			continue
		}
		if len(v.report.OtherLogs) == listed { // anybody may have put these here, too
			v.noticef(dir, "there are more than %d other logs here: the rest was not looked at, and their objects are called extra", listed)
			break
		}
		if v.others == nil {
			v.others = newNameSet()
		}
		if err := v.readOtherLog(ctx, newReader(v.store, v.base, name)); err != nil {
			return err
		}
		v.report.OtherLogs = append(v.report.OtherLogs, name)
	}
	if v.others != nil {
		v.others.seal()
	}
	return nil
}

// readOtherLog takes the names out of another log's leaves, as far as its bundles are there: its size
// is what anybody may have written.
func (v *verifier) readOtherLog(ctx context.Context, r reader) error {
	checkpoint, _, err := r.get(ctx, "checkpoint")
	if err != nil {
		return ctx.Err()
	}
	cp, err := parseCheckpointText(unsigned(checkpoint))
	if err != nil {
		return nil
	}
	bundles := (cp.Size + width - 1) / width
	var ended atomic.Bool
	numbers := func(yield func(uint64) bool) {
		for n := uint64(0); n < bundles && !ended.Load(); n++ {
			if !yield(n) {
				return
			}
		}
	}
	return inParallel(ctx, min(v.opt.Parallel, ahead), numbers, func(ctx context.Context, n uint64) error {
		leaves, err := r.bundleUpTo(ctx, n, cp.Size, aheadBytes/ahead)
		if err != nil {
			ended.Store(true)
			return ctx.Err()
		}
		var names []string
		for _, raw := range leaves {
			if leaf, err := ParseLeaf(raw); err == nil && slices.Contains([]Kind{Record, Stored, Pack}, leaf.Kind) {
				names = append(names, v.objectKey(leaf.Key))
			}
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, name := range names {
			v.others.add(name)
		}
		return nil
	})
}

// unsigned is the text of a signed note, whoever signed it.
func unsigned(signed []byte) string {
	_, err := note.Open(signed, note.VerifierList())
	if e, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return e.Note.Text
	}
	return ""
}
