// Package catalog finds, lists and opens the records of a log, wherever they are:
// in the spool, parked, or in the destination. Where the destination does not
// answer it tells what this disk has, and says what is missing.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// Row is one record as `ls` and `get --attrs` show it.
type Row struct {
	Seq    record.Seq   `json:"seq"` // 0 where it is not known
	Time   time.Time    `json:"time"`
	Door   string       `json:"door,omitempty"`
	Source string       `json:"source,omitempty"`
	Bucket string       `json:"bucket"`
	Key    string       `json:"key"`
	Stored string       `json:"stored_key,omitempty"` // where it differs from Key
	Size   int64        `json:"size"`
	SHA256 string       `json:"sha256,omitempty"`
	State  record.State `json:"state,omitempty"`
	Reason string       `json:"reason,omitempty"` // why it was parked
	// Attrs are headers, user metadata and what the door noted; only Find tells them.
	Attrs map[string]string `json:"attrs,omitempty"`
}

// RowOf shows a record that waits here.
func RowOf(i record.Info) Row {
	return Row{
		Seq: i.Seq, Time: i.Time, Door: i.Door, Source: i.Source, Bucket: i.Bucket, Key: i.Key,
		Size: i.Size, SHA256: i.Digest.String(), State: record.Pending,
	}
}

// Found is a record that a Ref named.
type Found struct {
	Row
	// Others have the same bytes, and carry the same id or lie under the same key: this one is the newest.
	Others []Row `json:"others,omitempty"`
	// Read is how many records were read one by one to find it, because there is no index that could be asked.
	Read int `json:"read,omitempty"`
	// Missing says what could not be asked, and so whether a newer one may be there; "" is nothing.
	Missing string `json:"missing,omitempty"`
}

// Kind says what a name is.
type Kind string

// The kinds. A name of Any kind is a receipt; else, if it is a number, a seq; else a key or an id.
const (
	Any Kind = ""
	Seq Kind = "seq"
	Key Kind = "key"
	ID  Kind = "id"
)

// Ref names a record.
type Ref struct {
	Kind   Kind
	Name   string
	Bucket string // the bucket that the sender used; "" is any
}

// ErrNotFound is wrapped where there is no such record.
var ErrNotFound = errors.New("no such record")

// AmbiguousError says that a name could mean several records.
type AmbiguousError struct {
	Name       string
	Candidates []Row
}

func (e *AmbiguousError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q could be any of these: say which with --seq, --key, --id or --bucket", e.Name)
	for _, r := range e.Candidates {
		fmt.Fprintf(&b, "\n  --seq %d   bucket %q, key %q", r.Seq, r.Bucket, r.Key)
	}
	return b.String()
}

// AwayError says that a record is not on this disk, and that the rest could not be asked.
type AwayError struct{ Cause error }

func (e *AwayError) Error() string {
	return fmt.Sprintf("it is not on this disk, and what is stored could not be asked: %v", e.Cause)
}

// Unwrap is the cause.
func (e *AwayError) Unwrap() error { return e.Cause }

// Options are what a Catalog looks into.
type Options struct {
	Records *query.Reader
	Objects layout.Objects
	Log     string // the log's name; "" where it is not known
	Spool   bool   // Records has a spool: its buckets are all that senders used
	// Parked yields the records that were parked.
	Parked func(context.Context) iter.Seq2[record.ParkedEntry, error]
	// Reached is how far the log has come: records up to the first are stored, up to the second proven.
	Reached func() (stored, proven record.Seq)
	// Leaf finds a record's leaf in the log; it fails with proof.ErrUnproven where there is
	// none. nil: the log's key is not known.
	Leaf func(context.Context, record.Seq) (proof.Leaf, error)
	// Leaves is proof.Leaves of this log. nil: the log's key is not known.
	Leaves func(ctx context.Context, seq record.Seq, back bool) iter.Seq2[proof.Leaf, error]
	// Removals is proof.Removals of this log. nil: the log's key is not known.
	Removals func(ctx context.Context) ([]proof.Removal, error)
	// Newest is the newest durable seq here; nil: there is no spool.
	Newest func() record.Seq
	// Wait returns once a record with a seq greater than after is durable; nil: nothing new arrives here.
	Wait func(ctx context.Context, after record.Seq) (record.Seq, error)
	// Index is asked instead of reading records one by one; nil: there is none.
	Index *index.Index
}

// Catalog answers questions about records. It is safe for concurrent use.
type Catalog struct {
	o        Options
	removals removals
}

// New makes a catalog.
func New(o Options) *Catalog { return &Catalog{o: o} }

// states are what only the spool and the log know of a record.
type states struct {
	parked         map[record.Seq]record.ParkedEntry
	stored, proven record.Seq
	objects        layout.Objects
}

func (c *Catalog) states(ctx context.Context) (states, error) {
	s := states{parked: map[record.Seq]record.ParkedEntry{}, objects: c.o.Objects}
	s.stored, s.proven = c.o.Reached()
	for a, err := range c.o.Parked(ctx) {
		if err != nil {
			return s, err
		}
		s.parked[a.Seq] = a
	}
	return s, nil
}

func (s states) row(i record.Info, state record.State) Row {
	row := Row{Seq: i.Seq, Time: i.Time, Door: i.Door, Source: i.Source, Bucket: i.Bucket, Key: i.Key, Size: i.Size, State: state}
	if i.Digest != (record.Digest{}) {
		row.SHA256 = i.Digest.String()
	}
	parked, isParked := s.parked[i.Seq]
	switch {
	case isParked && state == record.Pending:
		row.State, row.Reason = parked.State, parked.Reason
	case !isParked && i.Seq > 0 && i.Seq <= s.proven:
		row.State = record.Proven
	case !isParked && i.Seq > 0 && i.Seq <= s.stored:
		row.State = record.Stored // the spool lets go of it after the next checkpoint
	}
	return row
}
