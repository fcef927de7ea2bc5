package spool

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"indelible/internal/record"
)

// Lookup finds the newest record under bucket and key: see query.Pending. Where
// that one is damaged it fails with a *record.GapError rather than give an older one.
func (s *Spool) Lookup(ctx context.Context, bucket, key string) (record.Entry, bool, error) {
	s.mu.Lock()
	segs, released := s.segs, s.released
	aside := s.aside.newest(bucket, key)
	s.mu.Unlock()
	hash := keyHash(bucket, key)
	for i := len(segs) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return record.Entry{}, false, err
		}
		g := segs[i]
		last := s.lastOf(g)
		if last <= max(released, aside) {
			break
		}
		at := -1
		err := s.ask(g, func(x index) (err error) {
			at, err = x.newest(bucket, key, hash, int(last-g.first)+1)
			return err
		})
		if err != nil {
			return record.Entry{}, false, fmt.Errorf("look up: %w", err)
		}
		if seq := g.first + record.Seq(max(at, 0)); at >= 0 {
			if seq <= max(released, aside) {
				break
			}
			return s.Entry(ctx, seq)
		}
	}
	if aside > 0 {
		return s.Entry(ctx, aside)
	}
	return record.Entry{}, false, nil
}

// Entry finds a record by its number: see query.Pending. Where it is damaged it
// fails with a *record.GapError.
func (s *Spool) Entry(_ context.Context, seq record.Seq) (record.Entry, bool, error) {
	s.mu.Lock()
	aside := s.aside.items[seq] != nil
	g, here := s.segmentOf(seq), seq > s.released && seq <= s.durable
	var gap *fence
	if f := s.fenceAt(seq); f != nil {
		gap = &fence{First: f.First, Last: f.Last, Cause: f.Cause}
	}
	s.mu.Unlock()
	if aside {
		if a, err := s.readAside(seq); err == nil {
			return a.Entry, true, nil
		}
	}
	if !here {
		return record.Entry{}, false, nil
	}
	if gap != nil {
		return record.Entry{}, false, gap
	}
	if g == nil {
		return record.Entry{}, false, nil
	}
	e, err := s.read(g, seq, false)
	if d, ok := errors.AsType[*damageError](err); ok {
		if seq <= s.Released() {
			return record.Entry{}, false, nil // released meanwhile
		}
		return record.Entry{}, false, &fence{First: seq, Last: seq, Cause: d.cause}
	}
	return e, err == nil, err
}

// source is one segment, or the set-aside records, in the merge of Keys: the next key of it.
type source struct {
	key  string
	seq  record.Seq
	next func() (string, record.Seq, error, bool)
}

type sources []*source

func (h sources) Len() int { return len(h) }
func (h sources) Less(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	return h[i].seq > h[j].seq
}
func (h sources) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *sources) Push(x any)   { *h = append(*h, x.(*source)) }
func (h *sources) Pop() any {
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
		h, err := s.openSources(bucket, prefix, after)
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
			if _, gap := errors.AsType[*fence](err); gap || err == nil && !ok {
				continue
			}
			if last, any = key, true; !yield(e.Info, err) || err != nil {
				return
			}
		}
	}
}

// advance takes the next key of the top source.
func advance(h *sources) error {
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

// openSources begins the merge at the first key that starts with prefix and is greater than after.
func (s *Spool) openSources(bucket, prefix, after string) (sources, error) {
	from := prefix
	if after >= from {
		from = after + "\x00" // the least key behind it
	}
	s.mu.Lock()
	segs, released := s.segs, s.released
	var aside []keySeq
	for seq, it := range s.aside.items {
		if it.bucket == bucket && it.key >= from && strings.HasPrefix(it.key, prefix) {
			aside = append(aside, keySeq{it.key, seq})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(aside, func(a, b keySeq) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return compareSeq(b.seq, a.seq)
	})
	var h sources
	add := func(fill func(from string) ([]keySeq, bool, error)) error {
		p := &pager{fill: fill, from: from, more: true}
		key, seq, err, ok := p.next()
		if err == nil && ok {
			h = append(h, &source{key: key, seq: seq, next: p.next})
		}
		return err
	}
	if len(aside) > 0 {
		if err := add(func(string) ([]keySeq, bool, error) { return aside, false, nil }); err != nil {
			return nil, err
		}
	}
	for _, g := range segs {
		if s.lastOf(g) <= released {
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
	last := s.lastOf(g)
	limit := int(last-g.first) + 1
	released := s.Released()
	err = s.ask(g, func(x index) error {
		page, more = nil, false
		var failed error
		err := x.after(bucket, from, func(key string, i int) bool {
			if !strings.HasPrefix(key, prefix) {
				return false
			}
			if i >= limit {
				if i, failed = x.newest(bucket, key, keyHash(bucket, key), limit); failed != nil || i < 0 {
					return failed == nil
				}
			}
			if seq := g.first + record.Seq(i); seq > released {
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
		s.mu.Lock()
		names := make([]string, 0, len(s.buckets))
		seen := s.buckets // replaced, never changed
		s.mu.Unlock()
		for name := range seen {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
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
