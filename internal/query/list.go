package query

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
)

// ListOptions narrow a List.
type ListOptions struct {
	Prefix    string
	After     string // only names greater than this
	Delimiter string // names that hold it behind Prefix are rolled up into one Item
	Limit     int    // how many items will be read at most: a hint
	// PendingOnly leaves out what is stored: the store is not asked.
	PendingOnly bool
}

// Item is one row of a list: a record, or a common prefix.
type Item struct {
	// Info tells Key, Size, Time and AttrMD5. Key is the name under which Find
	// finds the record: the key as it was sent, that of a variant, or the
	// bounded one of a key over store.MaxKey bytes. Time is the arrival of a
	// pending record, and when the object was stored otherwise: Stored tells the rest.
	record.Info
	State  record.State // Pending or Stored
	Prefix string       // if not "", a common prefix, and there is nothing else
	// Shadows says of a pending record that an object of this name is stored as well: the
	// same record, an older one of its bucket, or another bucket's.
	Shadows bool
}

// chunk is how many pending names are read before the store is asked.
const chunk = 1000

// List yields the records of a bucket in the byte order of their names, one
// for each name, and what is pending in place of what is stored. Where the
// destination gives the senders' buckets no name spaces of their own, what is
// stored under the other ones' names is listed, too. Memory is bounded by a page.
func (r *Reader) List(ctx context.Context, bucket string, o ListOptions) iter.Seq2[Item, error] {
	return r.ListAll(ctx, []string{bucket}, o)
}

// ListAll is List of several buckets that share a name space, in one pass over the
// store. A name that is pending in two buckets is yielded for each.
func (r *Reader) ListAll(ctx context.Context, buckets []string, o ListOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		roll := roller{o: o, last: o.After} // a page can end with a common prefix
		after := o.After
		for {
			// The pending names first, then the store's of the same range: a record
			// that leaves the one meanwhile is in the other.
			pending, last, err := r.pendingOf(ctx, buckets, after, o)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for item, err := range r.chunk(ctx, buckets[0], after, last, pending, o) {
				if err != nil {
					yield(Item{}, err)
					return
				}
				if item, ok := roll.up(item); ok && !yield(item, nil) {
					return
				}
			}
			if last == "" {
				return
			}
			after = last
		}
	}
}

// pendingOf reads pending items of all buckets after a name, sorted by name, and the
// name up to which they are complete: "" if they are all.
func (r *Reader) pendingOf(ctx context.Context, buckets []string, after string, o ListOptions) (items []Item, last string, err error) {
	for _, bucket := range buckets {
		more, upto, err := r.pendingChunk(ctx, bucket, after, o)
		if err != nil {
			return nil, "", err
		}
		items = append(items, more...)
		if upto != "" && (last == "" || upto < last) {
			last = upto
		}
	}
	if last != "" {
		items = slices.DeleteFunc(items, func(i Item) bool { return i.name() > last })
	}
	slices.SortStableFunc(items, byName)
	return items, last, nil
}

// pendingChunk reads pending items of one bucket as pendingOf does.
//
// The spool orders records by the key that was sent, a list by the name that is
// listed, and those differ where a key is too long for the store. Both have their
// first sharedHead bytes in common, so the spool is read from there on, and a
// chunk ends only where these bytes change.
func (r *Reader) pendingChunk(ctx context.Context, bucket, after string, o ListOptions) ([]Item, string, error) {
	if r.pending == nil {
		return nil, "", nil
	}
	head := r.sharedHead(bucket)
	prefix, skip := o.Prefix[:min(head, len(o.Prefix))], after[:min(head, len(after))]
	if len(after) > head {
		skip = after[:head-1] // keys that are not after it may have names that are
	}
	var items []Item
	roll := roller{o: o, last: o.After}
	for again := true; again; {
		again = false
		for info, err := range r.pending.Keys(ctx, bucket, prefix, skip) {
			if err != nil {
				return nil, "", err
			}
			if name, ok := r.layout.Sent(bucket, r.layout.Key(bucket, info.Key)); ok {
				info.Key = name // what it will be listed as once it is stored
			}
			if info.Key <= after || !strings.HasPrefix(info.Key, o.Prefix) {
				continue
			}
			item, fresh := roll.up(Item{Info: info, State: record.Pending})
			if !fresh {
				continue
			}
			if n := len(items); n >= chunk && !sameHead(items[n-1].name(), item.name(), head) {
				items = sorted(items)
				return items, items[len(items)-1].name(), nil
			}
			items = append(items, item)
			if item.Prefix != "" && len(item.Prefix) < head {
				// What lies below the prefix has been listed: go on behind it.
				skip, again = item.Prefix+"\xff\xff\xff\xff", true
				break
			}
		}
	}
	return sorted(items), "", nil
}

// sharedHead is how many bytes at least the listed name of a record of this bucket
// has in common with the key that was sent: what layout leaves of a key that is too
// long, a hash and an extension taken off.
func (r *Reader) sharedHead(bucket string) int {
	const hashAndExtension = 100
	return store.MaxKey - hashAndExtension - len(r.layout.Prefix(bucket))
}

func sameHead(a, b string, n int) bool { return a[:min(n, len(a))] == b[:min(n, len(b))] }

// sorted orders items by name, and keeps the newest of those that share one.
func sorted(items []Item) []Item {
	slices.SortFunc(items, func(a, b Item) int { return cmp.Or(byName(a, b), cmp.Compare(b.Seq, a.Seq)) })
	return slices.CompactFunc(items, func(a, b Item) bool { return a.name() == b.name() })
}

// chunk merges pending items with the stored ones after one name and up to
// another ("" is no bound).
func (r *Reader) chunk(ctx context.Context, bucket, after, upto string, pending []Item, o ListOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range r.stored(ctx, bucket, after, o) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			if upto != "" && item.name() > upto {
				break
			}
			for len(pending) > 0 && pending[0].name() < item.name() {
				if !yield(pending[0], nil) {
					return
				}
				pending = pending[1:]
			}
			stored := true
			for len(pending) > 0 && pending[0].name() == item.name() {
				stored = false
				pending[0].Shadows = true
				if !yield(pending[0], nil) {
					return
				}
				pending = pending[1:]
			}
			if stored && !yield(item, nil) {
				return
			}
		}
		for _, item := range pending {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// objects yields the stored items of a bucket after a name that are objects: those under their
// own keys, with those below layout.SentDir in their places.
func (r *Reader) objects(ctx context.Context, bucket, after string, o ListOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if o.PendingOnly {
			return
		}
		odd, err := r.escaped(ctx, bucket, after, o)
		if err != nil {
			yield(Item{}, err)
			return
		}
		root := r.layout.Prefix(bucket)
		list := store.ListOptions{Prefix: root + o.Prefix, Delimiter: o.Delimiter, Limit: o.Limit}
		if after != "" {
			list.After = root + after
		}
		for obj, err := range r.store.List(ctx, list) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			name, ok := r.layout.Sent(bucket, obj.Key)
			if !ok || strings.HasPrefix(obj.Key, r.layout.Base()+layout.SentDir) {
				continue
			}
			item := listed(obj, name)
			for len(odd) > 0 && odd[0].name() < item.name() {
				if !yield(odd[0], nil) {
					return
				}
				odd = odd[1:]
			}
			if !yield(item, nil) {
				return
			}
		}
		for _, item := range odd {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// escaped is what lies below layout.SentDir, by its sent names. These are keys that
// no sane sender uses, so they are few and sorted in memory.
func (r *Reader) escaped(ctx context.Context, bucket, after string, o ListOptions) ([]Item, error) {
	var items []Item
	for obj, err := range r.store.List(ctx, store.ListOptions{Prefix: r.layout.Base() + layout.SentDir}) {
		if err != nil {
			return nil, err
		}
		name, ok := r.layout.Sent(bucket, obj.Key)
		if ok && strings.HasPrefix(name, o.Prefix) && name > after {
			items = append(items, listed(obj, name))
		}
	}
	slices.SortFunc(items, byName)
	return items, nil
}

func listed(obj store.Info, name string) Item {
	if obj.Prefix {
		return Item{Prefix: name}
	}
	item := Item{State: record.Stored, Info: record.Info{Key: name, Size: obj.Size, Time: obj.ModTime, Digest: obj.Digest}}
	if isMD5(obj.ETag) {
		item.Attrs = record.Attrs{{Name: record.AttrMD5, Value: obj.ETag}}
	}
	return item
}

// Stored describes the object of an item's name: all of Info, for one request. ok is
// false where there is none any more.
func (r *Reader) Stored(ctx context.Context, bucket string, item Item) (described Item, ok bool, err error) {
	e, ok, err := r.At(ctx, r.layout.Key(bucket, item.Key))
	if err != nil || !ok {
		return item, false, err
	}
	name := item.Key
	item.Info, item.Key = e.Info, name
	item.State, item.Shadows = record.Stored, false
	return item, true, nil
}

func (i Item) name() string { return i.Prefix + i.Key }

func byName(a, b Item) int { return strings.Compare(a.name(), b.name()) }

// roller rolls names up into common prefixes.
type roller struct {
	o    ListOptions
	last string // the prefix given last
}

// up is the row that an item becomes, and whether it is one that has not been given yet.
func (r *roller) up(item Item) (Item, bool) {
	if item.Prefix == "" && r.o.Delimiter != "" {
		if i := strings.Index(item.Key[min(len(r.o.Prefix), len(item.Key)):], r.o.Delimiter); i >= 0 {
			item = Item{Prefix: item.Key[:len(r.o.Prefix)+i+len(r.o.Delimiter)]}
		}
	}
	if item.Prefix == "" {
		return item, true
	}
	if item.Prefix == r.last {
		return item, false
	}
	r.last = item.Prefix
	return item, true
}
