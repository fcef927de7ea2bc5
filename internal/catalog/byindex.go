package catalog

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"indelible/internal/fields"
	"indelible/internal/query"
	"indelible/internal/query/filter"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// maxNamed bounds how many records with one name are told.
const maxNamed = 100

// byIndex finds the records that carry an id as the index knows it, and among those that it does not know yet. ok is
// false where there is no index that can be asked.
func (c *Catalog) byIndex(ctx context.Context, buckets []string, id string) (m matches, ok bool) {
	if c.o.Index == nil || !c.o.Spool {
		return m, false
	}
	at, err := c.o.Index.Position(ctx)
	if err != nil || at == 0 {
		return m, false
	}
	var found []record.Info
	take := func(r *filter.Row) bool {
		same := func(i record.Info) bool { return i.Seq == r.Seq }
		if slices.Contains(buckets, r.Bucket) && !slices.ContainsFunc(found, same) {
			found = append(found, r.Info)
		}
		return len(found) < maxNamed
	}
	isID := index.CarriesID(id)
	if m.missing, err = c.unindexed(ctx, at, id, take, &m.read); err != nil {
		return m, false
	}
	if err := c.o.Index.Named(ctx, id, func(r filter.Row) bool { return !isID(&r) || take(&r) }); err != nil {
		return m, false
	}
	for _, info := range found {
		m.add(record.Entry{Info: info, Open: func() (io.ReadSeekCloser, error) { return c.openAt(context.WithoutCancel(ctx), info) }})
	}
	return m, true
}

// inBodies finds the records whose bodies carry an id, by reading them all: there is no index.
func (c *Catalog) inBodies(ctx context.Context, buckets []string, id string, m *matches) {
	missing, err := c.unindexed(ctx, 0, id, func(r *filter.Row) bool {
		if slices.Contains(buckets, r.Bucket) {
			m.add(record.Entry{Info: r.Info, Open: func() (io.ReadSeekCloser, error) { return c.openAt(context.WithoutCancel(ctx), r.Info) }})
		}
		return len(m.entries) < maxNamed
	}, &m.read)
	m.missing = cmp.Or(m.missing, missing, err)
}

// unindexed takes the calls that the index does not know yet and that carry an id.
func (c *Catalog) unindexed(ctx context.Context, at record.Seq, id string, take func(*filter.Row) bool, read *int) (missing, err error) {
	newest, err := c.Newest(ctx)
	if err != nil {
		return nil, err
	}
	carries := index.CarriesID(id)
	for e, err := range c.walk(ctx, query.Walk{From: at + 1, Upto: newest, Back: true, ID: id, Passed: func(n int) { *read += n }}) {
		if _, lost := errors.AsType[*record.GapError](err); lost {
			continue
		}
		if _, unread := errors.AsType[*record.ReadError](err); unread {
			missing = err
			continue
		}
		if err != nil {
			return err, ctx.Err()
		}
		*read++
		more := true
		index.Calls(e, false, func(line int, f fields.Fields, _ []byte) {
			r := filter.Row{Info: e.Info, Line: line, Fields: f}
			more = more && (!carries(&r) || take(&r))
		})
		if !more {
			break
		}
	}
	return missing, nil
}

// openAt opens a record of which the index tells.
func (c *Catalog) openAt(ctx context.Context, i record.Info) (io.ReadSeekCloser, error) {
	e, err := c.locate(ctx, i)
	if err != nil {
		return nil, err
	}
	return e.Open()
}
