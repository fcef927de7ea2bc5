// Package recorder is an http.RoundTripper that records what passes it: each
// exchange becomes an open record, durable before the request is sent, and a
// close record, durable before whoever reads the answer sees its end (Strict);
// or one record after the end. Bytes are passed as they are.
package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// Appender makes records durable, as ingest.Appender says. *spool.Spool is one.
type Appender interface {
	Append(ctx context.Context, r record.Record) (record.Receipt, error)
}

// Options are what a Recorder is made of.
type Options struct {
	Log  Appender
	Door string            // of the records: "proxy" or "lib"
	Base http.RoundTripper // sends the requests

	// Data is where long bodies wait until they are records, in directory Dir of it, and where the key
	// of the credentials' HMAC lies. Required.
	Data    disk.FS
	Reserve int64 // bytes of the disk that long bodies leave free

	// Relaxed appends one record for an exchange after its end, and nobody waits for it.
	Relaxed bool
	// PassFull passes calls for which there is no room on the disk. They are counted, and a record of
	// kind "gap" says how many when there is room again. Otherwise they fail with a *RefusedError.
	PassFull bool
	// Drain is how long the answer of a client that left is read on; 0 cancels the call.
	Drain time.Duration

	MaxRequest int64         // bytes of a request's body; 0 is 512 MiB
	MaxKept    int64         // bytes kept of an answer, and of what is sent after an upgrade; 0 is 512 MiB
	MaxHold    time.Duration // how long an append waits for room; 0 is 20 s

	// Recorded says whether a record with this key is in the log: Recover asks it, because a power cut can bring a file back whose record
	// was written. Without anywhere it asks no network. nil: what is left is recorded, again if need be.
	Recorded func(ctx context.Context, key string, anywhere bool) (bool, error)

	Acked  func(r record.Receipt, took time.Duration) // of each record; may be nil
	Lost   func(reason string)                        // a record could not be written; may be nil
	Logger *slog.Logger                               // nil discards
}

// Defaults of Options.
const (
	DefaultMaxRequest = 512 << 20
	DefaultMaxKept    = 512 << 20
	DefaultMaxHold    = 20 * time.Second
)

// Dir is the directory of bodies under way, in Options.Data.
const Dir = "exchanges"

// Recorder records exchanges. It is safe for concurrent use.
type Recorder struct {
	o Options
	*shared
}

// shared is what the recorders of one log have in common.
type shared struct {
	key     []byte
	log     *slog.Logger
	retries retries
	gap     gap
	flights flights
	late    chan struct{} // bounds the records that nobody waits for
	long    chan struct{} // bounds the records at once that are made of files: some megabytes of each are looked into
	buffers sync.Pool     // *bytes.Buffer, of records
	short   sync.Pool     // *bytes.Buffer, of short ones
	scratch sync.Pool     // *[]byte, of frames
	bursts  sync.Pool     // *[burstBytes]byte, of bodies under way
	sums    sync.Pool     // hash.Hash: SHA-256, of bodies
	macs    sync.Pool     // hash.Hash: HMAC-SHA256 under key
	holds   holds
	left    []string // files of the process before, for Recover
}

// maxLate bounds the records that are appended with nobody waiting, and maxLong those that are made of files.
const (
	maxLate = 256
	maxLong = 16
)

// New makes a recorder, and its directory and key where they are missing. It starts nothing.
func New(o Options) (*Recorder, error) {
	if o.Log == nil || o.Data == nil || o.Door == "" {
		return nil, errors.New("make recorder: Log, Data and Door must be set")
	}
	o.MaxRequest, o.MaxKept = cmp.Or(o.MaxRequest, DefaultMaxRequest), cmp.Or(o.MaxKept, DefaultMaxKept)
	o.MaxHold = cmp.Or(o.MaxHold, DefaultMaxHold)
	if limit := int64(record.MaxBody)/2 + 1; o.MaxRequest > limit || o.MaxKept > limit {
		return nil, fmt.Errorf("make recorder: a body of more than %d bytes does not fit into a record", limit)
	}
	if o.Base == nil {
		o.Base = http.DefaultTransport
	}
	if err := o.Data.MkdirAll(Dir); err != nil {
		return nil, fmt.Errorf("make recorder: %w", err)
	}
	key, err := credentialKey(o.Data)
	if err != nil {
		return nil, fmt.Errorf("make recorder: %w", err)
	}
	left, err := leftFiles(o.Data)
	if err != nil {
		return nil, fmt.Errorf("make recorder: %w", err)
	}
	return &Recorder{o: o, shared: &shared{
		left: left, key: key, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		late: make(chan struct{}, maxLate), long: make(chan struct{}, maxLong),
	}}, nil
}

// With is a recorder of the same log that sends with another base. One Recover and one Close are for all.
func (r *Recorder) With(base http.RoundTripper, relaxed bool) *Recorder {
	c := &Recorder{o: r.o, shared: r.shared}
	if c.o.Relaxed = relaxed; base != nil {
		c.o.Base = base
	}
	return c
}

// Close ends the answers that are still read, which their records say, and waits until what is under way
// is recorded, or ctx ends. Calls that begin from now on fail with a *RefusedError.
func (r *Recorder) Close(ctx context.Context) error {
	if err := r.flights.close(ctx); err != nil {
		return fmt.Errorf("close recorder: %w", err)
	}
	return r.flushGap(ctx)
}

// Call is what a caller of RoundTrip knows of an exchange beyond the request.
type Call struct {
	Upstream string      // "" is the request's host
	Provider string      // of the upstream, where it is known
	Client   string      // its address
	Source   string      // of the records; "" is Client
	Header   http.Header // as the client sent it, where the request's differs: its credential is the one that is told
	Query    string      // likewise
	Secrets  []string    // further texts that must not be recorded
}

type callKey struct{}

// WithCall gives a request's context what is known of the call.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// RefusedError says that a call was not made, because its record could not be written.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string {
	return "the call was not made, because it could not be recorded: " + e.Err.Error()
}

// Unwrap is the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// TooLargeError says that a request's body is over the limit; the call was not made.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the request's body is over the limit of %d bytes", e.Limit)
}

// RequestError says that the request's body could not be read; the call was not made.
type RequestError struct{ Err error }

func (e *RequestError) Error() string { return "read the request's body: " + e.Err.Error() }

// Unwrap is the cause.
func (e *RequestError) Unwrap() error { return e.Err }
