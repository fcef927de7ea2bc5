package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
)

// Names in the data directory.
const (
	LockFile = "lock"  // held by the one process that writes the directory
	SpoolDir = "spool" // the durable queue
)

// Components are the open parts of a log: those of an Engine, or those of Look,
// which only reads. What was not found is nil or "".
type Components struct {
	name    string
	data    *osdisk.FS
	spool   *spool.Spool
	dest    *Destination
	records *query.Reader
	closers []func() error // oldest first
}

// Name is the log's name.
func (c *Components) Name() string { return c.name }

// Data is the data directory.
func (c *Components) Data() disk.FS {
	if c.data == nil {
		return nil
	}
	return c.data
}

// Spool is the durable queue.
func (c *Components) Spool() *spool.Spool { return c.spool }

// Records reads what is pending and what is stored.
func (c *Components) Records() *query.Reader { return c.records }

// Store is the destination's.
func (c *Components) Store() store.Store { return c.dest.Store }

// Layout names the destination's objects.
func (c *Components) Layout() layout.Objects { return c.dest.Layout }

// Parked yields the records that were parked.
func (c *Components) Parked(ctx context.Context) iter.Seq2[record.ParkedEntry, error] {
	if c.spool == nil {
		return func(func(record.ParkedEntry, error) bool) {}
	}
	return c.spool.Parked(ctx)
}

// Published is what the data directory remembers of the log: the size of the last
// checkpoint that it published, and the last seq that this proves.
func (c *Components) Published() (size uint64, proven record.Seq, err error) {
	if c.data == nil {
		return 0, 0, nil
	}
	checkpoint, proven, err := proof.LastPublished(c.data)
	if err != nil || checkpoint == nil {
		return 0, 0, err
	}
	cp, err := proof.ParseCheckpoint(checkpoint)
	return cp.Size, proven, err
}

// Look opens what is there to be read, beside a process that may write it.
func Look(ctx context.Context, dir string, destination func(context.Context) (*Destination, error)) (c *Components, err error) {
	c = &Components{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	var pending query.Pending
	if _, err := os.Stat(filepath.Join(dir, SpoolDir)); err == nil {
		if err := c.openSpool(dir, spool.Options{ReadOnly: true}); err != nil {
			return c, err
		}
		pending = c.spool
	} else if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	if err := c.openDestination(ctx, destination); err != nil {
		if errors.Is(err, fs.ErrNotExist) && pending == nil {
			return c, fmt.Errorf("no log is here: \"indelible serve\" begins one, and --data and --to name one elsewhere; neither the data directory %s nor the destination exists: %w", dir, err)
		}
		return c, err
	}
	c.records = query.New(pending, c.dest.Store, c.dest.Layout).WithPacks()
	if _, err := os.Stat(dir); err != nil {
		return c, nil // a log of another machine
	}
	if c.data, err = osdisk.Open(dir); err != nil {
		return c, err
	}
	c.later(c.data.Close)
	if c.name, err = proof.RecoverName(c.data); err != nil {
		return c, err
	}
	return c, nil
}

func (c *Components) openSpool(dir string, o spool.Options) error {
	fsys, err := osdisk.Open(filepath.Join(dir, SpoolDir))
	if err != nil {
		return err
	}
	c.later(fsys.Close)
	if c.spool, err = spool.Open(fsys, o); err != nil {
		return err
	}
	c.later(c.spool.Close)
	return nil
}

func (c *Components) openDestination(ctx context.Context, open func(context.Context) (*Destination, error)) (err error) {
	if c.dest, err = open(ctx); err != nil {
		return err
	}
	if c.dest.Close != nil {
		c.later(c.dest.Close)
	}
	return nil
}

func (c *Components) later(close func() error) { c.closers = append(c.closers, close) }

// Close closes what was opened, the newest first. It may be called again.
func (c *Components) Close() error {
	var errs []error
	for len(c.closers) > 0 {
		last := len(c.closers) - 1
		errs = append(errs, c.closers[last]())
		c.closers = c.closers[:last]
	}
	return errors.Join(errs...)
}

// Lock takes the data directory for this process.
func Lock(data *osdisk.FS, dir string) (release func() error, err error) {
	lock, err := data.Lock(LockFile)
	if err != nil {
		return nil, inUse(dir, err)
	}
	return lock.Close, nil
}

// inUse says in plain words that another process has the directory.
func inUse(dir string, err error) error {
	held, ok := errors.AsType[*disk.LockedError](err)
	if !ok {
		return err
	}
	who := "another process"
	if held.PID > 0 {
		who = fmt.Sprintf("process %d", held.PID)
	}
	return fmt.Errorf("%s is in use by %s: stop it, or choose another data directory: %w", dir, who, held)
}
