package proof

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Add takes outcomes in the order of their seq, as upload's ledger has it:
// Stored, Deferred or Quarantined. One that the tree knows already, from
// before a crash, is compared with what stands there and added no second time; one
// that was parked gets its leaf when it comes as Stored. The leaves are covered
// by the next checkpoint, which Add writes itself when many are waiting.
//
// Outcomes that leave a hole are refused with ErrOrder; other bytes under a
// seq that the tree knows are ErrForked.
func (l *Log) Add(ctx context.Context, outcomes ...record.Outcome) error {
	l.adding.Lock()
	defer l.adding.Unlock()
	for i := range outcomes {
		if err := l.addOne(ctx, &outcomes[i]); err != nil {
			return fmt.Errorf("add to log %s: %w", l.name, err)
		}
	}
	return nil
}

func (l *Log) addOne(ctx context.Context, o *record.Outcome) error {
	leaf, err := leafOf(o)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.failed != nil {
		defer l.mu.Unlock()
		return l.failed
	}
	if o.Seq < l.opt.Origin.First {
		defer l.mu.Unlock()
		l.earlier(&leaf)
		return nil
	}
	if l.from != 0 && o.Seq > l.from {
		defer l.mu.Unlock()
		return errOrder(l.from, o.Seq)
	}
	if l.from == 0 || o.Seq == l.from {
		full := l.append(&leaf)
		l.mu.Unlock()
		if full {
			return l.Checkpoint(ctx)
		}
		return nil
	}
	k, ok := l.pendingAt(o.Seq)
	size := l.state.edge.size
	l.mu.Unlock()
	if !ok {
		if k, err = l.publishedAt(ctx, o.Seq, o.Digest, size); err != nil {
			return err
		}
	}
	if k.kind == Pack {
		if k.digest, err = l.rowDigest(ctx, o.Seq); err != nil {
			return err
		}
	}
	return l.again(&leaf, o, k)
}

// again takes an outcome whose seq has its place in the tree: k.
func (l *Log) again(leaf *Leaf, o *record.Outcome, k known) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	// What could not be read when the leaf was made, or lies in a pack that cannot be read now, has no digest here.
	unread := (k.kind == Deferred || k.kind == Pack) && k.digest == record.Digest{} || o.Digest == record.Digest{}
	if k.kind != Gap && !unread && k.digest != o.Digest {
		return l.fail(fmt.Errorf("record %d has SHA-256 %s, but in the tree it has %s: the data directory is an old copy, or another process writes this log: %w", o.Seq, o.Digest, k.digest, ErrForked))
	}
	if o.State != record.Stored || k.kind == Record || k.kind == Pack {
		return nil
	}
	leaf.Kind = Stored
	l.append(leaf)
	return nil
}

// leafOf is the leaf that states an outcome.
func leafOf(o *record.Outcome) (Leaf, error) {
	if o.Seq == 0 {
		return Leaf{}, errors.New("record without a seq")
	}
	leaf := Leaf{
		Seq: o.Seq, Time: o.Time, Door: cut(o.Door, maxName), Source: cut(o.Source, maxName), Bucket: cut(o.Bucket, maxName),
		Size: o.Size, Digest: o.Digest,
	}
	switch o.State {
	case record.Stored:
		leaf.Kind, leaf.Key, leaf.VersionID, leaf.Attrs = Record, o.Stored, o.Version, o.AttrsDigest
		if o.Stored == "" {
			return Leaf{}, fmt.Errorf("record %d is stored, but nothing says where", o.Seq)
		}
		if leaf.Attrs == (record.Digest{}) {
			leaf.Attrs = store.NoAttrs()
		}
	case record.Deferred:
		leaf.Kind, leaf.Reason = Deferred, cut(o.Reason, maxReason)
		if o.Digest == (record.Digest{}) { // nobody can read it now
			at := o.Time
			if at.IsZero() {
				at = time.Now()
			}
			return Leaf{Kind: Deferred, Seq: o.Seq, Time: at, Reason: leaf.Reason, Unread: true}, nil
		}
	case record.Quarantined:
		leaf.Kind, leaf.Reason = Quarantined, cut(o.Reason, maxReason)
	default:
		return Leaf{}, fmt.Errorf("record %d is %s: nothing to prove yet", o.Seq, o.State)
	}
	switch {
	case o.Key == leaf.Key:
	case len(o.Key) > maxQuoted:
		sum := sha256.Sum256([]byte(o.Key))
		leaf.SentKeySum = hex.EncodeToString(sum[:])
	default:
		leaf.SentKey = o.Key
	}
	return leaf, nil
}

// append puts a leaf at the end of the log, in memory, and says whether it is
// time for a checkpoint. The caller holds mu.
func (l *Log) append(leaf *Leaf) (full bool) {
	l.state.pending = append(l.state.pending, leaf.Encode())
	l.note(leaf)
	l.lastTime = time.Now()
	return len(l.state.pending) >= l.opt.MaxPending
}

// pendingAt finds a seq among the pending leaves. The caller holds mu.
func (l *Log) pendingAt(seq record.Seq) (known, bool) {
	i := sort.Search(len(l.index), func(i int) bool { return l.index[i].last >= seq })
	if i < len(l.index) && l.index[i].first <= seq {
		return l.index[i], true
	}
	return known{}, false
}

// publishedAt finds a seq in the published tree of this size. The caller holds adding.
func (l *Log) publishedAt(ctx context.Context, seq record.Seq, digest record.Digest, size uint64) (known, error) {
	if l.lookup == nil || l.lookup.size != size {
		l.lookup = &finder{reader: l.reader, size: size}
	}
	p, ok, err := l.lookup.find(ctx, seq)
	if err != nil {
		return known{}, fmt.Errorf("find record %d in the tree: %w", seq, err)
	}
	if !ok {
		// The log was begun behind it, while it was parked. Like any record that was, it
		// gets a leaf once it is stored.
		return known{seq, seq, Deferred, digest}, nil
	}
	last, _ := p.leaf.last()
	return known{p.leaf.first(), last, p.leaf.Kind, p.leaf.Digest}, nil
}

// Gap takes a range of acked records that were lost to damage, in its place in the order. What
// the tree knows of it already stays as it is.
func (l *Log) Gap(ctx context.Context, gap record.GapError) error {
	l.adding.Lock()
	defer l.adding.Unlock()
	l.mu.Lock()
	if l.failed != nil {
		defer l.mu.Unlock()
		return l.failed
	}
	if gap.First == 0 || gap.Last < gap.First || l.from != 0 && gap.First > l.from {
		defer l.mu.Unlock()
		return fmt.Errorf("add to log %s: gap of %s where %d should come: %w", l.name, SeqRange{gap.First, gap.Last}, l.from, ErrOrder)
	}
	full := false
	if gap.Last >= l.from {
		full = l.append(&Leaf{Kind: Gap, First: max(gap.First, l.from), Last: gap.Last, Time: time.Now(), Reason: cut(gap.Cause, maxReason)})
	}
	l.mu.Unlock()
	if full {
		return l.Checkpoint(ctx)
	}
	return nil
}

// lifecycle appends a leaf of the log's own life.
func (l *Log) lifecycle(leaf Leaf) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	leaf.Time = time.Now()
	if l.from > 0 {
		leaf.Seq = l.from - 1
	}
	l.append(&leaf)
	return nil
}

// Start says that a process began to write the log: which program, and the
// digest of its configuration. Where the process before did not end with Stop, or where recovered
// says what the spool knows of its end ("" if nothing), a leaf before says so. Both are
// durable here when Start returns, so that a process which dies before its first
// checkpoint is known to have lived.
func (l *Log) Start(program, config, recovered string) error {
	if err := l.begin(); err != nil {
		return err
	}
	if !l.Clean() && recovered == "" {
		recovered = "the process before did not stop in good order; records that its disk lost, if any, stand in gap leaves"
	}
	if recovered != "" {
		if err := l.lifecycle(Leaf{Kind: Recovered, Reason: cut(recovered, maxReason)}); err != nil {
			return err
		}
	}
	err := l.lifecycle(Leaf{Kind: Start, Program: cut(program, maxName), Config: cut(config, maxName), Prefix: slashed(l.opt.Base)})
	if err == nil {
		err = l.addRepairs()
	}
	if err != nil {
		return err
	}
	l.publishing.Lock() // no checkpoint is decided in between
	defer l.publishing.Unlock()
	return l.decide(l.snapshot())
}

// Config says that the configuration changed while the process ran.
func (l *Log) Config(config string) error {
	return l.lifecycle(Leaf{Kind: Config, Config: cut(config, maxName), Prefix: slashed(l.opt.Base)})
}

// Tick says that the log lives though nothing happens.
func (l *Log) Tick() error { return l.lifecycle(Leaf{Kind: Tick}) }

// Stop says that the process ends in good order, and publishes and keeps the
// last checkpoint. Nothing is to be added afterwards.
func (l *Log) Stop(ctx context.Context) error {
	if err := l.lifecycle(Leaf{Kind: Stop}); err != nil {
		return err
	}
	return l.checkpoint(ctx, true)
}

// Rotate changes the signing key: a leaf signed by both says so, and the checkpoint
// that covers it is signed by both and kept for good. next must be durable, and handed to Open as
// Options.Next, until Rotate has returned nil; from then on it is the log's key.
func (l *Log) Rotate(ctx context.Context, next Key) error {
	if next.Name() != l.name {
		return fmt.Errorf("rotate key of log %s: the new one is of log %q", l.name, next.Name())
	}
	if err := l.beginRotation(ctx, next); err != nil {
		return err
	}
	return l.checkpoint(ctx, true)
}

// beginRotation adds the leaf that says so, unless it is there. It binds the tree before it, so nothing may be
// added or published while the keys sign, which one outside may take long to.
func (l *Log) beginRotation(ctx context.Context, next Key) error {
	l.adding.Lock()
	defer l.adding.Unlock()
	l.publishing.Lock()
	defer l.publishing.Unlock()
	for {
		l.mu.Lock()
		begun, failed, old := l.rotating(), l.failed, l.key
		other := begun && l.next.Public() != next.Public() || old.Public() == next.Public()
		pending := len(l.state.pending)
		before := l.state.grow(pending, nil).cp
		l.mu.Unlock()
		switch {
		case other:
			return fmt.Errorf("rotate key of log %s: another change of key is under way, or the key is the same", l.name)
		case begun || failed != nil:
			return failed
		}
		leaf, err := rotationLeaf(ctx, before, old, next)
		if err != nil {
			return fmt.Errorf("rotate key of log %s: %w", l.name, err)
		}
		if l.addRotation(leaf, pending, next) {
			return nil
		}
	}
}

// rotationLeaf is the leaf of a change of key behind this tree.
func rotationLeaf(ctx context.Context, before Checkpoint, old, next Key) (*Leaf, error) {
	root := hex.EncodeToString(before.Root[:])
	text := rotation(before.Log, old.Public(), next.Public(), before.Size, root)
	oldSig, err := old.signStatement(ctx, text)
	if err != nil {
		return nil, err
	}
	newSig, err := next.signStatement(ctx, text)
	if err != nil {
		return nil, err
	}
	return &Leaf{
		Kind: NewKey, Time: time.Now(), Size: int64(before.Size), Root: root,
		Old: old.Public(), New: next.Public(), OldSig: oldSig, NewSig: newSig,
	}, nil
}

// addRotation adds the leaf, unless another one, of the log's own life, came before it.
func (l *Log) addRotation(leaf *Leaf, pending int, next Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.state.pending) != pending {
		return false
	}
	if l.from > 0 {
		leaf.Seq = l.from - 1
	}
	l.next = next
	l.append(leaf)
	return true
}
