package local

import (
	"context"
	"errors"
	"time"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/query/index"
	"indelible/internal/record"
	"indelible/internal/setup"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// Open finds who can answer about a log: the daemon that runs on its data
// directory, or this process, reading the directory and the destination.
func Open(ctx context.Context, l *config.Loaded) (control.Service, error) {
	if c, ok := control.Dial(ctx, l.Config.Data); ok {
		return c, nil
	}
	c, err := setup.Look(ctx, &l.Config)
	if err != nil {
		return nil, err
	}
	reached := func() (stored, proven record.Seq) {
		_, proven, err := c.Published()
		if err != nil {
			return 0, 0 // the status tells of it
		}
		return proven, proven
	}
	x := newIndex(&l.Config, c, nil)
	if x != nil {
		if err := x.OpenRead(ctx); err != nil && !errors.Is(err, index.ErrNotReady) {
			x = nil // what it cannot tell is read one by one
		}
	}
	d := &Service{index: x, Catalog: newCatalog(c, &l.Config, x, nil, reached)}
	d.close = func() error {
		if x == nil {
			return c.Close()
		}
		return errors.Join(x.Close(), c.Close())
	}
	d.rebuild = func(ctx context.Context, progress func(done, of record.Seq)) error {
		return rebuildAlone(ctx, l, c, d.Catalog, progress)
	}
	d.status = func(ctx context.Context) (control.Status, error) {
		s, err := statusOf(c, DiskWatch{Dir: l.Config.Data, Reserve: int64(l.Config.Spool.ReserveBytes)})
		if err != nil {
			return s, err
		}
		if o, err := setup.EngineOptions(l, nil); err == nil && s.Log.Problem == "" {
			if err := engine.Inspect(o); err != nil {
				s.Log.Problem = err.Error()
			}
		}
		s.Destination = probe(ctx, c.Store())
		s.Destination.URL = string(l.Config.Destination.URL)
		return s, nil
	}
	d.redrive = func(context.Context) (int, error) {
		return 0, errors.New("no daemon runs that could deliver them: start \"indelible serve\", then redrive")
	}
	d.rotate = func(ctx context.Context) (string, error) { return rotateAlone(ctx, l) }
	d.expire = func(ctx context.Context, dry bool, progress func(done, of record.Seq)) (engine.Expired, error) {
		return expireAlone(ctx, l, dry, progress)
	}
	return d, nil
}

// expireAlone removes records by policy where no daemon runs.
func expireAlone(ctx context.Context, l *config.Loaded, dry bool, progress func(done, of record.Seq)) (x engine.Expired, err error) {
	e, err := setup.Engine(ctx, l, nil, setup.Events{})
	if err != nil {
		return x, err
	}
	defer func() {
		e.Stop(ctx) // this process ends in good order too: the next start has no crash to tell
		err = errors.Join(err, e.Close())
	}()
	if x, err = e.Expire(ctx, time.Duration(l.Config.Destination.Retain), dry, progress); err != nil || dry {
		return x, err
	}
	if i := newIndex(&l.Config, &e.Components, nil); i != nil {
		err = i.ForgetAlone(ctx, x.Through, x.Spared)
	}
	return x, err
}

// rotateAlone changes the log's key where no daemon runs.
func rotateAlone(ctx context.Context, l *config.Loaded) (vkey string, err error) {
	if p := &l.Config.Proof; p.Command() == nil && p.Outside() {
		return "", engine.ErrOutsideKey
	}
	e, err := setup.Engine(ctx, l, nil, setup.Events{})
	if err != nil {
		return "", err
	}
	defer func() {
		e.Stop(ctx) // this process ends in good order too: the next start has no crash to tell
		err = errors.Join(err, e.Close())
	}()
	return e.Rotate(ctx)
}

// probeTimeout bounds how long a status waits for the destination.
const probeTimeout = 5 * time.Second

// probe asks the store once, where no daemon knows how it is.
func probe(ctx context.Context, s store.Store) control.DestinationStatus {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	d := control.DestinationStatus{State: string(upload.OK), Since: time.Now().UTC()}
	if err := probeErr(ctx, s); err != nil {
		d.State, d.LastError = string(stateOf(err)), err.Error()
	}
	return d
}

func stateOf(err error) upload.State {
	switch store.ClassOf(err) {
	case store.Throttled:
		return upload.Throttled
	case store.Credentials:
		return upload.Credentials
	case store.Configuration, store.NotFound:
		return upload.Configuration
	}
	return upload.Unreachable
}

// probeErr lists one object: whether it may is what is asked.
func probeErr(ctx context.Context, s store.Store) error {
	for _, err := range s.List(ctx, store.ListOptions{Limit: 1}) {
		return err
	}
	return nil
}
