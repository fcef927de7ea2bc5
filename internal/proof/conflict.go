package proof

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/store"
)

// RescueCommand brings the records that a data directory holds into the
// bucket under a new log, whatever became of the old one.
const RescueCommand = "indelible rescue"

// rescueAdvice is what every error says that no retry helps.
const rescueAdvice = `"` + RescueCommand + `" brings the records that wait here into the bucket under a new log`

// putCheckpoint replaces the checkpoint, if it is still the one that we know,
// and otherwise finds out what became of that. Only a checkpoint of another tree, a
// newer one or one of a foreign key is a fork; one that is gone, or an older one of our own,
// is put again once the published tiles were found in the bucket, and layOut did its part again.
func (l *Log) putCheckpoint(ctx context.Context, s *state, cp Checkpoint, checkpoint []byte, layOut func() error) (string, error) {
	l.mu.Lock()
	etag := l.etag
	l.mu.Unlock()
	for attempt := 1; ; attempt++ {
		obj := l.object("checkpoint", checkpoint)
		obj.Condition = store.Condition{Match: etag}
		info, err := l.put(ctx, obj)
		if err == nil {
			return info.ETag, nil
		}
		conflict := store.ClassOf(err) == store.Exists || store.ClassOf(err) == store.NotFound
		if conflict {
			there, found, gerr := l.getUnless(ctx, "checkpoint", func(b []byte) bool { return l.states(b, cp) })
			switch {
			case store.ClassOf(gerr) == store.NotFound:
				there, found = nil, store.Info{}
			case gerr != nil:
				return "", gerr
			case l.states(there, cp):
				return found.ETag, nil // an earlier attempt came through after all
			}
			repair := false
			err := twice(ctx, func() (err error) {
				repair, err = l.restorable(ctx, s, there)
				return err
			})
			if err == nil && repair {
				err = layOut()
			}
			if err == nil && repair {
				err = l.decideRepairs()
			}
			if err != nil {
				return "", err
			}
			if etag != found.ETag && attempt < putAttempts {
				etag = found.ETag
				continue
			}
		}
		if !conflict && !transient(err) || attempt == putAttempts || ctx.Err() != nil {
			return "", err
		}
		if pause(ctx, attempt, err) != nil {
			return "", err
		}
	}
}

// restorable says whether the checkpoint that was found in the bucket, nil if
// none was, may be replaced by one that follows s. It may if s published or decided
// it; and also, as a repair, if it is gone or an older one of the same tree, while the tiles
// of the published tree are all there.
func (l *Log) restorable(ctx context.Context, s *state, found []byte) (repair bool, err error) {
	if found == nil && len(s.checkpoint) == 0 {
		return false, l.checkUnclaimed(ctx, s) // there never was one
	}
	what := fmt.Sprintf("the checkpoint of size %d was gone from the bucket", s.cp.Size)
	if found != nil {
		cp, perr := ParseCheckpoint(found)
		switch {
		case perr != nil && len(s.checkpoint) > 0:
			what = fmt.Sprintf("in the bucket the checkpoint of size %d was overwritten with something that is none", s.cp.Size)
		case perr == nil && cp.Log == s.cp.Log && cp.Size < s.cp.Size:
			// Whoever signed it: what states a part of our tree forks nothing.
			if err := l.older(ctx, s, cp); err != nil {
				return false, err
			}
			what = fmt.Sprintf("in the bucket the checkpoint of size %d was put back to that of size %d", s.cp.Size, cp.Size)
		default:
			if cp, err = l.ours(found); err != nil {
				return false, err
			}
			_, err = s.advance(cp, found)
			return false, err
		}
	}
	if err := l.checkTiles(ctx, s); err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	l.tell(what + "; all its tiles were there, and it is published again")
	return true, nil
}

// older says whether an older checkpoint states a part of our tree.
func (l *Log) older(ctx context.Context, s *state, cp Checkpoint) error {
	root, err := l.rootAt(ctx, s.cp, cp.Size)
	if err != nil {
		return fmt.Errorf("the bucket's checkpoint has size %d, but this data directory published one of size %d, and the tiles do not show whether they are of one tree (%w): the bucket was put back to an older state; %s: %w", cp.Size, s.cp.Size, err, rescueAdvice, ErrForked)
	}
	if root != cp.Root {
		return fmt.Errorf("the bucket's checkpoint of size %d is of another tree than ours: another process writes this log; %s: %w", cp.Size, rescueAdvice, ErrForked)
	}
	return nil
}

// rootAt is the root that the tree of cp had at an earlier size, from its tiles.
func (l *Log) rootAt(ctx context.Context, cp Checkpoint, size uint64) (tlog.Hash, error) {
	if size == 0 {
		return (&edge{}).root(), nil
	}
	r := reader{store: patientStore{l.store}, dir: l.dir}
	tiles := tileReader{ctx: ctx, reader: r, size: cp.Size}
	return tlog.TreeHash(int64(size), tlog.TileHashReader(tlog.Tree{N: int64(cp.Size), Hash: cp.Root}, &tiles))
}

// checkTiles makes sure that the bucket has every tile and bundle of the
// published tree, and none of a tree that is ahead of this data directory: it counts the full
// ones, and puts the partial ones that are missing.
func (l *Log) checkTiles(ctx context.Context, s *state) error {
	if err := l.checkHistory(ctx, s); err != nil {
		return err
	}
	have, known := map[int]uint64{}, false
	for info, err := range (patientStore{l.store}).List(ctx, store.ListOptions{Prefix: l.dir + "tile/"}) {
		if err != nil {
			return err
		}
		level, n, w, ok := parseTilePath(info.Key[len(l.dir):])
		if ok && covers(n, w) > atLevel(s.reach(), max(level, 0)) {
			return s.errBeyond(info.Key)
		}
		if !ok || covers(n, w) > atLevel(s.cp.Size, max(level, 0)) {
			continue
		}
		known = true
		if w == width {
			have[level]++
		}
	}
	if !known {
		return fmt.Errorf("the bucket has no tile of this log: is it the right bucket and prefix? If it was emptied, %s: %w", rescueAdvice, ErrForked)
	}
	for level := entries; level == entries || atLevel(s.cp.Size, level) > 0; level++ {
		if want := atLevel(s.cp.Size, max(level, 0)) / width; have[level] < want {
			return fmt.Errorf("the bucket lacks %d of the %d full tiles at level %d: it was put back to an older state; %s: %w", want-have[level], want, level, rescueAdvice, ErrForked)
		}
	}
	clear(l.confirmed)
	puts := partials(&edge{}, s.edge, true)
	if len(s.tail) > 0 {
		puts = append(puts, object{name: tilePath(entries, s.cp.Size/width, len(s.tail)), build: func() []byte { return encodeBundle(s.tail) }})
	}
	return l.putAll(ctx, puts)
}

// tell says what was repaired, now and with a leaf of the next checkpoint.
func (l *Log) tell(what string) {
	if l.opt.Events.Repaired != nil {
		l.opt.Events.Repaired(what)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repairs = append(l.repairs, what)
}

// decideRepairs makes the leaves of repairs durable before the checkpoint that they are about is
// published, so that no kill loses what was done. The caller holds publishing.
func (l *Log) decideRepairs() error {
	l.mu.Lock()
	none := len(l.repairs) == 0
	l.mu.Unlock()
	if none {
		return nil
	}
	if err := l.addRepairs(); err != nil {
		return err
	}
	return l.decide(l.snapshot())
}

// addRepairs puts a leaf into the log for each repair since the last call.
func (l *Log) addRepairs() error {
	l.mu.Lock()
	repairs := l.repairs
	l.repairs = nil
	l.mu.Unlock()
	for _, what := range repairs {
		if err := l.lifecycle(Leaf{Kind: Repair, Reason: cut(what, maxReason)}); err != nil {
			return err
		}
	}
	return nil
}
