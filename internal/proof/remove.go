package proof

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Removal is what a removed leaf says.
type Removal struct {
	SeqRange
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Leaf   uint64    `json:"leaf"` // its index
}

// Remove says that stored records are removed by policy, and returns once a published checkpoint
// covers that: their objects may go missing from then on, and not before. Records that no published checkpoint covers are refused.
func (l *Log) Remove(ctx context.Context, reason string, ranges ...SeqRange) error {
	l.mu.Lock()
	if l.failed != nil {
		defer l.mu.Unlock()
		return l.failed
	}
	for _, r := range ranges {
		if r.First == 0 || r.Last < r.First || r.Last > l.proven {
			defer l.mu.Unlock()
			return fmt.Errorf("remove %s: the published checkpoint covers those up to %d", r, l.proven)
		}
	}
	for _, r := range ranges {
		l.append(&Leaf{Kind: Removed, First: r.First, Last: r.Last, Time: time.Now(), Reason: cut(reason, maxReason)})
	}
	l.mu.Unlock()
	return l.Checkpoint(ctx)
}

// Removals are the removed leaves of the log, in their order, each checked against the signed checkpoint that was the
// newest when it was called. It reads every leaf of the log.
func Removals(ctx context.Context, st store.Store, base, vkey string) ([]Removal, error) {
	var all []Removal
	err := eachRemoval(ctx, st, base, vkey, false, func(r Removal) bool {
		all = append(all, r)
		return len(all) < maxRanges
	})
	return all, err
}

func eachRemoval(ctx context.Context, st store.Store, base, vkey string, back bool, yield func(Removal) bool) error {
	key, err := parsePublic(vkey)
	if err != nil {
		return fmt.Errorf("read removed leaves: invalid public key: %w", err)
	}
	w := leafWalk{reader: newReader(patientStore{st}, base, key.Name()), seq: 1, back: back}
	if back {
		w.seq = 1 << 62
	}
	w.each = func(index uint64, l *Leaf) bool {
		return l.Kind != Removed || yield(Removal{SeqRange{l.First, l.Last}, l.Time, l.Reason, index})
	}
	if err := w.run(ctx, key, nil); err != nil {
		return fmt.Errorf("read removed leaves of log %s: %w", key.Name(), err)
	}
	return nil
}

// EachObject calls yield with every leaf of the log that names an object, each checked against the signed checkpoint
// that was the newest when it was called.
func EachObject(ctx context.Context, st store.Store, base, vkey string, yield func(*Leaf)) error {
	key, err := parsePublic(vkey)
	if err != nil {
		return fmt.Errorf("read leaves: invalid public key: %w", err)
	}
	w := leafWalk{reader: newReader(patientStore{st}, base, key.Name()), seq: 1}
	w.each = func(_ uint64, l *Leaf) bool {
		if l.Kind == Record || l.Kind == Stored || l.Kind == Pack {
			yield(l)
		}
		return true
	}
	if err := w.run(ctx, key, nil); err != nil {
		return fmt.Errorf("read leaves of log %s: %w", key.Name(), err)
	}
	return nil
}

// OtherObjects calls yield with the keys of the objects that other logs under the same prefix name, and says whether
// they are removed there. Nobody signs for that here. A log that cannot be read is an error: what it names is not known.
func OtherObjects(ctx context.Context, st store.Store, base, log string, yield func(key string, removed bool)) error {
	dir := slashed(base) + "_indelible/"
	for info, err := range (patientStore{st}).List(ctx, store.ListOptions{Prefix: dir, Delimiter: "/"}) {
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(info.Key, dir), "/")
		if !info.Prefix || name == log {
			continue
		}
		if err := otherObjects(ctx, newReader(patientStore{st}, base, name), yield); err != nil {
			return fmt.Errorf("read which objects the log %s has, which lies beside this one: %w", name, err)
		}
	}
	return nil
}

func otherObjects(ctx context.Context, r reader, yield func(key string, removed bool)) error {
	checkpoint, _, err := r.get(ctx, "checkpoint")
	if store.ClassOf(err) == store.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	cp, err := parseCheckpointText(unsigned(checkpoint))
	if err != nil {
		return err
	}
	each := func(do func(*Leaf)) error {
		for n := uint64(0); n*width < cp.Size; n++ {
			leaves, err := r.bundle(ctx, n, cp.Size)
			if err != nil {
				return err
			}
			for _, raw := range leaves {
				l, err := ParseLeaf(raw)
				if err != nil {
					return err
				}
				do(&l)
			}
		}
		return nil
	}
	var removed rangeSet
	err = each(func(l *Leaf) {
		if l.Kind == Removed {
			removed.add(l.First, l.Last)
		}
	})
	if err != nil {
		return err
	}
	return each(func(l *Leaf) {
		if l.Kind == Record || l.Kind == Stored {
			yield(l.Key, removed.has(l.Seq))
		}
	})
}

// RemovedError says that a record was removed by policy, as a leaf of the log proves.
type RemovedError struct {
	Seq record.Seq
	Removal
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("record %d was removed by policy on %s (%s): leaf %d of the log says so of %s", e.Seq, e.Time.UTC().Format("2006-01-02"), e.Reason, e.Leaf, e.SeqRange)
}

// RemovedBy says whether a leaf of the log states that a record was removed; nil if none does. It reads the log from
// its end back to the newest such leaf.
func RemovedBy(ctx context.Context, st store.Store, base, vkey string, seq record.Seq) (*RemovedError, error) {
	var found *RemovedError
	err := eachRemoval(ctx, st, base, vkey, true, func(r Removal) bool {
		if r.First <= seq && seq <= r.Last {
			found = &RemovedError{seq, r}
		}
		return found == nil
	})
	return found, err
}

// whyGone is a RemovedError where the object that proves a record is gone because a policy removed it; else err.
func whyGone(ctx context.Context, st store.Store, base, vkey string, seq record.Seq, err error) error {
	if store.ClassOf(err) != store.NotFound {
		return err
	}
	removed, rerr := RemovedBy(ctx, st, base, vkey, seq)
	if rerr != nil {
		return errors.Join(err, rerr)
	}
	if removed != nil {
		return removed
	}
	return err
}
