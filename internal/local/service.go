// Package local answers about a log from its open components: for the daemon that runs on them, and
// for a command that finds no daemon and reads the data directory and the destination itself.
package local

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/query/index"
	"indelible/internal/record"
	"indelible/internal/setup"
	"indelible/internal/store"
)

// Service answers from open components: in the daemon, and in a command that found
// none running.
type Service struct {
	*catalog.Catalog
	index   *index.Index // nil: switched off, or there is none
	status  func(context.Context) (control.Status, error)
	redrive func(context.Context) (int, error)
	rotate  func(context.Context) (string, error)
	expire  func(ctx context.Context, dry bool, progress func(done, of record.Seq)) (engine.Expired, error)
	rebuild func(context.Context, func(done, of record.Seq)) error
	close   func() error
	follow  func(context.Context) error // of the index
}

var _ control.Service = (*Service)(nil)

// Status is control.Reader's.
func (s *Service) Status(ctx context.Context) (control.Status, error) { return s.status(ctx) }

// Redrive is control.Operator's.
func (s *Service) Redrive(ctx context.Context) (int, error) { return s.redrive(ctx) }

// Expire is control.Operator's.
func (s *Service) Expire(ctx context.Context, dry bool, progress func(done, of record.Seq)) (engine.Expired, error) {
	return s.expire(ctx, dry, progress)
}

// Rotate is control.Operator's.
func (s *Service) Rotate(ctx context.Context) (string, error) { return s.rotate(ctx) }

// Rebuild is control.Operator's.
func (s *Service) Rebuild(ctx context.Context, progress func(done, of record.Seq)) error {
	return s.rebuild(ctx, progress)
}

// Close is control.Service's.
func (s *Service) Close() error { return s.close() }

// OfEngine answers for the process that runs e; status is what it says of itself.
func OfEngine(e *engine.Engine, c *config.Config, log *slog.Logger, status func(context.Context) (control.Status, error)) *Service {
	reached := func() (stored, proven record.Seq) {
		return e.Logged(), e.Stats().Log.Proven
	}
	x := newIndex(c, &e.Components, log)
	s := &Service{
		Catalog: newCatalog(&e.Components, c, x, e.Spool().Wait, reached), index: x,
		status: status, redrive: e.Redrive, rotate: e.Rotate,
		expire: func(ctx context.Context, dry bool, progress func(done, of record.Seq)) (engine.Expired, error) {
			done, err := e.Expire(ctx, time.Duration(c.Destination.Retain), dry, progress)
			if err == nil && !dry && x != nil {
				err = x.Forget(ctx, done.Through, done.Spared)
			}
			return done, err
		},
		close: func() error { return nil },
	}
	s.rebuild = func(ctx context.Context, progress func(done, of record.Seq)) error {
		return rebuild(ctx, s.Catalog, x, progress)
	}
	s.follow = func(ctx context.Context) error { return x.Run(ctx, logSource{s.Catalog, e.Spool().Wait}) }
	return s
}

// RunIndex keeps the index beside the log until ctx ends; where there is none, it returns at once.
func (s *Service) RunIndex(ctx context.Context) error {
	if s.index == nil {
		return nil
	}
	return s.follow(ctx)
}

// newCatalog makes the catalog of open components. x may be nil; wait and reached are catalog.Options'.
func newCatalog(r *engine.Components, c *config.Config, x *index.Index, wait func(context.Context, record.Seq) (record.Seq, error), reached func() (stored, proven record.Seq)) *catalog.Catalog {
	o := catalog.Options{
		Records: r.Records(), Objects: r.Layout(), Log: r.Name(), Spool: r.Spool() != nil,
		Parked: r.Parked, Reached: reached, Wait: wait,
	}
	history(&o, r, c, x)
	if _, err := setup.VKey(c, ""); err == nil {
		o.Leaf = func(ctx context.Context, seq record.Seq) (proof.Leaf, error) { return leafOf(ctx, r, c, seq) }
	}
	return catalog.New(o)
}

// leafOf finds a record's leaf in the log, and checks it against the signed checkpoint.
func leafOf(ctx context.Context, r *engine.Components, c *config.Config, seq record.Seq) (proof.Leaf, error) {
	vkey, err := setup.VKey(c, "") // it changes with each rotation
	if err != nil {
		return proof.Leaf{}, err
	}
	leaf, err := proof.Find(ctx, r.Store(), r.Layout().Base(), vkey, seq)
	if err = UnprovenYet(err); err != nil {
		return proof.Leaf{}, err
	}
	if leaf.Key == "" {
		err = errors.Join(proof.ErrUnproven, errors.New("the log says of it that it was not stored"))
	}
	return leaf, err
}

// UnprovenYet is proof.ErrUnproven where there is no checkpoint yet, and else err.
func UnprovenYet(err error) error {
	if away, ok := errors.AsType[*store.Error](err); ok && away.Class == store.NotFound && strings.HasSuffix(away.Key, "/checkpoint") {
		return errors.Join(proof.ErrUnproven, err)
	}
	return err
}
