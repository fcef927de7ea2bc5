package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/semaphore"

	"indelible/internal/record"
	"indelible/internal/store"
)

// KnownID is an id that a producer says it has given to a record.
type KnownID struct {
	ID   string
	Time time.Time // when, where the producer tells; zero otherwise
}

// Missing is an id of which the producer knows more records than the log has.
type Missing struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time,omitzero"`
	Known int64     `json:"known,omitempty"` // records that the producer knows, where it is not one
	Found int64     `json:"found,omitempty"` // records that the log has
}

// Surplus is an id that more records of the log carry than the producer knows.
type Surplus struct {
	ID    string `json:"id"`
	Known int64  `json:"known"`
	Found int64  `json:"found"`
}

// Unknown is a record in the log that the producer does not know.
type Unknown struct {
	Seq  record.Seq `json:"seq"`
	Key  string     `json:"key"`
	Time time.Time  `json:"time"`
}

// Reconciliation is what Reconcile found.
type Reconciliation struct {
	IDs      int64            `json:"ids"`     // that the producer knows; equal ones count as often as it knows them
	Records  int64            `json:"records"` // in the log, in the span asked for
	Matched  int64            `json:"matched"` // ids that the log has
	Lost     int64            `json:"missing_count"`
	Missing  []Missing        `json:"missing"` // never sent, or never acked
	Surplus  []Surplus        `json:"surplus"` // the first of the ids that more records carry than the producer knows
	Unknown  []Unknown        `json:"unknown"` // the first of the records that the producer does not know
	Others   int64            `json:"unknown_count"`
	Read     int64            `json:"read"`      // records that were read for their ids
	Unread   int64            `json:"unread"`    // records that could not be
	Size     uint64           `json:"size"`      // of the tree that was compared
	LastTime time.Time        `json:"last_time"` // of its leaves: what came later was not looked for
	Hours    []ReconciledHour `json:"hours"`
}

// OK says that the log has every record that the producer knows.
func (r *Reconciliation) OK() bool { return r.Lost == 0 }

// ReconciledHour counts one hour.
type ReconciledHour struct {
	Hour    time.Time `json:"hour"` // its beginning, UTC; zero for ids without a time
	Records int64     `json:"records"`
	Missing int64     `json:"missing"`
	Unknown int64     `json:"unknown"`
}

// ReconcileOptions narrow a Reconcile.
type ReconcileOptions struct {
	// Since and Until bound the arrival of the records that the producer ought to know; zero: no bound.
	// Its ids are looked for in the whole log.
	Since, Until time.Time
	// KeysOnly looks for ids in keys and never reads a record.
	KeysOnly bool
	Packs    Packs // reads the rows of packs; nil: they count as unread
	Parallel int   // requests at once; 0 is 256, in a directory four for each processor
	// Progress is told how many of the tree's leaves were read, and how many records were looked into; nil: nobody.
	// Calls come one at a time.
	Progress func(leaves, size uint64, records int64)
}

// ErrNoIDs says that the producer's list was empty: that everything on it is in the log says nothing.
var ErrNoIDs = errors.New("there is no id in it")

// Reconcile compares the ids that a producer knows with the records in the
// log: what was never sent, and what the producer does not know. It reads all
// leaves up to the newest checkpoint, and answers only if they make the root that was signed.
// Ids that no key tells of are looked for in the records that remain.
func Reconcile(ctx context.Context, st store.Store, base, vkey string, ids iter.Seq2[KnownID, error], o ReconcileOptions) (Reconciliation, error) {
	key, err := parsePublic(vkey)
	if err != nil {
		return Reconciliation{}, fmt.Errorf("reconcile: invalid public key: %w", err)
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel(st)
	}
	c := reconciling{reader: newReader(patientStore{st}, base, key.Name()), opt: o, hours: map[time.Time]*ReconciledHour{}, base: slashed(base), bodies: semaphore.NewWeighted(maxBodies)}
	c.result = Reconciliation{Missing: []Missing{}, Surplus: []Surplus{}, Unknown: []Unknown{}, Hours: []ReconciledHour{}}
	if err := c.ids.read(ids); err != nil {
		return Reconciliation{}, fmt.Errorf("reconcile: %w", err)
	}
	if err := c.run(ctx, key); err != nil {
		return Reconciliation{}, fmt.Errorf("reconcile: %w", err)
	}
	c.finish()
	return c.result, nil
}

// reconciling is one Reconcile under way.
type reconciling struct {
	reader
	base   string
	opt    ReconcileOptions
	ids    idSet
	hours  map[time.Time]*ReconciledHour
	result Reconciliation

	bodies    *semaphore.Weighted // bytes of records that are read for their ids
	prefix    string              // what the log's keys begin with
	prefixed  bool
	unmatched []uint64 // bundles with records that no key matched
	packs     []Leaf
}

// run walks the leaves, and then reads what it must of the records.
func (c *reconciling) run(ctx context.Context, key publicKey) error {
	checkpoint, _, err := c.get(ctx, "checkpoint")
	if err != nil {
		return err
	}
	cp, err := openCheckpoint(checkpoint, key.Name(), key)
	if err != nil {
		return err
	}
	c.result.Size = cp.Size
	if _, err := c.edge(ctx, cp); err != nil { // before a size that cannot be is walked
		return err
	}
	blocks, err := c.walk(ctx, cp)
	if err != nil {
		return err
	}
	open, err := c.packKeys(ctx)
	if err != nil {
		return err
	}
	if err := c.lookInside(ctx, cp, blocks); err != nil {
		return err
	}
	return c.lookInsidePacks(ctx, open)
}

// walk takes all leaves and checks that they make the root that was signed. It
// returns the hash of each bundle's block, so that what is read again can be checked against it.
func (c *reconciling) walk(ctx context.Context, cp Checkpoint) ([]tlog.Hash, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tree edge
	blocks := make([]tlog.Hash, 0, cp.Size/width+1)
	for next := range c.blocks(ctx, 0, cp.Size, c.opt.Parallel, false) {
		b := next.take()
		if b.leavesErr != nil {
			return nil, fmt.Errorf("the leaves from %d on cannot be read (%w): run verify", b.n*width, b.leavesErr)
		}
		open := false
		for i := range b.leaves {
			if b.errs != nil && b.errs[i] != nil {
				return nil, fmt.Errorf("leaf %d: %w", b.n*width+uint64(i), b.errs[i])
			}
			if len(b.own) < width {
				tree.add(b.own[i], nil)
			}
			if c.take(&b.leaves[i]) {
				open = true
			}
		}
		if open {
			c.unmatched = append(c.unmatched, b.n)
		}
		if len(b.own) == width {
			tree.addBlock(b.root, nil)
		}
		blocks = append(blocks, b.root)
		c.progress(min((b.n+1)*width, cp.Size))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if tree.size != cp.Size || tree.root() != cp.Root {
		return nil, fmt.Errorf("the leaves in the bucket are not those of the checkpoint of size %d: run verify", cp.Size)
	}
	return blocks, nil
}

func (c *reconciling) progress(leaves uint64) {
	if c.opt.Progress != nil {
		c.opt.Progress(leaves, c.result.Size, c.result.Read)
	}
}

func (c *reconciling) hour(t time.Time) *ReconciledHour {
	t = t.UTC().Truncate(time.Hour)
	if c.hours[t] == nil {
		c.hours[t] = &ReconciledHour{Hour: t}
	}
	return c.hours[t]
}

// inSpan says whether the producer ought to know a record.
func (c *reconciling) inSpan(l *Leaf) bool {
	return !l.Time.Before(c.opt.Since) && (c.opt.Until.IsZero() || l.Time.Before(c.opt.Until))
}

// isRecord says whether a leaf is the one that gives a record its place.
func isRecord(l *Leaf) bool {
	return l.Kind == Record || l.Kind == Deferred || l.Kind == Quarantined // a later Stored says nothing new
}

// take looks for the ids in a leaf's key, and says whether it found none.
func (c *reconciling) take(l *Leaf) (open bool) {
	if l.Time.After(c.result.LastTime) {
		c.result.LastTime = l.Time
	}
	switch {
	case l.Kind == Start || l.Kind == Config:
		c.prefix, c.prefixed = l.Prefix, true
	case l.Kind == Pack && c.opt.Packs == nil:
		c.result.Unread += l.Count
	case l.Kind == Pack:
		c.packs = append(c.packs, *l)
	}
	return isRecord(l) && c.takeRecord(l)
}

// takeRecord is take for a record.
func (c *reconciling) takeRecord(l *Leaf) (open bool) {
	matched := c.ids.match(l)
	if c.inSpan(l) {
		c.result.Records++
		c.hour(l.Time).Records++
		if !matched {
			c.hour(l.Time).Unknown++
			c.result.Others++
			if len(c.result.Unknown) < listed {
				c.result.Unknown = append(c.result.Unknown, Unknown{l.Seq, sentKey(l), l.Time})
			}
		}
	}
	return !matched
}

// lookInside reads the records that no key matched, as long as ids are missing.
func (c *reconciling) lookInside(ctx context.Context, cp Checkpoint, blocks []tlog.Hash) error {
	from, to, any := c.ids.span()
	if c.opt.KeysOnly || !any {
		return nil
	}
	var mu sync.Mutex
	for part := range slices.Chunk(c.unmatched, 16) {
		var list []Leaf
		for _, n := range part {
			b := c.readBundle(ctx, n, cp.Size)
			if b.leavesErr != nil {
				return b.leavesErr
			}
			if b.root != blocks[n] {
				return fmt.Errorf("the leaves from %d on changed while they were read: run verify", n*width)
			}
			for i := range b.leaves {
				l := &b.leaves[i]
				if isRecord(l) && (from.IsZero() || !l.Time.Before(from)) && (to.IsZero() || l.Time.Before(to)) && !c.ids.knows(l) {
					list = append(list, *l)
				}
			}
		}
		err := inParallel(ctx, c.opt.Parallel, slices.Values(list), func(ctx context.Context, l Leaf) error {
			groups, err := c.idsInside(ctx, &l)
			mu.Lock()
			defer mu.Unlock()
			c.result.Read++
			c.progress(cp.Size)
			if err != nil {
				c.result.Unread++
				return cannotLook(err)
			}
			c.inside(&l, groups)
			return nil
		})
		if err != nil {
			return err
		}
		if c.ids.open == 0 {
			return nil
		}
	}
	return nil
}

// inside takes the ids that a record holds: a batch has a group of them for each of its lines.
func (c *reconciling) inside(l *Leaf, groups [][]string) {
	matched := false
	for _, ids := range groups {
		if c.ids.found(ids) {
			matched = true
		}
	}
	if !matched || !c.inSpan(l) {
		return
	}
	c.hour(l.Time).Unknown--
	c.result.Others--
	c.result.Unknown = slices.DeleteFunc(c.result.Unknown, func(u Unknown) bool { return u.Seq == l.Seq })
}

func (c *reconciling) finish() {
	r := &c.result
	for id, k := range c.ids.known {
		r.IDs += k.want
		r.Matched += min(k.want, k.got)
		switch lost := k.want - k.got; {
		case lost > 0:
			m := Missing{ID: id, Time: k.time}
			if k.want > 1 {
				m.Known, m.Found = k.want, k.got
			}
			r.Missing = append(r.Missing, m)
			r.Lost += lost
			at := k.time
			if at.IsZero() {
				c.hour(time.Time{}).Missing += lost
			} else {
				c.hour(at).Missing += lost
			}
		case lost < 0:
			r.Surplus = append(r.Surplus, Surplus{id, k.want, k.got})
		}
	}
	slices.SortFunc(r.Missing, func(a, b Missing) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID)) })
	slices.SortFunc(r.Surplus, func(a, b Surplus) int { return strings.Compare(a.ID, b.ID) })
	r.Surplus = r.Surplus[:min(len(r.Surplus), listed)]
	for _, h := range c.hours {
		r.Hours = append(r.Hours, *h)
	}
	slices.SortFunc(r.Hours, func(a, b ReconciledHour) int { return a.Hour.Compare(b.Hour) })
}
