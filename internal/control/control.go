// Package control is how a running daemon is asked and operated: the API and its
// client, the Unix socket of the command line, the admin listener with its
// permissions, and the file that says where a daemon runs.
package control

import (
	"context"
	"io"

	"indelible/internal/catalog"
	"indelible/internal/engine"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// Reader answers questions about a log. Over the admin listener it takes the
// permission to read.
type Reader interface {
	Status(ctx context.Context) (Status, error)
	// Find, Open and List are catalog.Catalog's.
	Find(ctx context.Context, ref catalog.Ref) (catalog.Found, error)
	Open(ctx context.Context, ref catalog.Ref) (catalog.Found, io.ReadCloser, error)
	List(ctx context.Context, o catalog.ListOptions, yield func(catalog.Row) bool) (catalog.Summary, error)
	Searcher
}

// Searcher answers what is asked of many records. Its methods are catalog.Catalog's.
type Searcher interface {
	Search(ctx context.Context, q catalog.Query, yield func(catalog.Hit) bool) (catalog.SearchSummary, error)
	Stats(ctx context.Context, q catalog.StatsQuery) ([]index.Sum, catalog.SearchSummary, error)
	Export(ctx context.Context, q catalog.ExportQuery, yield func(catalog.Hit, io.Reader) error) (catalog.SearchSummary, error)
	Follow(ctx context.Context, expr []string, after record.Seq, yield func(catalog.Hit) bool) error
	Index(ctx context.Context) (catalog.IndexStatus, error)
}

// Operator changes what a daemon does. Over the admin listener it takes the
// permission to operate.
type Operator interface {
	// Redrive brings quarantined and deferred records back into delivery, and
	// says how many.
	Redrive(ctx context.Context) (int, error)
	// Expire has records that are older than destination.retain removed, or with dry says which.
	// progress is told now and then of how many of the records that are removed the objects are done.
	Expire(ctx context.Context, dry bool, progress func(done, of record.Seq)) (engine.Expired, error)
	// Rotate changes the key that signs the log, and returns the new public one.
	Rotate(ctx context.Context) (vkey string, err error)
	// Rebuild has the index rebuilt from the log, tells how far it is of how much, and returns once it is done.
	Rebuild(ctx context.Context, progress func(done, of record.Seq)) error
}

// Service is everything that a command asks for: of a running daemon over its
// socket (Client), or of the data directory and the destination themselves.
type Service interface {
	Reader
	Operator
	Close() error
}
