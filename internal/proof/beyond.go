package proof

import (
	"context"
	"fmt"
	"strings"

	"indelible/internal/store"
)

// reach is how many leaves this data directory knows of: the published ones, and those that it
// decided behind them. Objects up to there may be our own, from before a crash.
func (s *state) reach() uint64 { return s.edge.size + uint64(len(s.pending)) }

// covers is how many hashes, or leaves, a level must have for this tile to be full up to w.
func covers(n uint64, w int) uint64 { return n*width + uint64(w) }

// errBeyond says that an object of this log lies beyond all that this data directory knows of.
func (s *state) errBeyond(key string) error {
	return fmt.Errorf("the bucket holds %s, but this data directory knows of %d leaves only: another process writes this log, or the data directory is new or an old copy, and the checkpoint in the bucket was deleted or put back; %s: %w", key, s.reach(), rescueAdvice, ErrForked)
}

// checkBeyond looks for what a log that is ahead of this data directory has left in the bucket,
// where its checkpoint does not show it. Every such tree has an object in the bundle that the
// next leaf goes into, so that two short lists are enough at any size. What cannot be a
// writer's work there is no fork: putOnce replaces it. A state that was rebuilt from the
// bucket does not know what its own process before it had laid out, so there only
// what was signed counts.
func (l *Log) checkBeyond(ctx context.Context, s *state) error {
	if err := l.checkHistory(ctx, s); err != nil || s.rebuilt {
		return err
	}
	next := tilePath(entries, s.reach()/width, width)
	for info, err := range (patientStore{l.store}).List(ctx, store.ListOptions{Prefix: l.dir + next}) {
		if err != nil {
			return err
		}
		name := info.Key[len(l.dir):]
		level, n, w, ok := parseTilePath(name)
		if !ok || level != entries || covers(n, w) <= s.reach() {
			continue
		}
		content, _, err := (reader{store: patientStore{l.store}, dir: l.dir}).get(ctx, name)
		if err != nil && store.ClassOf(err) != store.NotFound {
			return err
		}
		if _, ok := parseBundle(content, w); ok && err == nil {
			return s.errBeyond(info.Key)
		}
	}
	return nil
}

// parseBundle is the leaves of a bundle, if these bytes are so many.
func parseBundle(content []byte, n int) (leaves [][]byte, ok bool) {
	leaves, err := decodeBundle(content, n)
	for _, raw := range leaves {
		if err == nil {
			_, err = ParseLeaf(raw)
		}
	}
	return leaves, err == nil
}

// checkHistory looks for a kept checkpoint beyond all that this data directory knows of, and signed by our key.
func (l *Log) checkHistory(ctx context.Context, s *state) error {
	prefix := l.dir + "history/"
	for info, err := range (patientStore{l.store}).List(ctx, store.ListOptions{Prefix: prefix, After: l.dir + historyName(s.reach())}) {
		if err != nil {
			return err
		}
		raw, _, err := (reader{store: patientStore{l.store}, dir: l.dir}).get(ctx, strings.TrimPrefix(info.Key, l.dir))
		if store.ClassOf(err) == store.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if cp, err := l.ours(raw); err == nil && cp.Size > s.reach() {
			return s.errBeyond(info.Key)
		}
	}
	return nil
}

// checkUnclaimed makes sure that a log that never had a checkpoint, as far as this data directory
// knows, has no more in the bucket than the leaves decided here: a data directory that has
// lost its memory would begin the tree again over its own.
func (l *Log) checkUnclaimed(ctx context.Context, s *state) error {
	if err := l.checkHistory(ctx, s); err != nil {
		return err
	}
	for info, err := range (patientStore{l.store}).List(ctx, store.ListOptions{Prefix: l.dir + "tile/"}) {
		if err != nil {
			return err
		}
		if level, n, w, ok := parseTilePath(info.Key[len(l.dir):]); ok && covers(n, w) > atLevel(s.reach(), max(level, 0)) {
			return s.errBeyond(info.Key)
		}
	}
	return nil
}
