package proof

import (
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"indelible/internal/record"
	"indelible/internal/store"
)

// KnownID is an id that a producer says it has given to a record.
type KnownID struct {
	ID   string
	Time time.Time // when, where the producer tells; zero otherwise
}

// Missing is an id that the producer knows and the log does not.
type Missing struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time,omitzero"`
}

// Unknown is a record in the log that the producer does not know.
type Unknown struct {
	Seq  record.Seq `json:"seq"`
	Key  string     `json:"key"`
	Time time.Time  `json:"time"`
}

// Reconciliation is what Reconcile found.
type Reconciliation struct {
	IDs     int64            `json:"ids"`     // that the producer knows, each once
	Records int64            `json:"records"` // in the log, in the span asked for
	Matched int64            `json:"matched"` // ids that the log has
	Missing []Missing        `json:"missing"` // never sent, or never acked
	Unknown []Unknown        `json:"unknown"` // the first of those that the producer does not know
	Others  int64            `json:"unknown_count"`
	Hours   []ReconciledHour `json:"hours"`
}

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
	// Match, if set, names the ids that a leaf may go by; the default is those in its key.
	Match func(l *Leaf) []string
}

// Reconcile compares the ids that a producer knows with the records in the
// log: what was never sent, and what the producer does not know. It reads the
// log's leaves, not the records, up to the signed checkpoint.
func Reconcile(ctx context.Context, st store.Store, base, vkey string, ids iter.Seq2[KnownID, error], o ReconcileOptions) (Reconciliation, error) {
	key, err := note.NewVerifier(vkey)
	if err != nil {
		return Reconciliation{}, fmt.Errorf("reconcile: the public key is none: %w", err)
	}
	if o.Match == nil {
		o.Match = KeyIDs
	}
	known, spelled := map[string]*knownID{}, map[string]*knownID{}
	for id, err := range ids {
		if err != nil {
			return Reconciliation{}, fmt.Errorf("reconcile: %w", err)
		}
		if known[id.ID] == nil {
			known[id.ID] = &knownID{time: id.Time}
			spelled[inKey.Replace(id.ID)] = known[id.ID]
		}
	}
	c := reconciling{opt: o, known: known, spelled: spelled, hours: map[time.Time]*ReconciledHour{}}
	c.result = Reconciliation{IDs: int64(len(known)), Missing: []Missing{}, Unknown: []Unknown{}, Hours: []ReconciledHour{}}
	for leaf, err := range Leaves(ctx, st, base, key) {
		if err != nil {
			return Reconciliation{}, fmt.Errorf("reconcile: %w", err)
		}
		c.take(&leaf)
	}
	c.finish()
	return c.result, nil
}

// inKey is how LiteLLM spells an id in a key.
var inKey = strings.NewReplacer("/", "_", ":", "_")

type knownID struct {
	time  time.Time
	found bool
}

type reconciling struct {
	opt     ReconcileOptions
	known   map[string]*knownID
	spelled map[string]*knownID // by the id as LiteLLM spells it in a key
	hours   map[time.Time]*ReconciledHour
	result  Reconciliation
}

func (c *reconciling) hour(t time.Time) *ReconciledHour {
	t = t.UTC().Truncate(time.Hour)
	if c.hours[t] == nil {
		c.hours[t] = &ReconciledHour{Hour: t}
	}
	return c.hours[t]
}

func (c *reconciling) take(l *Leaf) {
	if l.Kind != Record && l.Kind != Deferred && l.Kind != Quarantined { // a later Stored says nothing new
		return
	}
	matched := false
	for _, id := range c.opt.Match(l) {
		for _, k := range [...]*knownID{c.known[id], c.spelled[id]} {
			if k != nil {
				matched, k.found = true, true
			}
		}
	}
	if l.Time.Before(c.opt.Since) || !c.opt.Until.IsZero() && !l.Time.Before(c.opt.Until) {
		return
	}
	c.result.Records++
	h := c.hour(l.Time)
	h.Records++
	if matched {
		return
	}
	h.Unknown++
	c.result.Others++
	if len(c.result.Unknown) < listed {
		c.result.Unknown = append(c.result.Unknown, Unknown{l.Seq, keyOf(l), l.Time})
	}
}

func (c *reconciling) finish() {
	for id, k := range c.known {
		if k.found {
			c.result.Matched++
			continue
		}
		c.result.Missing = append(c.result.Missing, Missing{id, k.time})
		if k.time.IsZero() {
			c.hour(time.Time{}).Missing++
		} else {
			c.hour(k.time).Missing++
		}
	}
	slices.SortFunc(c.result.Missing, func(a, b Missing) int {
		if n := a.Time.Compare(b.Time); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, h := range c.hours {
		c.result.Hours = append(c.result.Hours, *h)
	}
	slices.SortFunc(c.result.Hours, func(a, b ReconciledHour) int { return a.Hour.Compare(b.Hour) })
}

// keyOf is the key that the sender used.
func keyOf(l *Leaf) string {
	if l.SentKey != "" {
		return l.SentKey
	}
	return l.Key
}

// KeyIDs are the ids that a record's key holds: the sent key itself, its file
// name, and what stands behind LiteLLM's time-HH-MM-SS-ffffff_ in it, without the extension.
func KeyIDs(l *Leaf) []string {
	key := keyOf(l)
	name := path.Base(key)
	ids := []string{key, name}
	bare := strings.TrimSuffix(name, path.Ext(name))
	if bare != name {
		ids = append(ids, bare)
	}
	if rest, ok := strings.CutPrefix(bare, "time-"); ok {
		if _, id, ok := strings.Cut(rest, "_"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Leaves yields the leaves of a log up to the signed checkpoint, in order.
// Their place in the tree is not checked; that is Verify's.
func Leaves(ctx context.Context, st store.Store, base string, key note.Verifier) iter.Seq2[Leaf, error] {
	return func(yield func(Leaf, error) bool) {
		r := newReader(patientStore{st}, base, key.Name())
		checkpoint, _, err := r.get(ctx, "checkpoint")
		if err != nil {
			yield(Leaf{}, err)
			return
		}
		head, err := openHead(checkpoint, key.Name(), key)
		if err != nil {
			yield(Leaf{}, err)
			return
		}
		for n := uint64(0); n*width < head.Size; n++ {
			bundle, err := r.bundle(ctx, n, head.Size)
			if err != nil {
				yield(Leaf{}, err)
				return
			}
			for _, raw := range bundle {
				leaf, err := ParseLeaf(raw)
				if !yield(leaf, err) || err != nil {
					return
				}
			}
		}
	}
}
