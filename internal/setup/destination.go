package setup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"indelible/internal/config"
	"indelible/internal/engine"
	"indelible/internal/layout"
	"indelible/internal/store/dir"
	"indelible/internal/store/s3"
)

// Destination is the store that a configuration names.
type Destination struct {
	engine.Destination
	// Check examines a bucket with a probe object, and reports each finding as it comes; nil: the store is a directory.
	Check func(ctx context.Context, probe string, report func(s3.Finding))
}

// OpenDestination opens the store; uploader is the log whose records will be sent
// there, "" if none will. It makes no connection: a store that is down is an
// error of each call to it. A directory is made, durably, unless readOnly.
func OpenDestination(ctx context.Context, c *config.Config, uploader string, readOnly bool) (*Destination, error) {
	loc, err := config.ParseLocation(string(c.Destination.URL))
	if err != nil {
		return nil, err
	}
	objects, err := layout.Parse(loc.Prefix)
	if err != nil {
		return nil, &config.Error{Where: "destination.url", Problem: err.Error()}
	}
	if loc.Bucket == "" {
		d, err := engine.Directory(loc.Dir, objects, readOnly)
		if err != nil {
			return nil, err
		}
		return &Destination{Destination: *d}, nil
	}
	d := c.Destination
	s, err := s3.Open(ctx, s3.Config{
		Bucket: loc.Bucket, Endpoint: string(d.Endpoint), Region: d.Region, AssumeRole: string(d.AssumeRole),
		SSE: d.SSE, KMSKeyID: d.KMSKeyID, StorageClass: string(d.StorageClass), Tags: d.Tags,
		Uploader:   uploader,
		ObjectLock: s3.ObjectLock{Mode: strings.ToUpper(d.ObjectLock.Mode), Retain: time.Duration(d.ObjectLock.Retain)},
		Retention:  s3.Retention{After: time.Duration(d.Retain), Base: objects.Base()},
		// An attempt may be silent for half of what it may last altogether.
		AttemptTimeout: min(s3.DefaultAttemptTimeout, time.Duration(c.Upload.AttemptTimeout)/2),
	})
	if err != nil {
		return nil, fmt.Errorf("open the destination %s: %w", d.URL, err)
	}
	return &Destination{Destination: engine.Destination{Store: s, Layout: objects, Close: func() error { return nil }}, Check: s.Check}, nil
}

// OpenTarget opens a store that copies of records are written into: with the endpoint, region, credentials and encryption of the
// destination, and without its Object Lock and tags. The destination itself is refused, and what CheckTarget refuses. plain says
// that a directory gets the objects alone, without their attributes.
func OpenTarget(ctx context.Context, c *config.Config, location string, plain bool) (*Destination, error) {
	if _, err := config.ParseLocation(location); err != nil {
		return nil, err
	}
	if location == string(c.Destination.URL) || sameLog(location, string(c.Destination.URL)) {
		return nil, &config.Error{Where: location, Problem: "is the destination, where the records are already: name another store or prefix"}
	}
	if err := CheckTarget(c, location); err != nil {
		return nil, err
	}
	at := *c
	at.Destination.URL = config.StoreURL(location)
	at.Destination.Tags, at.Destination.ObjectLock, at.Destination.Retain = nil, config.ObjectLock{}, 0
	d, err := OpenDestination(ctx, &at, "", false)
	if err != nil {
		return nil, err
	}
	if files, ok := d.Store.(*dir.Store); ok && plain {
		files.Plain()
	}
	return d, nil
}
