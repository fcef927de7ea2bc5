package local

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"path/filepath"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/disk/osdisk"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/query/index"
	"indelible/internal/record"
	"indelible/internal/setup"
)

// newIndex makes the index of a log; nil where it is switched off, or the log has no name yet.
func newIndex(c *config.Config, r *engine.Components, log *slog.Logger) *index.Index {
	if c.Index.Mode == config.Off || r.Name() == "" || r.Data() == nil {
		return nil
	}
	return index.New(index.Options{
		Path: filepath.Join(c.Data, index.File), Log: r.Name(), Text: index.Text(c.Index.Text), Logger: log,
		Reserve: int64(c.Spool.ReserveBytes),
		Free: func() (int64, error) {
			free, err := r.Data().Free()
			return int64(min(free, 1<<62)), err
		},
	})
}

// history adds to a catalog's options what goes through a log in its order.
func history(o *catalog.Options, r *engine.Components, c *config.Config, x *index.Index) {
	o.Index = x
	if s := r.Spool(); s != nil {
		o.Newest = func() record.Seq { return record.Seq(s.Stats().Acked) }
	}
	if _, err := setup.VKey(c, ""); err == nil {
		o.Removals = func(ctx context.Context) ([]proof.Removal, error) {
			vkey, err := setup.VKey(c, "")
			if err != nil {
				return nil, err
			}
			return proof.Removals(ctx, r.Store(), r.Layout().Base(), vkey)
		}
		o.Leaves = func(ctx context.Context, seq record.Seq, back bool) iter.Seq2[proof.Leaf, error] {
			vkey, err := setup.VKey(c, "") // it changes with each rotation
			if err != nil {
				return func(yield func(proof.Leaf, error) bool) { yield(proof.Leaf{}, err) }
			}
			return proof.Leaves(ctx, r.Store(), r.Layout().Base(), vkey, seq, back)
		}
	}
}

// logSource is what an index follows: the spool tells of news, the catalog has the records.
type logSource struct {
	*catalog.Catalog
	wait func(ctx context.Context, after record.Seq) (record.Seq, error)
}

// Wait is index.Source's.
func (s logSource) Wait(ctx context.Context, after record.Seq) (record.Seq, error) {
	return s.wait(ctx, after)
}

// rebuild asks the running follower to rebuild the index.
func rebuild(ctx context.Context, c *catalog.Catalog, x *index.Index, progress func(done, of record.Seq)) error {
	if x == nil {
		return errNoIndex
	}
	of, err := c.Newest(ctx)
	if err != nil {
		return err
	}
	if err := x.Remake(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		at, err := x.Position(ctx)
		if err == nil {
			progress(min(at, of), of)
			if at >= of {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errNoIndex = errors.New("the index is switched off: take \"index: off\" out of the configuration, and restart the daemon")

// rebuildAlone rebuilds the index where no daemon runs.
func rebuildAlone(ctx context.Context, l *config.Loaded, r *engine.Components, c *catalog.Catalog, progress func(done, of record.Seq)) (err error) {
	x := newIndex(&l.Config, r, nil)
	if x == nil {
		return errNoIndex
	}
	data, err := osdisk.Open(l.Config.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	release, err := engine.Lock(data, l.Config.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	of, err := c.Newest(ctx)
	if err != nil {
		return err
	}
	return x.Make(ctx, logSource{c, nil}, of, func(at record.Seq) { progress(at, of) })
}
