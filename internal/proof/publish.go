package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Checkpoint returns once everything added before is covered by a signed checkpoint
// in the store. After an error it may be called again; an error that wraps
// ErrForked is final.
func (l *Log) Checkpoint(ctx context.Context) error { return l.checkpoint(ctx, false) }

func (l *Log) checkpoint(ctx context.Context, keep bool) error {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if err := l.addRepairs(); err != nil {
		return err
	}
	l.mu.Lock()
	failed := l.failed
	l.mu.Unlock()
	if failed != nil {
		return failed
	}
	if err := l.publishAll(ctx, keep); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.fail(fmt.Errorf("publish checkpoint of log %s: %w", l.name, err))
	}
	if err := l.keepIf(ctx, keep); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.fail(fmt.Errorf("keep checkpoint of log %s: %w", l.name, err))
	}
	return nil
}

// keepIf keeps the published checkpoint where it is time to, or where it covers a change of key.
func (l *Log) keepIf(ctx context.Context, must bool) error {
	err := l.keep(ctx, must || l.unkept)
	if _, foreign := errors.AsType[*ForeignObjectError](err); foreign && !must {
		// The checkpoint is published, and the next one is kept under another name.
		if l.opt.Events.Failed != nil {
			l.opt.Events.Failed(fmt.Errorf("keep checkpoint of log %s: %w", l.name, err))
		}
		err = nil
	}
	if err == nil {
		l.unkept = false
	}
	return err
}

// publishAll publishes what is pending now: with one checkpoint, or, where the disk is full, with as many as
// it takes to have each of them decided in the room that was reserved.
func (l *Log) publishAll(ctx context.Context, final bool) error {
	s := l.snapshot()
	for end := s.reach(); s.edge.size < end; s = l.snapshot() {
		if l.unkept { // whoever knows the old key finds the new one in no other checkpoint
			if err := l.keepIf(ctx, false); err != nil {
				return err
			}
		}
		s.pending = s.pending[:end-s.edge.size]
		for {
			err := l.publish(ctx, s, final)
			if err == nil {
				break
			}
			stands := l.decided - min(l.decided, s.edge.size) // so many are decided already
			fewer := stands + (uint64(len(s.pending))-stands)/2
			if !errors.Is(err, errNoRoom) || fewer == 0 || fewer == uint64(len(s.pending)) {
				return err
			}
			s.pending = s.pending[:fewer:fewer]
		}
	}
	return nil
}

// snapshot is the state with the leaves that are pending now.
func (l *Log) snapshot() *state {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := *l.state
	s.pending = s.pending[:len(s.pending):len(s.pending)]
	return &s
}

// decide makes the pending leaves durable: from here on they stand at their indices for ever. The
// caller holds publishing.
func (l *Log) decide(s *state) error {
	if err := s.save(&l.memory); err != nil {
		return err
	}
	l.decided = s.reach()
	return nil
}

// publish puts the checkpoint of the pending leaves into the store. The order is
// what makes a crash harmless: decide, lay out, publish, remember.
func (l *Log) publish(ctx context.Context, s *state, final bool) error {
	if err := l.decide(s); err != nil {
		return err
	}
	// Lay out: nothing refers to these objects yet, and they cannot come out differently.
	var puts []object
	grown := s.grow(len(s.pending), func(level int, n uint64, hashes []tlog.Hash) {
		puts = append(puts, object{name: tilePath(level, n, width), build: func() []byte { return encodeTile(hashes) }})
	})
	puts = append(puts, l.bundles(s, final)...)
	puts = append(puts, partials(s.edge, grown.edge, final)...)
	layOut := func() error { return l.putAll(ctx, puts) }
	if err := layOut(); err != nil {
		return err
	}
	if err := l.decideRepairs(); err != nil {
		return err
	}
	// Publish: the commit point. Whoever reads the bucket sees the old checkpoint or the new one.
	key, next, rotated := l.signers(s.pending)
	checkpoint, err := grown.cp.sign(ctx, key...)
	if err != nil {
		return err
	}
	checkpoint, absent := l.cosign(ctx, grown.cp, checkpoint)
	etag, err := l.putCheckpoint(ctx, s, grown.cp, checkpoint, layOut)
	if err != nil {
		return err
	}
	grown.checkpoint = checkpoint
	l.mu.Lock()
	grown.pending = append([][]byte(nil), l.state.pending[len(s.pending):]...)
	l.state, l.etag, l.when = grown, etag, time.Now()
	if rotated {
		l.key, l.next = next, Key{}
		l.unkept = true
	}
	l.forget(grown.next)
	l.noteWitnesses(grown, absent)
	remember, behind := *grown, grown.pending
	l.mu.Unlock()
	clear(l.confirmed)
	// Remember: so that a bucket put back to an older checkpoint is known as such.
	remember.pending = nil
	if l.decided > grown.edge.size {
		n := l.decided - grown.edge.size // what stands decided behind the new checkpoint stays so
		remember.pending = behind[:n:n]
	}
	if err := remember.save(&l.memory); err != nil && l.opt.Events.Failed != nil {
		l.opt.Events.Failed(err) // what is on the disk still leads to this checkpoint
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

// signers are the keys for a checkpoint over these leaves: both where they hold the change of key.
func (l *Log) signers(leaves [][]byte) (signers []Key, next Key, rotated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	signers = []Key{l.key}
	if hasRotation(leaves) {
		return append(signers, l.next), l.next, true
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

// historyName is where a checkpoint is kept for good; sorted by name they are sorted by size.
func historyName(size uint64) string { return fmt.Sprintf("history/%020d", size) }

// keep puts the published checkpoint into history/: one an hour, and when it must be.
func (l *Log) keep(ctx context.Context, must bool) error {
	l.mu.Lock()
	checkpoint, cp := l.state.checkpoint, l.state.cp
	l.mu.Unlock()
	now := time.Now()
	if cp.Size == 0 || !must && now.Truncate(time.Hour).Equal(l.history) {
		return nil
	}
	name := historyName(cp.Size)
	err := retryTransient(ctx, putAttempts, func() error {
		_, err := l.store.Put(ctx, l.object(name, checkpoint))
		return err
	})
	if store.ClassOf(err) == store.Exists {
		there, _, gerr := l.getUnless(ctx, name, func(b []byte) bool { return l.states(b, cp) })
		switch {
		case gerr != nil:
			return gerr
		case l.states(there, cp):
		case l.contradicts(there, cp):
			return fmt.Errorf("%s is a checkpoint of another tree that our key has signed: another process writes this log, or the data directory is an old copy; %s: %w", l.dir+name, rescueAdvice, ErrForked)
		default:
			return &ForeignObjectError{Key: l.dir + name, Err: err}
		}
		err = nil
	}
	if err != nil {
		return err
	}
	l.history = now.Truncate(time.Hour)
	return nil
}
