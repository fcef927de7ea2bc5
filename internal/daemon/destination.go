package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/config"
	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/s3"
)

// destination is the store that a configuration names, and the names of its
// objects.
type destination struct {
	store   store.Store
	objects layout.Objects
	check   func(ctx context.Context, probe string, report func(s3.Finding)) // what the doctor asks a bucket; nil: a directory
	sweep   func(time.Time) error                                            // what a writer does once before the first Put; nil: nothing
	close   func() error
}

// openDestination opens the store. It makes no connection: a store that is down is an
// error of each call to it. A directory is made, durably, unless readOnly.
func openDestination(ctx context.Context, c *config.Config, readOnly bool) (*destination, error) {
	loc, err := config.ParseLocation(c.Destination.URL)
	if err != nil {
		return nil, err
	}
	objects, err := layout.Parse(loc.Prefix)
	if err != nil {
		return nil, &config.Error{Where: "destination.url", Problem: err.Error()}
	}
	if loc.Bucket == "" {
		return openDirectory(loc.Dir, objects, readOnly)
	}
	d := c.Destination
	s, err := s3.Open(ctx, s3.Config{
		Bucket: loc.Bucket, Endpoint: d.Endpoint, Region: d.Region, AssumeRole: d.AssumeRole,
		SSE: d.SSE, KMSKeyID: d.KMSKeyID, StorageClass: d.StorageClass, Tags: d.Tags,
		ObjectLock: s3.ObjectLock{Mode: strings.ToUpper(d.ObjectLock.Mode), Retain: d.ObjectLock.Retain},
		// An attempt may be silent for half of what it may last altogether.
		AttemptTimeout: min(s3.DefaultAttemptTimeout, c.Upload.AttemptTimeout/2),
	})
	if err != nil {
		return nil, fmt.Errorf("open the destination %s: %w", d.URL, err)
	}
	return &destination{store: s, objects: objects, check: s.Check, close: func() error { return nil }}, nil
}

func openDirectory(root string, objects layout.Objects, readOnly bool) (*destination, error) {
	if readOnly {
		if _, err := os.Stat(root); err != nil {
			return nil, fmt.Errorf("open the destination: %w", err)
		}
	} else if err := makeDir(root); err != nil {
		return nil, fmt.Errorf("open the destination: %w", err)
	}
	fsys, err := osdisk.Open(root)
	if err != nil {
		return nil, fmt.Errorf("open the destination: %w", err)
	}
	s := dir.Open(fsys)
	return &destination{store: s, objects: objects, sweep: s.Sweep, close: fsys.Close}, nil
}

// makeDir makes a directory, and makes its name durable and those of the parents
// that it made: what is synced in a directory that a power loss takes away is
// lost with it.
func makeDir(path string) error {
	above := existing(filepath.Dir(path))
	fsys, err := osdisk.Open(above)
	if err != nil {
		if info, serr := os.Stat(path); serr == nil && info.IsDir() {
			return nil // made by somebody else, in a parent that is none of ours
		}
		return err
	}
	defer func() { _ = fsys.Close() }()
	rel, err := filepath.Rel(above, path)
	if err != nil {
		return err
	}
	return fsys.MkdirAll(filepath.ToSlash(rel))
}
