package daemon

import (
	"context"
	"errors"
	"time"

	"indelible/internal/config"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// Open finds who can answer about a log: the daemon that runs on its data
// directory, or this process, reading the directory and the destination.
func Open(ctx context.Context, l *config.Loaded) (Reader, error) {
	if c, ok := Dial(ctx, l.Config.Data); ok {
		return c, nil
	}
	r, err := lookRooms(ctx, &l.Config)
	if err != nil {
		return nil, err
	}
	d := newDesk(r)
	d.status = func(ctx context.Context) (Status, error) {
		s, err := r.status()
		if err != nil {
			return s, err
		}
		s.Destination = probe(ctx, r.dest.store)
		s.Destination.URL = l.Config.Destination.URL
		return s, nil
	}
	d.redrive = func(context.Context) (int, error) {
		return 0, errors.New("no daemon runs that could deliver them: start \"indelible serve\", then redrive")
	}
	d.rotate = func(ctx context.Context) (string, error) { return rotateAlone(ctx, &l.Config) }
	d.proven = func() record.Seq {
		if r.data == nil {
			return 0
		}
		_, proven, err := r.published()
		if err != nil {
			return 0
		}
		return proven
	}
	d.close = r.close
	return d, nil
}

// rotateAlone changes the log's key where no daemon runs.
func rotateAlone(ctx context.Context, c *config.Config) (vkey string, err error) {
	if c.Proof.Key != "" || c.Proof.KeyFile != "" {
		return "", errOutsideKey
	}
	r, err := openRooms(ctx, c, spool.Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	keys, err := openKeys(r, c)
	if err != nil {
		return "", err
	}
	log, err := openLog(ctx, r, r.dest.objects.Base(), &keys, proof.Events{})
	if err != nil {
		return "", err
	}
	return rotate(ctx, r, log, &keys)
}

// probeTimeout bounds how long a status waits for the destination.
const probeTimeout = 5 * time.Second

// probe asks the store once, where no daemon knows how it is.
func probe(ctx context.Context, s store.Store) DestinationStatus {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	d := DestinationStatus{State: string(upload.OK), Since: time.Now().UTC()}
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
