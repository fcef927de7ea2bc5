package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Checkpoint returns once everything added before is covered by a signed head
// in the store. After an error it may be called again; an error that wraps
// ErrForked is final.
func (l *Log) Checkpoint(ctx context.Context) error { return l.checkpoint(ctx, false) }

func (l *Log) checkpoint(ctx context.Context, keep bool) error {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	l.mu.Lock()
	s, failed := l.state, l.failed
	n := len(s.pending)
	decided := *s
	decided.pending = s.pending[:n:n]
	l.mu.Unlock()
	if failed != nil {
		return failed
	}
	if n > 0 {
		if err := l.publish(ctx, &decided, keep); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.fail(fmt.Errorf("publish head of log %s: %w", l.name, err))
		}
	}
	if err := l.keep(ctx, keep); err != nil {
		return fmt.Errorf("keep head of log %s: %w", l.name, err)
	}
	return nil
}

// publish puts the head of all pending leaves into the store. The order is
// what makes a crash harmless: decide, lay out, publish, remember.
func (l *Log) publish(ctx context.Context, s *state, final bool) error {
	// Decide: from here on these leaves stand at these indices for ever.
	if err := s.save(l.disk); err != nil {
		return err
	}
	// Lay out: nothing refers to these objects yet, and they cannot come out differently.
	var puts []object
	grown := s.grow(len(s.pending), func(level int, n uint64, hashes []tlog.Hash) {
		puts = append(puts, object{name: tilePath(level, n, width), build: func() []byte { return encodeTile(hashes) }})
	})
	puts = append(puts, l.bundles(s, final)...)
	puts = append(puts, partials(s.edge, grown.edge, final)...)
	if err := l.putAll(ctx, puts); err != nil {
		return err
	}
	// Publish: the commit point. Whoever reads the bucket sees the old head or the new one.
	key, next, rotated := l.signers(s.pending)
	checkpoint, err := grown.head.sign(key...)
	if err != nil {
		return err
	}
	etag, err := l.putCheckpoint(ctx, s, checkpoint)
	if err != nil {
		return err
	}
	grown.checkpoint = checkpoint
	l.mu.Lock()
	grown.pending = append([][]byte(nil), l.state.pending[len(s.pending):]...)
	l.state, l.etag, l.rebuilt, l.when = grown, etag, false, time.Now()
	if rotated {
		l.key, l.next = next, Key{}
	}
	l.forget(grown.next)
	remember := *grown
	l.mu.Unlock()
	// Remember: so that a bucket put back to an older head is known as such.
	remember.pending = nil
	if err := remember.save(l.disk); err != nil && l.opt.Events.Failed != nil {
		l.opt.Events.Failed(err) // what is on the disk still leads to this head
	}
	if l.opt.Events.Checkpoint != nil {
		l.opt.Events.Checkpoint(remember.edge.size, l.Stats().Proven)
	}
	return nil
}

// forget drops from the index what is published. The caller holds mu.
func (l *Log) forget(next record.Seq) {
	i := 0
	for i < len(l.index) && l.index[i].last < next {
		i++
	}
	l.index = append([]known(nil), l.index[i:]...)
	if next > 0 {
		l.proven = next - 1
	}
}

// signers are the keys for a head over these leaves: both where they hold the change of key.
func (l *Log) signers(leaves [][]byte) (signers []note.Signer, next Key, rotated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	signers = []note.Signer{l.key.signer()}
	if hasRotation(leaves) {
		return append(signers, l.next.signer()), l.next, true
	}
	return signers, Key{}, false
}

func hasRotation(leaves [][]byte) bool {
	for _, raw := range leaves {
		if bytes.HasPrefix(raw, []byte(`{"v":1,"kind":"key"`)) {
			return true
		}
	}
	return false
}

// rotating says whether a change of key is decided and not published. The caller holds mu.
func (l *Log) rotating() bool { return hasRotation(l.state.pending) }

// object is one of the log's own objects, to be put.
type object struct {
	name    string
	build   func() []byte
	passing bool // superseded soon: a lifecycle rule may expire it
}

// bundles are the entry bundles that the pending leaves fill or begin.
func (l *Log) bundles(s *state, final bool) []object {
	leaves := append(append(make([][]byte, 0, len(s.tail)+len(s.pending)), s.tail...), s.pending...)
	n := s.edge.size / width
	var puts []object
	for ; len(leaves) > 0; n++ {
		w := min(width, len(leaves))
		part := leaves[:w]
		leaves = leaves[w:]
		puts = append(puts, object{tilePath(entries, n, w), func() []byte { return encodeBundle(part) }, w < width && !final})
	}
	return puts
}

// partials are the partial tiles of a tree that have changed since an earlier
// one. Those of the lowest level are superseded by the next head; those above stand
// for long and are never marked as passing.
func partials(before, after *edge, final bool) []object {
	var puts []object
	for level, hashes := range after.levels {
		n := atLevel(after.size, level)
		if len(hashes) > 0 && n != atLevel(before.size, level) {
			puts = append(puts, object{tilePath(level, n/width, len(hashes)), func() []byte { return encodeTile(hashes) }, level == 0 && !final})
		}
	}
	return puts
}

// putAll puts objects side by side and stops at the first error.
func (l *Log) putAll(ctx context.Context, puts []object) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, l.opt.Parallel)
	var wg sync.WaitGroup
	for _, o := range puts {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := l.putOnce(ctx, o); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// putOnce puts an object that must never change. One that is there already is
// accepted if its bytes are the same.
func (l *Log) putOnce(ctx context.Context, o object) error {
	data := o.build()
	obj := l.object(o.name, data)
	obj.NoLock = o.passing
	if o.passing {
		obj.Tags = map[string]string{"indelible": "partial"}
	}
	_, err := l.store.Put(ctx, obj)
	if store.ClassOf(err) != store.Exists {
		return err
	}
	there, info, gerr := l.get(ctx, o.name)
	if gerr != nil {
		return gerr // nothing is known; also when it is not there after all
	}
	if bytes.Equal(there, data) {
		return nil
	}
	if err := l.unclaimed(ctx); err != nil {
		return fmt.Errorf("%s holds other bytes than ours: %w", o.name, err)
	}
	obj.Condition = store.Condition{Match: info.ETag}
	_, err = l.store.Put(ctx, obj)
	return err
}

// unclaimed says whether an object beyond the head may be replaced: only in a
// log that was rebuilt without a memory of its own, where it was left behind by a
// process that never signed it.
func (l *Log) unclaimed(ctx context.Context) error {
	l.mu.Lock()
	rebuilt, want := l.rebuilt, l.state.checkpoint
	l.mu.Unlock()
	if !rebuilt {
		return fmt.Errorf("another process writes this log, or the data directory is an old copy: %w", ErrForked)
	}
	have, _, err := l.get(ctx, "checkpoint")
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("another process writes this log: %w", ErrForked)
	}
	return nil
}

func (l *Log) object(name string, data []byte) store.Object {
	kind, cache := "application/octet-stream", "max-age=31536000, immutable"
	if name == "checkpoint" {
		cache = "no-cache"
	}
	if len(name) < 4 || name[:4] != "tile" {
		kind = "text/plain; charset=utf-8"
	}
	return store.Object{
		Key: l.dir + name, Body: bytes.NewReader(data), Size: int64(len(data)), Digest: sha256.Sum256(data),
		Header: map[string]string{"content-type": kind, "cache-control": cache},
	}
}

// putCheckpoint replaces the checkpoint, if it is still the one that we know.
func (l *Log) putCheckpoint(ctx context.Context, s *state, checkpoint []byte) (etag string, err error) {
	l.mu.Lock()
	etag = l.etag
	l.mu.Unlock()
	for range 2 {
		obj := l.object("checkpoint", checkpoint)
		obj.Condition = store.Condition{Match: etag}
		info, err := l.store.Put(ctx, obj)
		if e, ok := errors.AsType[*store.Error](err); ok && e.Status == 501 && etag != "" { // a store without If-Match
			obj.Condition = store.Condition{Any: true}
			info, err = l.store.Put(ctx, obj)
		}
		if err == nil {
			return info.ETag, nil
		}
		if store.ClassOf(err) != store.Exists && store.ClassOf(err) != store.NotFound {
			return "", err
		}
		there, info, gerr := l.get(ctx, "checkpoint")
		if gerr != nil {
			return "", gerr
		}
		if bytes.Equal(there, checkpoint) {
			return info.ETag, nil
		}
		// An earlier attempt of ours may have come through after all.
		head, herr := l.ours(there)
		if herr != nil {
			return "", herr
		}
		if _, herr = s.advance(head, there); herr != nil {
			return "", herr
		}
		etag = info.ETag
	}
	return "", fmt.Errorf("the checkpoint changes under our hands: %w", ErrForked)
}

// ours opens a checkpoint that we must have signed.
func (l *Log) ours(checkpoint []byte) (Head, error) {
	l.mu.Lock()
	keys := []note.Verifier{l.key.verifier()}
	if !l.next.zero() {
		keys = append(keys, l.next.verifier())
	}
	l.mu.Unlock()
	head, err := openHead(checkpoint, l.name, keys...)
	if err != nil {
		return Head{}, fmt.Errorf("the bucket's checkpoint is not ours (%w): %w", err, ErrForked)
	}
	return head, nil
}

// historyName is where a head is kept for good; sorted by name they are sorted by size.
func historyName(size uint64) string { return fmt.Sprintf("history/%020d", size) }

// keep puts the published head into history/: one an hour, and when it must be.
func (l *Log) keep(ctx context.Context, must bool) error {
	l.mu.Lock()
	checkpoint, size := l.state.checkpoint, l.state.edge.size
	l.mu.Unlock()
	now := time.Now()
	if size == 0 || !must && now.Truncate(time.Hour).Equal(l.history) {
		return nil
	}
	if err := l.putOnce(ctx, object{name: historyName(size), build: func() []byte { return checkpoint }}); err != nil {
		return err
	}
	l.history = now.Truncate(time.Hour)
	return nil
}
