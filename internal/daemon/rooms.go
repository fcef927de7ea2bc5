package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"indelible/internal/config"
	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// lockFile is held by the one process that serves a data directory.
const lockFile = "lock"

// rooms are the parts of a log that stand on the disk, opened and not started.
// What is closed is closed in the opposite order.
type rooms struct {
	log    string
	data   *osdisk.FS
	spool  *spool.Spool // nil: a read-only look found no spool
	dest   *destination
	query  *query.Reader
	closes []func() error // oldest first
}

// openRooms takes the data directory for this process, and opens spool and
// destination.
func openRooms(ctx context.Context, c *config.Config, o spool.Options) (r *rooms, err error) {
	r = &rooms{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := makeDir(c.Data); err != nil {
		return r, fmt.Errorf("make the data directory: %w", err)
	}
	if r.data, err = osdisk.Open(c.Data); err != nil {
		return r, err
	}
	r.later(r.data.Close)
	lock, err := r.data.Lock(lockFile)
	if err != nil {
		return r, taken(c.Data, err)
	}
	r.later(lock.Close)
	if r.log, err = logName(r.data, c.Proof.WantedName()); err != nil {
		return r, err
	}
	if err := makeDir(filepath.Join(c.Data, spoolDir)); err != nil {
		return r, fmt.Errorf("make the spool's directory: %w", err)
	}
	o.Log = r.log
	o.SegmentBytes, o.ReserveBytes, o.MaxBytes = c.Spool.SegmentBytes, c.Spool.ReserveBytes, c.Spool.MaxBytes
	if err := r.openSpool(c.Data, o); err != nil {
		return r, taken(c.Data, err)
	}
	if r.dest, err = openDestination(ctx, c, false); err != nil {
		return r, err
	}
	r.later(r.dest.close)
	r.query = query.New(r.spool, r.dest.store, r.dest.objects)
	return r, nil
}

// lookRooms opens what is there to be read, beside a process that may write it.
func lookRooms(ctx context.Context, c *config.Config) (r *rooms, err error) {
	r = &rooms{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	var pending query.Pending
	if _, err := os.Stat(filepath.Join(c.Data, spoolDir)); err == nil {
		if err := r.openSpool(c.Data, spool.Options{ReadOnly: true}); err != nil {
			return r, err
		}
		pending = r.spool
	} else if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if r.dest, err = openDestination(ctx, c, true); errors.Is(err, fs.ErrNotExist) && pending == nil {
		return r, fmt.Errorf("there is no log: neither the data directory %s nor the destination %s is there (say which with --data and --to)", c.Data, c.Destination.URL)
	}
	if err != nil {
		return r, err
	}
	r.later(r.dest.close)
	r.query = query.New(pending, r.dest.store, r.dest.objects)
	if _, err := os.Stat(c.Data); err != nil {
		return r, nil // a log of another machine
	}
	if r.data, err = osdisk.Open(c.Data); err != nil {
		return r, err
	}
	r.later(r.data.Close)
	if r.log, err = proof.ReadName(r.data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	return r, nil
}

const spoolDir = "spool"

func (r *rooms) openSpool(dataDir string, o spool.Options) error {
	fsys, err := osdisk.Open(filepath.Join(dataDir, spoolDir))
	if err != nil {
		return err
	}
	r.later(fsys.Close)
	if r.spool, err = spool.Open(fsys, o); err != nil {
		return err
	}
	r.later(r.spool.Close)
	return nil
}

// asides yields the records that were set aside.
func (r *rooms) asides(ctx context.Context) iter.Seq2[record.Aside, error] {
	if r.spool == nil {
		return func(func(record.Aside, error) bool) {}
	}
	return r.spool.Aside(ctx)
}

func (r *rooms) later(close func() error) { r.closes = append(r.closes, close) }

func (r *rooms) close() error {
	var errs []error
	for len(r.closes) > 0 {
		last := len(r.closes) - 1
		errs = append(errs, r.closes[last]())
		r.closes = r.closes[:last]
	}
	return errors.Join(errs...)
}

// taken says in plain words that another process has the directory.
func taken(dataDir string, err error) error {
	held, ok := errors.AsType[*disk.LockedError](err)
	if !ok {
		return err
	}
	who := "another process"
	if held.PID > 0 {
		who = fmt.Sprintf("process %d", held.PID)
	}
	return fmt.Errorf("%s is in use by %s: stop it, or give this one a directory of its own with --data", dataDir, who)
}
