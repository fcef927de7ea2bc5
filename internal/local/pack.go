package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/disk/osdisk"
	"indelible/internal/engine"
	"indelible/internal/importer"
	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/setup"
)

// importsDir is where the manifests of what was taken from stores are kept, in the data directory.
const importsDir = "imports"

// packPatience bounds how long a Pack waits for a destination that answers with errors.
const packPatience = 30 * time.Second

// PackOptions say which objects are packed.
type PackOptions struct {
	From     string // a location, or a prefix below the destination
	Bucket   string // the bucket that their sender used; "" is that of the location, or doors.s3.bucket
	Dry      bool
	Progress func(s importer.Sum, key string)
}

// PackSum is what a Pack did.
type PackSum struct {
	importer.Sum
	From    string `json:"from"`
	Pending uint64 `json:"pending"` // records that wait here to be delivered
}

// Pack takes the objects below a prefix into the log, as records that are delivered in packs. It needs the data
// directory for itself. The objects stay where they are.
func Pack(ctx context.Context, l *config.Loaded, o PackOptions, log *slog.Logger) (sum PackSum, err error) {
	sum.From = o.From
	from, prefix, err := openFrom(ctx, &l.Config, o)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	run := importer.Options{Store: from.Store, Source: from.name, Prefix: prefix, Key: from.key, Objects: from.Layout, Dry: o.Dry, Progress: o.Progress}
	imports := filepath.Join(l.Config.Data, importsDir)
	if o.Dry {
		sum.Sum, err = dryRun(ctx, imports, run)
		return sum, err
	}
	l.Config.Layout = "pack"
	e, err := setup.Engine(ctx, l, log, setup.Events{})
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := e.AwaitMatch(ctx, packPatience); err != nil {
		return sum, err
	}
	if err := engine.MakeDir(imports); err != nil {
		return sum, err
	}
	disk, err := osdisk.Open(imports)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	reached := func() (stored, proven record.Seq) {
		s := e.Stats().Log
		return s.Proven, s.Proven
	}
	run.Disk, run.Objects = disk, e.Layout()
	run.Log, run.LogName = packLog{e, newCatalog(&e.Components, &l.Config, nil, nil, reached)}, e.Name()
	if err := l.Remember(); err != nil {
		log.Warn("commands have to be told the destination", "error", err)
	}
	g, running := errgroup.WithContext(context.WithoutCancel(ctx))
	g.Go(func() error { return e.Run(running) })
	g.Go(func() error {
		taking, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		var err error
		sum.Sum, err = importer.Run(taking, run)
		if err == nil {
			err = e.Drain(taking)
		} else if ctx.Err() == nil {
			err = errors.Join(err, drainFor(running, e, time.Duration(l.Config.Shutdown.Drain)))
		}
		e.Stop(context.WithoutCancel(ctx))
		return err
	})
	err = g.Wait()
	sum.Manifest = filepath.Join(imports, sum.Manifest)
	st := e.Stats().Spool
	sum.Pending = st.Pending + st.Quarantined
	return sum, err
}

// dryRun says what a Pack would take; it writes nothing.
func dryRun(ctx context.Context, imports string, run importer.Options) (sum importer.Sum, err error) {
	if _, err := os.Stat(imports); err == nil { // Open would make it
		disk, err := osdisk.Open(imports)
		if err != nil {
			return sum, err
		}
		defer func() { _ = disk.Close() }()
		run.Disk = disk
	} else if !errors.Is(err, fs.ErrNotExist) {
		return sum, err
	}
	sum, err = importer.Run(ctx, run)
	sum.Manifest = ""
	return sum, err
}

// drainFor delivers what was taken before an error, for a while.
func drainFor(ctx context.Context, e *engine.Engine, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := e.Drain(ctx); err != nil {
		return errors.New("what was taken is not all delivered; the next call, or serve, does it")
	}
	return nil
}

// packLog is the engine's log as importer.Log.
type packLog struct {
	*engine.Engine
	catalog *catalog.Catalog
}

// Newest is importer.Log's.
func (p packLog) Newest() record.Seq { return record.Seq(p.Spool().Stats().Acked) }

// Records is importer.Log's.
func (p packLog) Records(ctx context.Context, from, upto record.Seq) iter.Seq2[record.Entry, error] {
	return p.catalog.Records(ctx, from, upto)
}

// packSource is the store that a Pack reads.
type packSource struct {
	*setup.Destination
	name string // without what stands below the bucket or directory
	key  func(stored string) (bucket, key string, ok bool)
}

func (s *packSource) close() error {
	if s.Close == nil {
		return nil
	}
	return s.Close()
}

// openFrom opens what is to be packed, and says which prefix of it.
func openFrom(ctx context.Context, c *config.Config, o PackOptions) (*packSource, string, error) {
	dest, err := config.ParseLocation(string(c.Destination.URL))
	if err != nil {
		return nil, "", err
	}
	objects, err := layout.Parse(dest.Prefix)
	if err != nil {
		return nil, "", &config.Error{Where: "destination.url", Problem: err.Error()}
	}
	loc, prefix := dest, objects.Base()+strings.TrimPrefix(o.From, "/")
	if strings.Contains(o.From, "://") || filepath.IsAbs(o.From) {
		if loc, err = config.ParseLocation(o.From); err != nil {
			return nil, "", err
		}
		prefix = loc.Prefix
		if prefix != "" && strings.HasSuffix(o.From, "/") {
			prefix += "/"
		}
	}
	bucket := o.Bucket
	if bucket == "" {
		bucket = loc.Bucket
	}
	if bucket == "" {
		bucket = c.Doors.S3.Bucket
	}
	own := loc.Bucket == dest.Bucket && (loc.Bucket != "" || samePath(loc.Dir, dest.Dir))
	at := *c
	at.Destination.URL = config.StoreURL(fileOrBucket(loc))
	d, err := setup.OpenDestination(ctx, &at, "", true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("there is nothing at %s", at.Destination.URL)
	}
	if err != nil {
		return nil, "", err
	}
	return &packSource{Destination: d, name: string(at.Destination.URL), key: func(stored string) (string, string, bool) {
		if own && strings.HasPrefix(stored, objects.Base()) {
			key, ok := objects.Sent(bucket, stored)
			return bucket, key, ok && key != ""
		}
		return bucket, stored, true
	}}, prefix, nil
}

// samePath says whether two directories are one.
func samePath(a, b string) bool {
	sa, err := os.Stat(a)
	if err != nil {
		return false
	}
	sb, err := os.Stat(b)
	return err == nil && os.SameFile(sa, sb)
}

// fileOrBucket is the location of a whole store.
func fileOrBucket(l config.Location) string {
	if l.Bucket != "" {
		return "s3://" + l.Bucket
	}
	dir, err := filepath.Abs(l.Dir)
	if err != nil {
		dir = l.Dir
	}
	return dir
}
