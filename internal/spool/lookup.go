package spool

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"indelible/internal/record"
)

// Lookup finds the newest record under bucket and key: see query.Pending. Where that
// one is damaged it fails with a *record.GapError rather than give an older one.
//
// The newest Options.KnownRecords records are found, or known not to be here, without I/O. For a key that is
// not among them the older segments are asked, each with its filter.
func (s *Spool) Lookup(ctx context.Context, bucket, key string) (record.Entry, bool, error) {
	if err := s.begin(); err != nil {
		return record.Entry{}, false, fmt.Errorf("look up: %w", err)
	}
	defer s.life.RUnlock()
	id := recordID{name: s.nameOf(bucket, key)}
	parked := s.parked.newest(id.name, bucket, key)
	oldest := record.Seq(1<<63 - 1)
	if s.known != nil {
		seq, _, ok := s.known.newest(id)
		if ok {
			return s.newestOf(seq, parked, bucket, key)
		}
		oldest = s.known.from()
	}
	seq, err := s.search(ctx, id, bucket, key, oldest, max(parked, s.settled.released()))
	if err != nil {
		return record.Entry{}, false, fmt.Errorf("look up: %w", err)
	}
	return s.newestOf(seq, parked, bucket, key)
}

// newestOf is the newer one of a record that is pending and one that is parked.
func (s *Spool) newestOf(seq, parked record.Seq, bucket, key string) (record.Entry, bool, error) {
	if seq <= s.settled.released() && seq > parked {
		return record.Entry{}, false, nil // the newest is in the store
	}
	if seq = max(seq, parked); seq == 0 {
		return record.Entry{}, false, nil
	}
	e, ok, err := s.entry(seq)
	if ok && (e.Bucket != bucket || e.Key != key) {
		return record.Entry{}, false, nil // another one with its identity
	}
	return e, ok, err
}

// search finds the newest record of a name in the segments that begin before
// oldest, as far back as after; 0 if there is none.
func (s *Spool) search(ctx context.Context, id recordID, bucket, key string, oldest, after record.Seq) (record.Seq, error) {
	for _, g := range slices.Backward(s.segs.all()) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		last := g.newest()
		if g.first >= oldest {
			continue
		}
		if last <= after {
			break
		}
		at := -1
		err := s.segs.ask(g, func(x index) (err error) {
			at, err = x.newest(id, bucket, key, int(last-g.first)+1)
			return err
		})
		if err != nil {
			return 0, err
		}
		if seq := g.first + record.Seq(max(at, 0)); at >= 0 && seq > after {
			return seq, nil
		}
	}
	return 0, nil
}

// keySource is one segment, or the records parked, in the merge of Keys: the next key of it.
type keySource struct {
	key  string
	seq  record.Seq
	next func() (string, record.Seq, error, bool)
}

type keySources []*keySource

func (h keySources) Len() int { return len(h) }
func (h keySources) Less(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	return h[i].seq > h[j].seq
}
func (h keySources) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *keySources) Push(x any)   { *h = append(*h, x.(*keySource)) }
func (h *keySources) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// keyPage is how many keys of a segment are in memory at once while keys are merged.
const keyPage = 64

// Keys yields the newest record of each key: see query.Pending. It merges the
// sorted tables of the segments and holds a page of each that has such keys.
func (s *Spool) Keys(ctx context.Context, bucket, prefix, after string) iter.Seq2[record.Info, error] {
	return func(yield func(record.Info, error) bool) {
		h, err := s.keySources(bucket, prefix, after)
		if err != nil {
			yield(record.Info{}, fmt.Errorf("list keys: %w", err))
			return
		}
		last, any := "", false
		for len(h) > 0 {
			if err := ctx.Err(); err != nil {
				yield(record.Info{}, err)
				return
			}
			top := h[0]
			key, seq := top.key, top.seq
			if err := advance(&h); err != nil {
				yield(record.Info{}, fmt.Errorf("list keys: %w", err))
				return
			}
			if any && key == last {
				continue // an older one
			}
			e, ok, err := s.Entry(ctx, seq)
			if _, lost := errors.AsType[*record.GapError](err); lost || err == nil && !ok {
				continue
			}
			if last, any = key, true; !yield(e.Info, err) || err != nil {
				return
			}
		}
	}
}

// advance takes the next key of the top source.
func advance(h *keySources) error {
	top := (*h)[0]
	key, seq, err, ok := top.next()
	if err != nil {
		return err
	}
	if !ok {
		heap.Pop(h)
		return nil
	}
	top.key, top.seq = key, seq
	heap.Fix(h, 0)
	return nil
}

// keySources begins the merge at the first key that starts with prefix and is greater than after.
func (s *Spool) keySources(bucket, prefix, after string) (keySources, error) {
	from := prefix
	if after >= from {
		from = after + "\x00" // the least key behind it
	}
	var h keySources
	add := func(fill func(from string) ([]keySeq, bool, error)) error {
		p := &pager{fill: fill, from: from, more: true}
		key, seq, err, ok := p.next()
		if err == nil && ok {
			h = append(h, &keySource{key: key, seq: seq, next: p.next})
		}
		return err
	}
	if parked := s.parked.keys(bucket, prefix, from); len(parked) > 0 {
		if err := add(func(string) ([]keySeq, bool, error) { return parked, false, nil }); err != nil {
			return nil, err
		}
	}
	for _, g := range s.segs.all() {
		if s.segs.isReleased(g.newest()) {
			continue
		}
		err := add(func(from string) ([]keySeq, bool, error) { return s.keysOf(g, bucket, prefix, from) })
		if err != nil {
			return nil, err
		}
	}
	heap.Init(&h)
	return h, nil
}

type keySeq struct {
	key string
	seq record.Seq
}

// pager hands out the keys of a source one by one, reading a page at a time.
type pager struct {
	fill func(from string) ([]keySeq, bool, error)
	from string
	page []keySeq
	more bool
}

func (p *pager) next() (string, record.Seq, error, bool) {
	for len(p.page) == 0 {
		if !p.more {
			return "", 0, nil, false
		}
		var err error
		if p.page, p.more, err = p.fill(p.from); err != nil {
			return "", 0, err, false
		}
	}
	k := p.page[0]
	p.page, p.from = p.page[1:], k.key+"\x00"
	return k.key, k.seq, nil, true
}

// keysOf is a page of the keys of a segment from the key from on, and whether there are more.
func (s *Spool) keysOf(g *segment, bucket, prefix, from string) (page []keySeq, more bool, err error) {
	if err := s.begin(); err != nil {
		return nil, false, err
	}
	defer s.life.RUnlock()
	limit := int(min(g.newest(), record.Seq(s.writer.durable.Load()))-g.first) + 1
	err = s.segs.ask(g, func(x index) error {
		page, more = nil, false
		var failed error
		err := x.after(bucket, from, func(key string, i int) bool {
			if !strings.HasPrefix(key, prefix) {
				return false
			}
			if i >= limit {
				id := recordID{name: s.nameOf(bucket, key)}
				if i, failed = x.newest(id, bucket, key, limit); failed != nil || i < 0 {
					return failed == nil
				}
			}
			if seq := g.first + record.Seq(i); !s.segs.isReleased(seq) {
				page = append(page, keySeq{key, seq})
			}
			more = len(page) == keyPage
			return !more
		})
		return errors.Join(err, failed)
	})
	return page, more, err
}

// Buckets yields the names of the buckets seen: see query.Pending.
func (s *Spool) Buckets(ctx context.Context) iter.Seq2[record.Bucket, error] {
	return func(yield func(record.Bucket, error) bool) {
		seen := s.buckets.all()
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			if err := ctx.Err(); err != nil {
				yield(record.Bucket{}, err)
				return
			}
			if !yield(record.Bucket{Name: name, Since: seen[name]}, nil) {
				return
			}
		}
	}
}
