// Package control is how a running daemon is asked and operated: the API and its
// client, the Unix socket of the command line, the admin listener with its
// permissions, and the file that says where a daemon runs.
package control

import (
	"context"
	"io"

	"indelible/internal/catalog"
)

// Reader answers questions about a log. Over the admin listener it takes the
// permission to read.
type Reader interface {
	Status(ctx context.Context) (Status, error)
	// Find, Open and List are catalog.Catalog's.
	Find(ctx context.Context, ref catalog.Ref) (catalog.Found, error)
	Open(ctx context.Context, ref catalog.Ref) (catalog.Found, io.ReadCloser, error)
	List(ctx context.Context, o catalog.ListOptions, yield func(catalog.Row) bool) (catalog.Summary, error)
}

// Operator changes what a daemon does. Over the admin listener it takes the
// permission to operate.
type Operator interface {
	// Redrive brings quarantined and deferred records back into delivery, and
	// says how many.
	Redrive(ctx context.Context) (int, error)
	// Rotate changes the key that signs the log, and returns the new public one.
	Rotate(ctx context.Context) (vkey string, err error)
}

// Service is everything that a command asks for: of a running daemon over its
// socket (Client), or of the data directory and the destination themselves.
type Service interface {
	Reader
	Operator
	Close() error
}
