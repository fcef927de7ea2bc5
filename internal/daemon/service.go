package daemon

import (
	"context"
	"errors"
	"strings"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/query/index"
	"indelible/internal/record"
	"indelible/internal/store"
)

// service answers from open components: in the daemon, and in a command that found
// none running.
type service struct {
	*catalog.Catalog
	status  func(context.Context) (control.Status, error)
	redrive func(context.Context) (int, error)
	rotate  func(context.Context) (string, error)
	rebuild func(context.Context, func(done, of record.Seq)) error
	close   func() error
}

var _ control.Service = (*service)(nil)

// Status is control.Reader's.
func (s *service) Status(ctx context.Context) (control.Status, error) { return s.status(ctx) }

// Redrive is control.Operator's.
func (s *service) Redrive(ctx context.Context) (int, error) { return s.redrive(ctx) }

// Rotate is control.Operator's.
func (s *service) Rotate(ctx context.Context) (string, error) { return s.rotate(ctx) }

// Rebuild is control.Operator's.
func (s *service) Rebuild(ctx context.Context, progress func(done, of record.Seq)) error {
	return s.rebuild(ctx, progress)
}

// Close is control.Service's.
func (s *service) Close() error { return s.close() }

// newCatalog makes the catalog of open components. x may be nil; wait and reached are catalog.Options'.
func newCatalog(r *engine.Components, c *config.Config, x *index.Index, wait func(context.Context, record.Seq) (record.Seq, error), reached func() (stored, proven record.Seq)) *catalog.Catalog {
	o := catalog.Options{
		Records: r.Records(), Objects: r.Layout(), Log: r.Name(), Spool: r.Spool() != nil,
		Asides: r.Quarantine, Reached: reached, Wait: wait,
	}
	history(&o, r, c, x)
	if _, err := ReadVKey(c, ""); err == nil {
		o.Leaf = func(ctx context.Context, seq record.Seq) (proof.Leaf, error) { return leafOf(ctx, r, c, seq) }
	}
	return catalog.New(o)
}

// leafOf finds a record's leaf in the log, and checks it against the signed checkpoint.
func leafOf(ctx context.Context, r *engine.Components, c *config.Config, seq record.Seq) (proof.Leaf, error) {
	vkey, err := ReadVKey(c, "") // it changes with each rotation
	if err != nil {
		return proof.Leaf{}, err
	}
	leaf, err := proof.Find(ctx, r.Store(), r.Layout().Base(), vkey, seq)
	if err = unprovenYet(err); err != nil {
		return proof.Leaf{}, err
	}
	if leaf.Key == "" {
		err = errors.Join(proof.ErrUnproven, errors.New("the log says of it that it was not stored"))
	}
	return leaf, err
}

// unprovenYet is proof.ErrUnproven where there is no checkpoint yet, and else err.
func unprovenYet(err error) error {
	if away, ok := errors.AsType[*store.Error](err); ok && away.Class == store.NotFound && strings.HasSuffix(away.Key, "/checkpoint") {
		return errors.Join(proof.ErrUnproven, err)
	}
	return err
}
