package catalog

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/query"
	"indelible/internal/record"
)

// ListOptions narrow a List.
type ListOptions struct {
	Bucket string // the bucket that senders used; "" is all
	Prefix string // of the keys
	// State, Since and Until select records of one state, and those that arrived from Since on and
	// before Until; their zero values select all.
	State        record.State
	Since, Until time.Time
	// Limit is how many rows are wanted: then they are the newest ones, newest first,
	// and at most MaxNewest. 0 is all, by bucket and key.
	Limit int
}

// MaxNewest bounds how many rows are sorted by time, in memory.
const MaxNewest = 10_000

// Summary is what a List says at its end.
type Summary struct {
	Total   int    `json:"total"`             // records that the options select
	Missing string `json:"missing,omitempty"` // what could not be asked; "" is nothing
}

const (
	describeBatch = 256
	describers    = 16 // requests at a time
	// slack is how many more than wanted are described: a list of objects tells when they
	// were stored, which is nearly the order in which they came.
	slack = 64
)

// List gives each record that is pending, parked or stored to yield, until that
// returns false. What the spool has is listed even where the destination does not answer.
// One request to the store describes a stored record, so only those that are shown cost one.
func (c *Catalog) List(ctx context.Context, o ListOptions, yield func(Row) bool) (Summary, error) {
	buckets, err := c.buckets(ctx, o.Bucket)
	if err != nil {
		return Summary{}, err
	}
	states, err := c.states(ctx)
	if err != nil {
		return Summary{}, err
	}
	l := &listing{c: c, o: o, states: states, yield: yield, limit: min(o.Limit, MaxNewest)}
	for _, space := range c.spaces(buckets) {
		if err := l.space(ctx, space); err != nil || l.ended {
			return l.sum, err
		}
	}
	return l.sum, l.newest(ctx)
}

// listing is one List under way.
type listing struct {
	c      *Catalog
	o      ListOptions
	states states
	yield  func(Row) bool
	limit  int
	sum    Summary
	ended  bool // yield has had enough
	kept   byTime
}

// narrow says whether what a list of names tells is not enough to select a record.
func (o *ListOptions) narrow() bool { return o.State != "" || !o.Since.IsZero() || !o.Until.IsZero() }

// pending says whether only records that the spool has are selected.
func (o *ListOptions) pending() bool {
	return o.State == record.Pending || o.State == record.Quarantined || o.State == record.Deferred
}

func (o *ListOptions) selects(row Row) bool {
	return (o.State == "" || row.State == o.State) &&
		(o.Since.IsZero() || !row.Time.Before(o.Since)) && (o.Until.IsZero() || row.Time.Before(o.Until))
}

// listed is an item and a bucket of its name space.
type listed struct {
	query.Item
	space string
}

// space lists the buckets that share a name space.
func (l *listing) space(ctx context.Context, buckets []string) error {
	o := query.ListOptions{Prefix: l.o.Prefix, PendingOnly: l.o.pending()}
	var batch []listed
	for {
		var away error
		for item, err := range l.c.o.Records.ListAll(ctx, buckets, o) {
			if err != nil {
				away = err
				break
			}
			o.After = item.Key
			batch = append(batch, listed{item, buckets[0]})
			if len(batch) == describeBatch {
				if batch = l.take(ctx, batch); l.ended {
					return nil
				}
			}
		}
		batch = l.take(ctx, batch)
		if away == nil || ctx.Err() != nil || o.PendingOnly {
			return cmp.Or(away, ctx.Err())
		}
		l.missing(away)
		o.PendingOnly = true // go on with what the spool has
	}
}

func (l *listing) missing(err error) { l.sum.Missing = cmp.Or(l.sum.Missing, err.Error()) }

// take adds a batch to the list, and returns it empty.
func (l *listing) take(ctx context.Context, batch []listed) []listed {
	// Whose a stored record is, only its object says, where buckets share a name space.
	filter := l.o.Bucket != "" && !l.c.o.Objects.PerBucket()
	if !l.o.Since.IsZero() { // it arrived before it was stored
		batch = slices.DeleteFunc(batch, func(i listed) bool { return i.Time.Before(l.o.Since) })
	}
	if l.limit == 0 || filter || l.o.narrow() {
		batch = l.describe(ctx, batch)
	}
	for _, item := range batch {
		if !l.o.selects(l.states.row(item.Info, item.State)) {
			continue
		}
		if filter && item.State == record.Stored && item.Bucket != l.o.Bucket {
			continue
		}
		l.sum.Total++
		if l.limit == 0 {
			if l.ended = !l.yield(l.states.row(item.Info, item.State)); l.ended {
				return nil
			}
			continue
		}
		if heap.Push(&l.kept, item); len(l.kept) > l.limit+slack {
			heap.Pop(&l.kept)
		}
	}
	return batch[:0]
}

// newest gives the rows that were kept, newest first.
func (l *listing) newest(ctx context.Context) error {
	n := len(l.kept)
	items := l.describe(ctx, l.kept)
	l.sum.Total += len(items) - n
	slices.SortFunc(items, func(a, b listed) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Seq, a.Seq)) })
	for _, item := range items[:min(l.limit, len(items))] {
		if !l.yield(l.states.row(item.Info, item.State)) {
			break
		}
	}
	return ctx.Err()
}

// describe asks the store for what a list of names does not tell.
func (l *listing) describe(ctx context.Context, items []listed) []listed {
	var mu sync.Mutex // guards more and l.sum
	var more []listed
	var g errgroup.Group
	g.SetLimit(describers)
	for i := range items {
		at := &items[i]
		if at.State == record.Stored && at.Seq > 0 || at.State != record.Stored && !at.Shadows {
			continue
		}
		g.Go(func() error {
			mu.Lock()
			away := l.sum.Missing != ""
			mu.Unlock()
			if away {
				return nil // it has not answered before
			}
			described, ok, err := l.c.o.Records.Stored(ctx, at.space, at.Item)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				l.missing(err)
			case ok && at.State == record.Stored:
				at.Item = described
			case ok && described.Seq == at.Seq:
				at.State = record.Stored // the spool keeps it until it is proven
			case ok && described.Bucket != at.Bucket && (l.o.Bucket == "" || l.o.Bucket == described.Bucket):
				more = append(more, listed{described, at.space})
			}
			return nil
		})
	}
	_ = g.Wait() // they return none
	return append(items, more...)
}

// byTime is a heap with the oldest on top.
type byTime []listed

func (h byTime) Len() int { return len(h) }
func (h byTime) Less(i, j int) bool {
	return cmp.Or(h[i].Time.Compare(h[j].Time), cmp.Compare(h[i].Seq, h[j].Seq)) < 0
}
func (h byTime) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *byTime) Push(x any) { *h = append(*h, x.(listed)) }

// Pop is heap.Interface's.
func (h *byTime) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
