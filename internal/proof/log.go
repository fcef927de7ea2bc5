package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/disk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Log is the writer of one transparency log. Only one may be open for a data
// directory; the caller holds the lock on that. Its methods are safe for concurrent use.
type Log struct {
	reader
	name string
	disk disk.FS
	opt  Options

	memory memory // owned by publishing

	adding     sync.Mutex      // held by Add and Gap: keeps their order
	lookup     *finder         // owned by adding: where records added again are found
	rows       rowDigests      // owned by adding: of the pack that a record added again was last compared with
	publishing sync.Mutex      // held while a checkpoint is published; taken before mu
	witnesses  []*witness      // set by Open
	http       *http.Client    // set by Open: asks witnesses
	history    time.Time       // owned by publishing: when a checkpoint was last kept for good
	decided    uint64          // owned by publishing: up to where leaves are durable here
	confirmed  map[string]bool // owned by publishing: objects that are there for the next checkpoint
	absent     string          // owned by publishing: the witnesses that did not cosign the last checkpoint
	unkept     bool            // owned by publishing: the published checkpoint covers a change of key, and is not kept for good yet

	mu       sync.Mutex
	state    *state     // under mu; replaced, never changed in place, but for appends to pending
	etag     string     // under mu: of the published checkpoint object
	key      Key        // under mu: signs
	next     Key        // under mu: signs from the pending NewKey leaf on
	from     record.Seq // under mu: the seq that the tree expects next; 0: any
	index    []known    // under mu: the pending leaves that count, in order
	lastKind Kind       // under mu: of the last leaf that says whether a process writes the log
	lastTime time.Time  // under mu: when the last leaf was added by this process
	repairs  []string   // under mu: what was repaired and has no leaf yet
	proven   record.Seq // under mu: the last seq that the published checkpoint covers
	when     time.Time  // under mu: when it was published, zero if that is not known
	cosigned int        // under mu: how many witnesses cosigned the last checkpoint
	failed   error      // under mu: why nothing goes any more
}

// known is a pending leaf that takes a place in the order.
type known struct {
	first, last record.Seq
	kind        Kind
	digest      record.Digest
}

// Open finds the log in the store, or begins one, and takes up what this data
// directory had decided before. It reads a few objects at any size of the
// tree, unless the checkpoint is gone or an older one was put back: then it looks for all tiles of
// the tree, and the next Checkpoint puts it there again. Start is the first thing to call.
func Open(ctx context.Context, st store.Store, key Key, o Options) (*Log, error) {
	if o.Disk == nil {
		return nil, errors.New("open log: no data directory")
	}
	if err := CheckName(key.Name()); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 1 << 16
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.WitnessTimeout <= 0 {
		o.WitnessTimeout = DefaultWitnessTimeout
	}
	witnesses, err := parseWitnesses(o.Witnesses)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", key.Name(), err)
	}
	if o.Pacer != nil {
		st = pacedStore{st, o.Pacer}
	}
	var l *Log
	err = twice(ctx, func() error {
		l = &Log{reader: newReader(st, o.Base, key.Name()), name: key.Name(), disk: o.Disk, memory: memory{disk: o.Disk}, opt: o, key: key, next: o.Next, witnesses: witnesses, confirmed: map[string]bool{}, http: &http.Client{}}
		return l.load(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", key.Name(), err)
	}
	l.unkept = l.twoKeys(l.state.checkpoint) // a process may have died before it was kept
	return l, nil
}

// twoKeys says whether a checkpoint bears a signature of another key of the log beside that of its own, as the one that covers
// a change of key does.
func (l *Log) twoKeys(checkpoint []byte) bool {
	n, err := note.Open(checkpoint, note.VerifierList(l.key.public.verifiers()...))
	return err == nil && slices.ContainsFunc(n.UnverifiedSigs, func(s note.Signature) bool { return s.Name == l.name })
}

// load brings the memory on disk and the checkpoint in the bucket together.
func (l *Log) load(ctx context.Context) error {
	mine, err := loadState(l.disk, l.name)
	if err != nil {
		return err
	}
	signed := func(b []byte) bool { _, err := l.ours(b); return err == nil }
	published, info, err := l.getUnless(ctx, "checkpoint", signed)
	for attempt := 1; store.ClassOf(err) == store.NotFound && mine != nil && len(mine.checkpoint) > 0 && attempt < patience; attempt++ {
		// We put one there. A store that replaces an object in two steps shows none for a
		// moment, and what follows from none is final.
		if perr := pause(ctx, attempt, err); perr != nil {
			return fmt.Errorf("%w, so far: %w", err, perr) // whoever has more time should ask again
		}
		published, info, err = l.getUnless(ctx, "checkpoint", signed)
	}
	if err != nil && store.ClassOf(err) != store.NotFound {
		return err
	}
	if err != nil {
		if mine == nil {
			mine = &state{cp: Checkpoint{Log: l.name}, edge: &edge{}}
		}
		if err := l.adopt(mine); err != nil {
			return err
		}
		_, err := l.restorable(ctx, mine, nil)
		return err
	}
	l.etag, l.when = info.ETag, info.ModTime
	if cp, perr := ParseCheckpoint(published); mine != nil && len(mine.checkpoint) > 0 && (perr != nil || cp.Log == l.name && cp.Size < mine.cp.Size) {
		if err := l.adopt(mine); err != nil {
			return err
		}
		_, err := l.restorable(ctx, mine, published)
		return err
	}
	cp, err := l.openPublished(published)
	if err != nil {
		return err
	}
	if mine == nil {
		if mine, err = l.rebuild(ctx, cp); err != nil {
			return err
		}
		mine.rebuilt, mine.checkpoint = true, published
	} else if mine, err = mine.advance(cp, published); err != nil {
		return err
	}
	if err := l.checkBeyond(ctx, mine); err != nil {
		return err
	}
	return l.adopt(mine)
}

// openPublished checks the bucket's checkpoint against our keys, and finishes
// the change to the next one where the bucket has it already.
func (l *Log) openPublished(checkpoint []byte) (Checkpoint, error) {
	cp, err := openCheckpoint(checkpoint, l.name, l.key.public)
	if !l.next.zero() {
		if h, nerr := openCheckpoint(checkpoint, l.name, l.next.public); nerr == nil {
			l.key, l.next = l.next, Key{}
			return h, nil
		}
	}
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return Checkpoint{}, fmt.Errorf("the bucket holds a log of this name that our key (%s) has not signed: choose another name, or give it its key; %s: %w", l.key, rescueAdvice, ErrForked)
	}
	return cp, err
}

// advance moves the state to the checkpoint that the bucket has: the one that was
// published last, or one of those that were decided and perhaps published.
func (s *state) advance(cp Checkpoint, checkpoint []byte) (*state, error) {
	switch {
	case cp.Size < s.edge.size:
		return nil, fmt.Errorf("the bucket's checkpoint has size %d, but this data directory put one of size %d there: the bucket was put back to an older state; %s: %w", cp.Size, s.edge.size, rescueAdvice, ErrForked)
	case cp.Size > s.edge.size+uint64(len(s.pending)):
		return nil, fmt.Errorf("the bucket's checkpoint has size %d, more than this data directory knows of (%d): another process writes this log, or the data directory is an old copy; %s: %w", cp.Size, s.edge.size+uint64(len(s.pending)), rescueAdvice, ErrForked)
	}
	n := s.grow(int(cp.Size-s.edge.size), nil)
	if n.cp.Root != cp.Root {
		return nil, fmt.Errorf("the bucket's checkpoint of size %d is of another tree than ours: another process writes this log; %s: %w", cp.Size, rescueAdvice, ErrForked)
	}
	n.checkpoint = checkpoint
	return n, nil
}

// grow is the state in which the first n pending leaves are in the published
// tree, and reports the tiles that they complete. The checkpoint is still to be set.
func (s *state) grow(n int, full func(level int, n uint64, hashes []tlog.Hash)) *state {
	g := &state{edge: s.edge.clone(), next: s.next, last: s.last, rebuilt: s.rebuilt && n == 0, pending: s.pending[n:len(s.pending):len(s.pending)]}
	for _, raw := range s.pending[:n] {
		g.edge.add(tlog.RecordHash(raw), full)
	}
	seq, life := false, false // found, looking back
	for i := n - 1; i >= 0 && !(seq && life); i-- {
		leaf, err := ParseLeaf(s.pending[i])
		if err != nil {
			continue
		}
		if !life && leaf.Kind.tellsLife() {
			g.last, life = leaf.Kind, true
		}
		if !seq && leaf.Kind.counts() {
			last, _ := leaf.last()
			g.next, seq = last+1, true
		}
	}
	if have := g.edge.size % width; have <= uint64(n) {
		g.tail = s.pending[n-int(have) : n : n]
	} else {
		g.tail = append(append(make([][]byte, 0, width), s.tail...), s.pending[:n]...)
	}
	g.cp = Checkpoint{Log: s.cp.Log, Size: g.edge.size, Root: g.edge.root()}
	return g
}

// rebuild makes the state from nothing but the bucket.
func (l *Log) rebuild(ctx context.Context, cp Checkpoint) (*state, error) {
	e, err := l.edge(ctx, cp)
	if err != nil {
		return nil, err
	}
	s := &state{cp: cp, edge: e}
	f := finder{reader: l.reader, size: cp.Size}
	told, bundles := false, (cp.Size+width-1)/width
	for n := bundles; n > 0 && !(told && s.last != ""); n-- { // mostly one turn
		if err := f.load(ctx, n-1); err != nil {
			return nil, err
		}
		if n == bundles {
			if s.tail, err = tailOf(f.leaves, e); err != nil {
				return nil, err
			}
		}
		for i := len(f.leaves) - 1; i >= 0; i-- {
			if leaf := &f.leaves[i].leaf; s.last == "" && leaf.Kind.tellsLife() {
				s.last = leaf.Kind
			}
			if last, ok := f.leaves[i].leaf.last(); ok && !told {
				told = true
				if last > 0 {
					s.next = last + 1
				}
			}
		}
	}
	return s, nil
}

// tailOf is the leaves of the last bundle where it is partial, checked against the tree.
func tailOf(leaves []place, e *edge) ([][]byte, error) {
	if e.size%width == 0 {
		return nil, nil
	}
	var tail [][]byte
	for i, p := range leaves {
		if tlog.RecordHash(p.raw) != e.levels[0][i] {
			return nil, fmt.Errorf("leaf %d in the bucket is not the one in the tree: run verify", p.index)
		}
		tail = append(tail, bytes.Clone(p.raw))
	}
	return tail, nil
}

// adopt makes a state the log's own.
func (l *Log) adopt(s *state) error {
	l.state, l.from, l.decided = s, s.next, s.reach()
	if s.next > 0 {
		l.proven = s.next - 1
	}
	l.lastKind = s.last
	for _, raw := range s.pending {
		leaf, err := ParseLeaf(raw)
		if err != nil {
			return fmt.Errorf("leaf of our own: %w", err)
		}
		l.note(&leaf)
		if leaf.Kind == NewKey && (l.next.zero() || l.next.Public() != leaf.New) {
			return fmt.Errorf("%w: %w", errNoSecret(leaf.New), ErrForked) // CheckState finds it before any bucket is asked
		}
	}
	return nil
}

// note keeps what is asked of a pending leaf later. The caller holds mu or owns l.
func (l *Log) note(leaf *Leaf) {
	if leaf.Kind.tellsLife() {
		l.lastKind = leaf.Kind
	}
	if leaf.Kind.counts() {
		last, _ := leaf.last()
		l.index = append(l.index, known{leaf.first(), last, leaf.Kind, leaf.Digest})
		l.from = last + 1
	}
}

// Name is the log's name.
func (l *Log) Name() string { return l.name }

// Public is the verifier key that signs the log now.
func (l *Log) Public() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.key.Public()
}

// Next is the seq that the tree expects next: everything before is in it, or
// decided to be. 0 means that the log is empty and begins with whatever comes first.
func (l *Log) Next() record.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.from
}

// Clean says whether the last process that wrote the log ended it with Stop,
// or none wrote it yet.
func (l *Log) Clean() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastKind == Stop || l.lastKind == ""
}

// Stats is a snapshot.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Log: l.name, Size: l.state.edge.size, Proven: l.proven, Pending: len(l.state.pending), Checkpoint: l.when, Cosigned: l.cosigned}
}

// fail makes an error final. The caller holds mu.
func (l *Log) fail(err error) error {
	if l.failed == nil && errors.Is(err, ErrForked) {
		l.failed = err
	}
	return err
}
