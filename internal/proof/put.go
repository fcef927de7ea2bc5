package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"indelible/internal/store"
)

// putAttempts is how often one object is put before the checkpoint is given
// up for now. At 15 % of failures one object in 170 million fails ten times in a row.
const putAttempts = 10

// ForeignObjectError says that an object stands where one of the log's own
// must be, and that it could not be replaced. Records are acknowledged and
// delivered all the same; they are released once the object is out of the way.
type ForeignObjectError struct {
	Key string // in the store
	Err error  // why it was not replaced
}

func (e *ForeignObjectError) Error() string {
	return fmt.Sprintf("%s holds bytes that are not this log's, and could not be replaced: remove or move that object, and the log goes on by itself: %v", e.Key, e.Err)
}

// Unwrap is the cause.
func (e *ForeignObjectError) Unwrap() error { return e.Err }

// putAll puts objects side by side, each again until it is there or its
// attempts are used up. After the first that gave up no further one is begun. What is
// there is remembered until the checkpoint is published, so that a later
// attempt puts only what is missing. The caller holds publishing.
func (l *Log) putAll(ctx context.Context, puts []object) error {
	var (
		mu    sync.Mutex // guards first and, among the puts, l.confirmed
		first error
		wg    sync.WaitGroup
	)
	begin := func(name string) (needed, stop bool) {
		mu.Lock()
		defer mu.Unlock()
		return !l.confirmed[name], first != nil || ctx.Err() != nil
	}
	slots := make(chan struct{}, l.opt.Parallel)
	for _, o := range puts {
		slots <- struct{}{}
		needed, stop := begin(o.name)
		if stop {
			break
		}
		if !needed {
			<-slots
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			err := retryTransient(ctx, putAttempts, func() error { return l.putOnce(ctx, o) })
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				l.confirmed[o.name] = true
			case first == nil:
				first = err
			}
		})
	}
	wg.Wait()
	if first == nil {
		return context.Cause(ctx)
	}
	return first
}

// putOnce puts an object that must never change. One that is there already is
// accepted if its bytes are the same.
func (l *Log) putOnce(ctx context.Context, o object) error {
	data := o.build()
	obj := l.object(o.name, data)
	obj.NoLock = o.temporary
	if o.temporary {
		obj.Tags = map[string]string{"indelible": "partial"}
	}
	_, err := l.store.Put(ctx, obj)
	if store.ClassOf(err) != store.Exists {
		return err
	}
	there, info, gerr := l.getUnless(ctx, o.name, func(b []byte) bool { return bytes.Equal(b, data) })
	switch {
	case store.ClassOf(gerr) == store.NotFound: // a conflict of two puts, neither of which is done
		return &store.Error{Op: "put", Key: obj.Key, Class: store.Ambiguous, Err: errors.Join(err, gerr)}
	case gerr != nil:
		return gerr
	case bytes.Equal(there, data):
		return nil
	}
	return l.replaceForeign(ctx, o, obj, there, info)
}

// replaceForeign puts one of the log's objects in the place of other bytes. No
// checkpoint refers to those, because the one in the bucket is still the one that this writer
// knows, and the object lies beyond it. Bytes that continue the published tree may be
// another writer's, who is about to sign them, and stay; but where this log was opened
// without its memory they are what a process before it left unsigned.
func (l *Log) replaceForeign(ctx context.Context, o object, obj store.Object, there []byte, info store.Info) error {
	l.mu.Lock()
	s := l.state
	l.mu.Unlock()
	have, _, err := l.getUnless(ctx, "checkpoint", func(b []byte) bool { return l.states(b, s.cp) })
	switch {
	case store.ClassOf(err) == store.NotFound: // putCheckpoint says what that means
	case err != nil:
		return err
	case !l.states(have, s.cp):
		return fmt.Errorf("%s holds other bytes than ours, and the checkpoint is not the one that this data directory published: another process writes this log, or the data directory is an old copy; %s: %w", obj.Key, rescueAdvice, ErrForked)
	}
	if !s.rebuilt && s.continues(o.name, there) {
		return &ForeignObjectError{Key: obj.Key, Err: errors.New("it may be the work of another process that writes this log")}
	}
	obj.Body, obj.Condition = bytes.NewReader(o.build()), store.Condition{Match: info.ETag}
	if _, err := l.put(ctx, obj); err != nil {
		if transient(err) || store.ClassOf(err) == store.Exists {
			return err
		}
		return &ForeignObjectError{Key: obj.Key, Err: err}
	}
	if s.rebuilt {
		return nil
	}
	l.tell(obj.Key + " held bytes that were not this log's; they were replaced before any checkpoint referred to them")
	return nil
}

// continues says whether the content of an object beyond the published tree
// begins with what that tree has there, as only a writer of this log makes it.
func (s *state) continues(name string, content []byte) bool {
	level, n, w, ok := parseTilePath(name)
	if !ok {
		return false
	}
	if level == entries {
		leaves, ok := parseBundle(content, w)
		if !ok || n < s.edge.size/width {
			return false
		}
		for i, leaf := range leaves {
			if n == s.edge.size/width && i < len(s.tail) && !bytes.Equal(leaf, s.tail[i]) {
				return false
			}
		}
		return true
	}
	hashes, err := decodeTile(content, w)
	if err != nil {
		return false
	}
	if level < len(s.edge.levels) && n == atLevel(s.edge.size, level)/width {
		for i, h := range s.edge.levels[level] {
			if i < len(hashes) && h != hashes[i] {
				return false
			}
		}
	}
	return true
}

// put is the store's, and overwrites where the store knows no If-Match.
func (l *Log) put(ctx context.Context, obj store.Object) (store.Info, error) {
	info, err := l.store.Put(ctx, obj)
	if e, ok := errors.AsType[*store.Error](err); ok && e.Status == 501 && obj.Condition.Match != "" {
		if _, err := obj.Body.Seek(0, io.SeekStart); err != nil {
			return store.Info{}, err
		}
		obj.Condition = store.Condition{Any: true}
		info, err = l.store.Put(ctx, obj)
	}
	return info, err
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
		NoLock: name == "checkpoint", // it is replaced every minute: a locked version of each would stay for years
	}
}

// ours opens a checkpoint that we must have signed.
func (l *Log) ours(checkpoint []byte) (Checkpoint, error) {
	l.mu.Lock()
	keys := []publicKey{l.key.public}
	if !l.next.zero() {
		keys = append(keys, l.next.public)
	}
	l.mu.Unlock()
	cp, err := openCheckpoint(checkpoint, l.name, keys...)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the bucket's checkpoint is not signed by our key (%w); %s: %w", err, rescueAdvice, ErrForked)
	}
	return cp, nil
}

// states says whether a checkpoint is this log's and states this tree. Its
// bytes may differ in the signatures of witnesses.
func (l *Log) states(checkpoint []byte, want Checkpoint) bool {
	cp, err := l.ours(checkpoint)
	return err == nil && cp == want
}

// contradicts says whether a checkpoint is this log's and states another tree of the same size.
func (l *Log) contradicts(checkpoint []byte, want Checkpoint) bool {
	cp, err := l.ours(checkpoint)
	return err == nil && cp.Size == want.Size && cp.Root != want.Root
}
