package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"indelible/internal/engine"
	"indelible/internal/layout"
	"indelible/internal/query"
	"indelible/internal/record"
)

// desk is the Reader that has the rooms at hand: in the daemon, and in a
// command that found none running.
type desk struct {
	query   *query.Reader
	asides  func(context.Context) iter.Seq2[record.Aside, error]
	status  func(context.Context) (Status, error)
	redrive func(context.Context) (int, error)
	rotate  func(context.Context) (string, error)
	proven  func() record.Seq // records up to this one are covered by a checkpoint
	close   func() error
	objects layout.Objects
}

var _ Reader = (*desk)(nil)

// newDesk answers from these components; the caller sets status, redrive and close.
func newDesk(c *engine.Components) *desk {
	return &desk{
		query: c.Records(), objects: c.Layout(), asides: c.Quarantine,
		proven: func() record.Seq { return 0 },
		close:  func() error { return nil },
	}
}

// Status is Reader's.
func (d *desk) Status(ctx context.Context) (Status, error) { return d.status(ctx) }

// Redrive is Reader's.
func (d *desk) Redrive(ctx context.Context) (int, error) { return d.redrive(ctx) }

// Rotate is Reader's.
func (d *desk) Rotate(ctx context.Context) (string, error) { return d.rotate(ctx) }

// Close is Reader's.
func (d *desk) Close() error { return d.close() }

// Find is Reader's.
func (d *desk) Find(ctx context.Context, bucket, name string) (Row, error) {
	e, err := d.entry(ctx, bucket, name)
	if err != nil {
		return Row{}, err
	}
	states, err := d.states(ctx)
	if err != nil {
		return Row{}, err
	}
	state := record.Stored
	if _, pending, err := d.query.BySeq(ctx, e.Seq); err != nil {
		return Row{}, err
	} else if pending && e.Seq > 0 {
		state = record.Pending
	}
	row := states.row(e.Info, state)
	row.Attrs = map[string]string{}
	for _, a := range e.Attrs {
		row.Attrs[strings.TrimPrefix(a.Name, ":")] = a.Value
	}
	if stored := d.objects.Key(e.Bucket, e.Key); stored != e.Key {
		row.Stored = stored
	}
	return row, nil
}

// Body is Reader's.
func (d *desk) Body(ctx context.Context, bucket, name string) (io.ReadCloser, error) {
	e, err := d.entry(ctx, bucket, name)
	if err != nil {
		return nil, err
	}
	return e.Open()
}

// entry finds a record by whatever the name is: a key first, then a seq or
// receipt, then an id that stands in a key.
func (d *desk) entry(ctx context.Context, bucket, name string) (record.Entry, error) {
	buckets, err := d.buckets(ctx, bucket)
	if err != nil {
		return record.Entry{}, err
	}
	if len(buckets) == 0 {
		if buckets, name, err = d.strangers(ctx, name); err != nil {
			return record.Entry{}, err
		}
	}
	e, err := oneOf(buckets, func(b string) (record.Entry, bool, error) { return d.query.Find(ctx, b, name) })
	if !errors.Is(err, ErrNotFound) {
		return e, err
	}
	if seq, ok := seqOf(name); ok {
		if e, ok, err := d.query.BySeq(ctx, seq); ok || err != nil {
			return e, err
		}
	}
	if e, err = oneOf(buckets, func(b string) (record.Entry, bool, error) { return d.query.ByID(ctx, b, name) }); !errors.Is(err, ErrNotFound) {
		return e, err
	}
	return d.storedSeq(ctx, buckets, name)
}

// strangers are the buckets of a record whose spool is elsewhere, so that only the
// objects tell: those that have the key name, or else the key with that id,
// which is returned with them.
func (d *desk) strangers(ctx context.Context, name string) (buckets []string, key string, err error) {
	for item, err := range d.query.List(ctx, "", query.ListOptions{}) {
		if err != nil {
			return nil, "", err
		}
		if item.Key == name || strings.HasSuffix(item.Key, "_"+name+".json") {
			key = item.Key
		}
		if key == name {
			break
		}
	}
	if key == "" {
		key = name
	}
	for item, err := range d.query.List(ctx, "", query.ListOptions{Prefix: key, Detail: true}) {
		if err != nil {
			return nil, "", err
		}
		if item.Key == key {
			buckets = append(buckets, item.Bucket)
		}
	}
	return append(buckets, ""), key, nil
}

// storedSeq looks for a seq among what is stored: one request per object, the last resort.
func (d *desk) storedSeq(ctx context.Context, buckets []string, name string) (record.Entry, error) {
	seq, ok := seqOf(name)
	if !ok {
		return record.Entry{}, ErrNotFound
	}
	for _, b := range buckets {
		for item, err := range d.query.List(ctx, b, query.ListOptions{Detail: true}) {
			if err != nil {
				return record.Entry{}, err
			}
			if item.Seq != seq {
				continue
			}
			if e, ok, err := d.query.Find(ctx, item.Bucket, item.Key); err != nil || ok {
				return e, err
			}
		}
	}
	return record.Entry{}, ErrNotFound
}

// seqOf reads a seq, or a receipt's.
func seqOf(name string) (record.Seq, bool) {
	if r, err := record.ParseReceipt(name); err == nil {
		return r.Seq, true
	}
	n, err := strconv.ParseUint(name, 10, 64)
	return record.Seq(n), err == nil && n > 0
}

// oneOf asks for a record in each bucket. Found in two with different bytes, it
// is for the caller to say which.
func oneOf(buckets []string, find func(bucket string) (record.Entry, bool, error)) (record.Entry, error) {
	var found []record.Entry
	for _, b := range buckets {
		e, ok, err := find(b)
		if err != nil {
			return record.Entry{}, err
		}
		if ok && (len(found) == 0 || found[0].Seq != e.Seq || found[0].Bucket != e.Bucket) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return record.Entry{}, ErrNotFound
	case 1:
		return found[0], nil
	}
	return record.Entry{}, fmt.Errorf("it is in the buckets %q and %q: say which with --bucket", found[0].Bucket, found[1].Bucket)
}

// buckets are the sender's buckets to look in: the one asked for, or all that
// were seen; none where only the objects tell.
func (d *desk) buckets(ctx context.Context, asked string) ([]string, error) {
	if asked != "" {
		return []string{asked}, nil
	}
	var names []string
	for b, err := range d.query.Buckets(ctx) {
		if err != nil {
			return nil, err
		}
		names = append(names, b.Name)
	}
	if len(names) == 0 && d.objects.PerBucket() {
		return nil, errors.New("the destination keeps each sender's bucket apart, and none is known here: say which with --bucket")
	}
	return names, nil
}

// List is Reader's.
func (d *desk) List(ctx context.Context, bucket, prefix string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if err := d.list(ctx, bucket, prefix, yield); err != nil {
			yield(Row{}, err)
		}
	}
}

func (d *desk) list(ctx context.Context, bucket, prefix string, yield func(Row, error) bool) error {
	buckets, err := d.buckets(ctx, bucket)
	if err != nil {
		return err
	}
	states, err := d.states(ctx)
	if err != nil {
		return err
	}
	if len(buckets) == 0 {
		buckets = []string{""}
	}
	known := map[string]bool{}
	for _, b := range buckets {
		known[b] = true
	}
	for i, b := range buckets {
		for item, err := range d.query.List(ctx, b, query.ListOptions{Prefix: prefix, Detail: true}) {
			if err != nil {
				return err
			}
			// Buckets that share a name space list each other's objects: each is
			// shown once, with its own; what no known bucket has, with the first.
			if item.Bucket != b && (known[item.Bucket] || i > 0 || bucket != "" && item.Bucket != "") {
				continue
			}
			if !yield(states.row(item.Info, item.State), nil) {
				return nil
			}
		}
	}
	return nil
}

// asideStates are the records that were set aside, by seq, and how far the log proves.
type asideStates struct {
	asides map[record.Seq]record.Aside
	proven record.Seq
}

func (d *desk) states(ctx context.Context) (asideStates, error) {
	states := asideStates{map[record.Seq]record.Aside{}, d.proven()}
	for a, err := range d.asides(ctx) {
		if err != nil {
			return states, err
		}
		states.asides[a.Seq] = a
	}
	return states, nil
}

func (s asideStates) row(i record.Info, state record.State) Row {
	row := Row{Seq: i.Seq, Time: i.Time, Door: i.Door, Source: i.Source, Bucket: i.Bucket, Key: i.Key, Size: i.Size, State: state}
	if i.Digest != (record.Digest{}) {
		row.SHA256 = i.Digest.String()
	}
	switch a, ok := s.asides[i.Seq]; {
	case ok && state == record.Pending:
		row.State, row.Reason = a.State, a.Reason
	case !ok && state == record.Stored && i.Seq > 0 && i.Seq <= s.proven:
		row.State = record.Proven
	}
	return row
}
