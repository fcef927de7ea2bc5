package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"indelible/internal/proof"
	"indelible/internal/query"
	"indelible/internal/record"
)

// Find describes the record that a name means. Its error wraps ErrNotFound, or
// is an *AmbiguousError or an *AwayError.
func (c *Catalog) Find(ctx context.Context, ref Ref) (Found, error) {
	_, f, err := c.find(ctx, ref)
	return f, err
}

// Open is Find with the record's bytes, which the caller closes.
func (c *Catalog) Open(ctx context.Context, ref Ref) (Found, io.ReadCloser, error) {
	e, f, err := c.find(ctx, ref)
	if err != nil {
		return f, nil, err
	}
	body, err := e.Open()
	return f, body, err
}

// matches are the records that a name could mean, newest first, and why some
// may be missing.
type matches struct {
	entries []record.Entry
	missing error
	read    int // records that were read one by one
}

func (m *matches) add(e record.Entry) {
	same := func(o record.Entry) bool { return o.Seq == e.Seq && o.Bucket == e.Bucket && o.Key == e.Key }
	if !slices.ContainsFunc(m.entries, same) {
		m.entries = append(m.entries, e)
		slices.SortStableFunc(m.entries, func(a, b record.Entry) int {
			return cmp.Or(cmp.Compare(b.Seq, a.Seq), b.Time.Compare(a.Time))
		})
	}
}

func (c *Catalog) find(ctx context.Context, ref Ref) (e record.Entry, f Found, err error) {
	states, err := c.states(ctx)
	if err != nil {
		return e, f, err
	}
	m, err := c.matches(ctx, ref)
	if err == nil && len(m.entries) == 0 {
		err = ErrNotFound
		if m.missing != nil {
			err = &AwayError{m.missing}
		}
	}
	if ambiguous, ok := errors.AsType[*AmbiguousError](err); ok {
		for _, e := range m.entries {
			ambiguous.Candidates = append(ambiguous.Candidates, c.row(ctx, states, e))
		}
	}
	if err != nil {
		return e, f, err
	}
	e = m.entries[0]
	f.Row, f.Read = c.row(ctx, states, e), m.read
	f.Attrs = map[string]string{}
	for _, a := range e.Attrs {
		f.Attrs[strings.TrimPrefix(a.Name, ":")] = a.Value
	}
	for _, o := range m.entries[1:] {
		f.Others = append(f.Others, c.row(ctx, states, o))
	}
	if m.missing != nil {
		f.Missing = m.missing.Error()
	}
	return e, f, nil
}

// row is an entry's row: pending while the spool has it.
func (c *Catalog) row(ctx context.Context, s states, e record.Entry) Row {
	state := record.Stored
	if _, pending, err := c.o.Records.BySeq(ctx, e.Seq); e.Seq > 0 && (pending || err != nil) {
		state = record.Pending
	}
	row := s.row(e.Info, state)
	if stored := s.objects.Key(e.Bucket, e.Key); stored != e.Key {
		row.Stored = stored
	}
	return row
}

// matches are the records that ref could mean; with an *AmbiguousError where it is for the
// caller to say which.
func (c *Catalog) matches(ctx context.Context, ref Ref) (m matches, err error) {
	receipt, receiptErr := record.ParseReceipt(ref.Name)
	number, numberErr := strconv.ParseUint(ref.Name, 10, 64)
	seq := record.Seq(number)
	switch {
	case ref.Kind == Any && receiptErr == nil:
		return c.byReceipt(ctx, receipt)
	case ref.Kind == Seq && numberErr != nil:
		return m, fmt.Errorf("%w: a seq is a number", ErrNotFound)
	case ref.Kind == Seq:
		return c.bySeq(ctx, seq)
	case ref.Kind == Any && numberErr == nil:
		// A number is a seq and nothing else: who can choose a key or an id could
		// otherwise choose which record a number means.
		m, err = c.bySeq(ctx, seq)
		if err == nil && len(m.entries) == 0 && m.missing == nil {
			err = fmt.Errorf("%w: a number is a seq, and no record has this one (--key and --id look for it as a key or an id)", ErrNotFound)
		}
		return m, err
	}
	buckets, err := c.buckets(ctx, ref.Bucket)
	if err != nil {
		return m, err
	}
	if ref.Kind != ID {
		m = c.byKey(ctx, buckets, ref.Name)
		first := func(e record.Entry) bool { return e.Digest != m.entries[0].Digest }
		if slices.ContainsFunc(m.entries, first) {
			return m, &AmbiguousError{Name: ref.Name} // two buckets have it, with different bytes
		}
	}
	// Any text can be a key; an id has no slash and no extension, and is looked for
	// even where there is such a key.
	isKey := strings.Contains(ref.Name, "/") || strings.HasSuffix(ref.Name, ".json")
	if ref.Kind == ID || ref.Kind == Any && (len(m.entries) == 0 || !isKey) {
		ids, indexed := c.byIndex(ctx, buckets, ref.Name)
		if !indexed {
			ids = c.byID(ctx, buckets, ref.Name)
			if len(ids.entries) == 0 && c.o.Spool {
				c.inBodies(ctx, buckets, ref.Name, &ids)
			}
		}
		m.read += ids.read
		byKey := len(m.entries)
		for _, e := range ids.entries {
			m.add(e)
		}
		m.missing = cmp.Or(m.missing, ids.missing)
		other := func(e record.Entry) bool { return e.Digest != m.entries[0].Digest }
		if byKey > 0 && len(m.entries) > byKey || byKey == 0 && slices.ContainsFunc(m.entries, other) {
			return m, &AmbiguousError{Name: ref.Name}
		}
	}
	return m, nil
}

// buckets are the sender's buckets to look in: the one asked for, or all that were
// seen. Some doors know no bucket: "" is always one of them.
func (c *Catalog) buckets(ctx context.Context, asked string) ([]string, error) {
	if asked != "" {
		return []string{asked}, nil
	}
	names := []string{""}
	for b, err := range c.o.Records.Buckets(ctx) {
		if err != nil {
			return nil, err
		}
		if b.Name != "" {
			names = append(names, b.Name)
		}
	}
	if !c.o.Spool && c.o.Objects.PerBucket() {
		return nil, errors.New("the destination keeps each sender's bucket apart, and none is known here: say which with --bucket")
	}
	return names, nil
}

func (c *Catalog) byKey(ctx context.Context, buckets []string, key string) (m matches) {
	if !c.o.Spool && len(buckets) == 1 && buckets[0] == "" { // only the object says whose it is
		e, ok, err := c.o.Records.At(ctx, c.o.Objects.Key("", key))
		if err != nil || !ok {
			return matches{missing: err}
		}
		buckets = []string{e.Bucket}
	}
	for _, b := range buckets {
		e, ok, err := c.o.Records.Find(ctx, b, key)
		if err != nil {
			m.missing = err
		} else if ok {
			m.add(e)
		}
	}
	return m
}

// byID finds the records that carry an id: by their keys, or, where no key has it, by the
// lines of batch files.
func (c *Catalog) byID(ctx context.Context, buckets []string, id string) (m matches) {
	for _, look := range []func(context.Context, []string, string, query.ListOptions, func(record.Entry)) error{c.inKeys, c.inBatches} {
		for _, space := range c.spaces(buckets) {
			found := func(e record.Entry) {
				if slices.Contains(space, e.Bucket) || !c.o.Spool {
					m.add(e)
				}
			}
			err := look(ctx, space, id, query.ListOptions{}, found)
			if err != nil { // once more, without the destination
				m.missing = err
				m.missing = cmp.Or(look(ctx, space, id, query.ListOptions{PendingOnly: true}, found), m.missing)
			}
		}
		if len(m.entries) > 0 {
			return m
		}
	}
	for e, err := range c.o.Records.PackedByID(ctx, id) {
		if err != nil {
			m.missing = cmp.Or(m.missing, err)
		} else if slices.Contains(buckets, e.Bucket) || !c.o.Spool {
			m.add(e)
		}
	}
	return m
}

// inKeys finds the records of a name space whose keys carry an id.
func (c *Catalog) inKeys(ctx context.Context, buckets []string, id string, o query.ListOptions, found func(record.Entry)) (away error) {
	for e, err := range c.o.Records.ByID(ctx, buckets, id, o) {
		if err != nil {
			away = err
		} else {
			found(e)
		}
	}
	return away
}

// spaces are the buckets in groups that share a name space.
func (c *Catalog) spaces(buckets []string) [][]string {
	if !c.o.Objects.PerBucket() {
		return [][]string{buckets}
	}
	var each [][]string
	for _, b := range buckets {
		each = append(each, []string{b})
	}
	return each
}

// byReceipt finds the record that a receipt was given for, and no other.
func (c *Catalog) byReceipt(ctx context.Context, r record.Receipt) (matches, error) {
	if c.o.Log != "" && r.Log != c.o.Log {
		return matches{}, fmt.Errorf("%w: the receipt is of the log %q, and this is %q", ErrNotFound, r.Log, c.o.Log)
	}
	m, err := c.bySeq(ctx, r.Seq)
	if err == nil && len(m.entries) > 0 && m.entries[0].Digest != r.Digest {
		return matches{}, fmt.Errorf("%w: record %d has the SHA-256 %s, and the receipt says %s: it was not given for this record", ErrNotFound, r.Seq, m.entries[0].Digest, r.Digest)
	}
	return m, err
}

// bySeq finds a record by its number: in the spool, else where the log says that
// it is stored.
func (c *Catalog) bySeq(ctx context.Context, seq record.Seq) (m matches, err error) {
	e, ok, err := c.o.Records.BySeq(ctx, seq)
	if err != nil || seq == 0 {
		return m, err
	}
	if ok {
		m.add(e)
		return m, nil
	}
	if c.o.Leaf == nil {
		return c.scanForSeq(ctx, seq)
	}
	leaf, err := c.o.Leaf(ctx, seq)
	if errors.Is(err, proof.ErrUnproven) {
		return m, nil
	}
	if err != nil {
		return matches{missing: err}, nil
	}
	if leaf.Kind == proof.Pack {
		return c.inPack(ctx, &leaf, seq)
	}
	e, ok, err = c.o.Records.At(ctx, leaf.Key)
	if err != nil {
		return matches{missing: err}, nil
	}
	if !ok {
		return m, c.gone(ctx, seq, fmt.Errorf("%w: the log has record %d under %q, and there is no such object any more: run \"indelible verify\"", ErrNotFound, seq, leaf.Key))
	}
	if e.Digest != leaf.Digest {
		return m, fmt.Errorf("record %d: the object %q is not the one that the log names: run \"indelible verify\"", seq, leaf.Key)
	}
	e.Seq, e.Time = seq, leaf.Time // as the log has them
	m.add(e)
	return m, nil
}

// inPack finds a record in the pack that the log names.
func (c *Catalog) inPack(ctx context.Context, leaf *proof.Leaf, seq record.Seq) (m matches, err error) {
	e, ok, err := c.o.Records.InPack(ctx, leaf.Key, seq)
	if err != nil {
		return matches{missing: err}, nil
	}
	if !ok {
		return m, c.gone(ctx, seq, fmt.Errorf("%w: the log has record %d in the pack %q, and it is not there any more: run \"indelible verify\"", ErrNotFound, seq, leaf.Key))
	}
	m.add(e)
	return m, nil
}

// scanForSeq looks at one object after another. It is for a bucket whose log's key is
// not at hand.
func (c *Catalog) scanForSeq(ctx context.Context, seq record.Seq) (m matches, err error) {
	if e, ok, err := c.o.Records.Packed(ctx, c.o.Log, seq); err != nil {
		m.missing = err
	} else if ok {
		m.add(e)
		return m, nil
	}
	buckets, err := c.buckets(ctx, "")
	if err != nil {
		return m, err
	}
	for _, space := range c.spaces(buckets) {
		for item, err := range c.o.Records.ListAll(ctx, space, query.ListOptions{}) {
			if err != nil {
				m.missing = err
				break
			}
			e, ok, err := c.o.Records.At(ctx, c.o.Objects.Key(space[0], item.Key))
			if err != nil {
				m.missing = err
				break
			}
			if ok && e.Seq == seq {
				m.add(e)
				return m, nil
			}
		}
	}
	return m, nil
}
