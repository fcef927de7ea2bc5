package catalog

import (
	"context"
	"errors"
	"sort"
	"sync"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
)

// removals are what the log says was removed by policy. They are read when something is missing, and again when
// something else is, but not so often that it takes more than a twentieth of the time.
type removals struct {
	mu   sync.Mutex
	next time.Time       // when they may be read again; guarded by mu
	list []proof.Removal // by their first record; guarded by mu
}

// removed is why a record that is missing is not lost; nil if nothing says so.
func (c *Catalog) removed(ctx context.Context, seq record.Seq) (*proof.RemovedError, error) {
	if c.o.Removals == nil {
		return nil, nil
	}
	r := &c.removals
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone := r.of(seq); gone != nil || time.Now().Before(r.next) {
		return gone, nil
	}
	begun := time.Now()
	list, err := c.o.Removals(ctx)
	if err != nil {
		return nil, err
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].First < list[j].First })
	r.list, r.next = list, time.Now().Add(20*time.Since(begun))
	return r.of(seq), nil
}

// of is what is known of a record. The caller holds mu.
func (r *removals) of(seq record.Seq) *proof.RemovedError {
	for i := sort.Search(len(r.list), func(i int) bool { return r.list[i].First > seq }) - 1; i >= 0; i-- {
		if seq <= r.list[i].Last {
			return &proof.RemovedError{Seq: seq, Removal: r.list[i]}
		}
	}
	return nil
}

// gone is why what was to be read is not there: err, unless the log says that it was removed.
func (c *Catalog) gone(ctx context.Context, seq record.Seq, err error) error {
	if err != nil && store.ClassOf(err) != store.NotFound && !errors.Is(err, ErrNotFound) {
		return err
	}
	removed, rerr := c.removed(ctx, seq)
	switch {
	case rerr != nil:
		return errors.Join(err, rerr)
	case removed != nil:
		return &goneError{removed}
	}
	return err
}

// goneError is a RemovedError that is an ErrNotFound as well.
type goneError struct{ *proof.RemovedError }

// Unwrap gives both.
func (e *goneError) Unwrap() []error { return []error{ErrNotFound, e.RemovedError} }

// removedGap stands for records that were removed by policy where records are gone through; nil if they were not.
func (c *Catalog) removedGap(ctx context.Context, first, last record.Seq, err error) error {
	if removed, ok := errors.AsType[*proof.RemovedError](c.gone(ctx, first, err)); ok {
		return &removedError{&record.GapError{First: first, Last: last, Cause: removed.Error()}}
	}
	return nil
}

// removedError is the GapError of records that were removed by policy.
type removedError struct{ *record.GapError }

// Unwrap is the GapError.
func (e *removedError) Unwrap() error { return e.GapError }
