// Package query reads records wherever they are: in the store, or still on
// their way to it. What was acked before a call is in its answer.
package query

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Reader reads records from the spool and the store. It is safe for concurrent use.
//
// The order of looking is what makes a record visible without a gap: first
// among the pending, then in the store. A record that is not pending any more
// was in the store before it was released.
type Reader struct {
	pending Pending
	store   store.Store
	layout  layout.Objects
	packs   *packs // nil: records are objects
}

// New makes a reader. pending may be nil: then only what is stored is read.
func New(pending Pending, s store.Store, l layout.Objects) *Reader {
	return &Reader{pending: pending, store: s, layout: l}
}

// WithPacks is a Reader that finds records in packs, too. What it has read of them it keeps, within bounds.
func (r *Reader) WithPacks() *Reader {
	with := *r
	with.packs = newPacks(r.pending, r.store, r.layout)
	return &with
}

// Removed forgets the packs of a log in which every record up to one was removed by policy.
func (r *Reader) Removed(log string, through record.Seq) {
	if p := r.packs; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.known = slices.DeleteFunc(slices.Clone(p.known), func(n packName) bool { return n.log == log && n.last <= through })
	}
}

// InPack is a row of the pack under a stored key.
func (r *Reader) InPack(ctx context.Context, stored string, seq record.Seq) (record.Entry, bool, error) {
	obj, err := r.store.Head(ctx, stored, store.GetOptions{})
	if store.ClassOf(err) == store.NotFound || r.packs == nil {
		return record.Entry{}, false, nil
	}
	if err != nil {
		return record.Entry{}, false, err
	}
	return r.packs.row(ctx, packName{key: stored, size: obj.Size, version: obj.Version}, seq)
}

// Packed is a row of any pack of the store by its number, in the log of this name; "" is any.
func (r *Reader) Packed(ctx context.Context, log string, seq record.Seq) (record.Entry, bool, error) {
	if r.packs == nil {
		return record.Entry{}, false, nil
	}
	return r.packs.bySeq(ctx, log, seq)
}

// PackedByID yields the rows that carry an id in their bodies: their own, that of the call or that of
// the trace. It asks all packs.
func (r *Reader) PackedByID(ctx context.Context, id string) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		if r.packs == nil {
			return
		}
		entries, err := r.packs.byID(ctx, id)
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(record.Entry{}, err)
		}
	}
}

// Buckets yields the names of the buckets that senders used, sorted.
func (r *Reader) Buckets(ctx context.Context) iter.Seq2[record.Bucket, error] {
	if r.pending == nil {
		return func(func(record.Bucket, error) bool) {}
	}
	return r.pending.Buckets(ctx)
}

// Find returns the newest record that was sent under bucket and key. key may
// also be the name of a variant, as List shows it. An object that none of our
// logs stored is found as well.
func (r *Reader) Find(ctx context.Context, bucket, key string) (record.Entry, bool, error) {
	if key == "" {
		return record.Entry{}, false, nil
	}
	var parked record.Entry
	if r.pending != nil {
		e, ok, err := r.pending.Lookup(ctx, bucket, key)
		if err != nil || ok && e.Seq > r.pending.Released() {
			return r.lasting(e), ok, err
		}
		parked = e // or nothing
	}
	e, found, err := r.findStored(ctx, bucket, r.layout.Key(bucket, key))
	if err == nil && parked.Seq > e.Seq {
		return parked, true, nil
	}
	return e, found, err
}

// lasting is a pending record whose body can be opened when it was released since.
func (r *Reader) lasting(e record.Entry) record.Entry {
	open := e.Open
	e.Open = func() (io.ReadSeekCloser, error) {
		body, err := open()
		if err == nil || e.Seq > r.pending.Released() {
			return body, err
		}
		stored, ok, storeErr := r.findStored(context.Background(), e.Bucket, r.layout.Key(e.Bucket, e.Key)) // asks for names; Close bounds the rest
		if storeErr != nil || !ok || stored.Digest != e.Digest {
			return nil, errors.Join(err, storeErr)
		}
		return stored.Open()
	}
	return e
}

// findStored is the newest object of a stored key and its variants.
func (r *Reader) findStored(ctx context.Context, bucket, stored string) (record.Entry, bool, error) {
	newest, found, err := r.head(ctx, bucket, stored)
	if err != nil {
		return record.Entry{}, false, err
	}
	variant, ok, err := r.newestVariant(ctx, bucket, stored)
	if err != nil {
		return record.Entry{}, false, err
	}
	if ok && (!found || variant.Seq > newest.Seq) {
		newest, found = variant, true
	}
	if r.packs != nil {
		theirs := func(i record.Info) bool { return r.layout.PerBucket() || i.Bucket == bucket || i.Bucket == "" }
		packed, ok, err := r.packs.newest(ctx, stored, newest.Seq, theirs)
		if err != nil {
			return record.Entry{}, false, err
		}
		if ok && (!found || packed.Seq > newest.Seq) {
			return packed, true, nil
		}
	}
	return newest, found, nil
}

// absenter is a store that may know that it has nothing with a prefix without listing it.
type absenter interface {
	// Absent reports that no key of an object that was put there starts with prefix; false says nothing.
	Absent(ctx context.Context, prefix string) (bool, error)
}

// newestVariant is the variant of a stored key with the highest seq that bucket's sender sent.
func (r *Reader) newestVariant(ctx context.Context, bucket, stored string) (record.Entry, bool, error) {
	var newest record.Entry
	prefix := r.layout.VariantPrefix(stored)
	if s, ok := r.store.(absenter); ok {
		if absent, err := s.Absent(ctx, prefix); absent || err != nil {
			return record.Entry{}, false, err
		}
	}
	for obj, err := range r.store.List(ctx, store.ListOptions{Prefix: prefix}) {
		if err != nil {
			return record.Entry{}, false, err
		}
		seq, ok := r.layout.IsVariant(stored, obj.Key)
		if !ok || seq <= newest.Seq {
			continue
		}
		e, ok, err := r.head(ctx, bucket, obj.Key)
		if err != nil {
			return record.Entry{}, false, err
		}
		// A sender may use such a name for a record of its own: that is no variant,
		// and has another seq.
		if ok && e.Seq == seq {
			newest = e
		}
	}
	return newest, newest.Seq > 0, nil
}

// head describes the object under a stored key, if it is one that bucket's sender may read.
func (r *Reader) head(ctx context.Context, bucket, stored string) (record.Entry, bool, error) {
	obj, err := r.store.Head(ctx, stored, store.GetOptions{})
	if store.ClassOf(err) == store.NotFound {
		return record.Entry{}, false, nil
	}
	if err != nil {
		return record.Entry{}, false, err
	}
	e, ours := r.entry(obj)
	return e, !ours || r.layout.PerBucket() || e.Bucket == bucket || e.Bucket == "", nil
}

// entry is the record that an object holds; ours says that one of our logs stored it.
func (r *Reader) entry(obj store.Info) (e record.Entry, ours bool) {
	info, ours := r.layout.Info(obj)
	if info.Attrs.Get(record.AttrMD5) == "" && isMD5(obj.ETag) {
		info.Attrs = append(info.Attrs, record.Attr{Name: record.AttrMD5, Value: obj.ETag})
	}
	return record.Entry{Info: info, Open: r.opener(obj, info.Digest)}, ours
}

func isMD5(etag string) bool {
	return len(etag) == 32 && strings.Trim(etag, "0123456789abcdef") == ""
}

// BySeq finds a record that is still pending by its number.
func (r *Reader) BySeq(ctx context.Context, seq record.Seq) (record.Entry, bool, error) {
	if r.pending == nil {
		return record.Entry{}, false, nil
	}
	return r.pending.Entry(ctx, seq)
}

// At describes the record in the object with this stored key, or else the newest row with it.
func (r *Reader) At(ctx context.Context, stored string) (record.Entry, bool, error) {
	obj, err := r.store.Head(ctx, stored, store.GetOptions{})
	if store.ClassOf(err) == store.NotFound && r.packs != nil {
		return r.packs.newest(ctx, stored, 0, func(record.Info) bool { return true })
	}
	if store.ClassOf(err) == store.NotFound {
		return record.Entry{}, false, nil
	}
	if err != nil {
		return record.Entry{}, false, err
	}
	e, _ := r.entry(obj)
	return e, true, nil
}

// Object is the record in the object with this stored key and version, as its leaf in the log
// describes it. The store is asked at the first Read, and the bytes are compared with the record's digest.
func (r *Reader) Object(info record.Info, stored, version string) record.Entry {
	return record.Entry{Info: info, Open: r.opener(store.Info{Key: stored, Size: info.Size, Version: version}, info.Digest)}
}

// Released is the seq up to which records are in the store and no longer in the spool; those that were parked are in it all the same.
func (r *Reader) Released() record.Seq {
	if r.pending == nil {
		return 0
	}
	return r.pending.Released()
}

// ByID yields the records of buckets that share a name space whose keys carry an id,
// in no order, perhaps one of them twice: keys as LiteLLM makes them (see CarriesID). It
// reads the names of the whole name space.
func (r *Reader) ByID(ctx context.Context, buckets []string, id string, o ListOptions) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		carries := CarriesID(id)
		for item, err := range r.ListAll(ctx, buckets, o) {
			if err != nil {
				yield(record.Entry{}, err)
				return
			}
			if !carries(item.Key) {
				continue
			}
			var e record.Entry
			ok := false
			if item.State == record.Pending {
				e, ok, err = r.BySeq(ctx, item.Seq)
			}
			if err == nil && (!ok || item.State == record.Stored) { // or it was released since
				e, ok, err = r.At(ctx, r.layout.Key(buckets[0], item.Key))
			}
			if ok && err == nil && !yield(e, nil) {
				return
			}
			if err != nil && !yield(record.Entry{}, err) {
				return
			}
		}
	}
}

// errChanged says that the store no longer has what it had a moment ago.
var errChanged = errors.New("the object is not what its record says: run verify")
