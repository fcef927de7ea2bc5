package query

import (
	"context"
	"iter"
	"slices"
	"strings"

	"indelible/internal/layout"
	"indelible/internal/record"
)

// stored yields the stored items of a bucket after a name: objects, and rows of packs.
func (r *Reader) stored(ctx context.Context, bucket, after string, o ListOptions) iter.Seq2[Item, error] {
	objects := r.objects(ctx, bucket, after, o)
	if r.packs == nil || o.PendingOnly {
		return objects
	}
	return merge(objects, r.packed(ctx, bucket, after, o))
}

// packed yields rows as objects does.
func (r *Reader) packed(ctx context.Context, bucket, after string, o ListOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		sent := r.layout.Base() + layout.SentDir
		var odd []Item
		for k, err := range r.packs.list(ctx, sent, "") {
			if err != nil {
				yield(Item{}, err)
				return
			}
			if name, ok := r.layout.Sent(bucket, k.stored); ok && strings.HasPrefix(name, o.Prefix) && name > after {
				odd = append(odd, k.item(name))
			}
		}
		slices.SortFunc(odd, byName)
		root, from := r.layout.Prefix(bucket), ""
		if after != "" {
			from = root + after
		}
		for k, err := range r.packs.list(ctx, root+o.Prefix, from) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			name, ok := r.layout.Sent(bucket, k.stored)
			if !ok || strings.HasPrefix(k.stored, sent) {
				continue
			}
			for len(odd) > 0 && odd[0].name() < name {
				if !yield(odd[0], nil) {
					return
				}
				odd = odd[1:]
			}
			if !yield(k.item(name), nil) {
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

// item is a row under the name that a list gives it.
func (k *packedKey) item(name string) Item {
	item := Item{State: record.Stored, Info: k.info}
	item.Key = name
	return item
}

// merge yields what two lists have, in order. Of two of one name it is the one that arrived last, as far as they tell.
func merge(objects, rows iter.Seq2[Item, error]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		next, stop := iter.Pull2(rows)
		defer stop()
		row, err, more := next()
		for object, oerr := range objects {
			if oerr != nil {
				yield(Item{}, oerr)
				return
			}
			for more && err == nil && row.name() < object.name() {
				if !yield(row, nil) {
					return
				}
				row, err, more = next()
			}
			if err != nil {
				yield(Item{}, err)
				return
			}
			if more && object.Prefix == "" && row.name() == object.name() {
				if row.Time.After(object.Time) {
					object = row
				}
				row, err, more = next()
			}
			if !yield(object, nil) {
				return
			}
		}
		for ; more; row, err, more = next() {
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}
