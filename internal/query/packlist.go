package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"indelible/internal/layout/pack"
	"indelible/internal/record"
)

// packedKey is what a list tells of a row.
type packedKey struct {
	stored string
	info   record.Info // Attrs: the MD5 alone
}

// rowsOf are the keys of a pack's rows, sorted by the stored key, of each the newest row. It reads all columns but the bodies.
func (p *packs) rowsOf(ctx context.Context, n packName) ([]packedKey, error) {
	p.mu.Lock()
	keys, ok := p.keys.get(n.key)
	p.mu.Unlock()
	if ok {
		return keys, nil
	}
	r, err := p.reader(ctx, n)
	if errors.Is(err, pack.ErrForeign) || p.forget(n, err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for row, err := range r.Heads(ctx) {
		if p.forget(n, err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the pack %s: %w", n.key, err)
		}
		k := packedKey{stored: row.Key, info: row.Info}
		k.info.Attrs = nil
		if md5 := row.Info.Attrs.Get(record.AttrMD5); md5 != "" {
			k.info.Attrs = record.Attrs{{Name: record.AttrMD5, Value: md5}}
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b packedKey) int {
		return cmp.Or(strings.Compare(a.stored, b.stored), cmp.Compare(b.info.Seq, a.info.Seq))
	})
	keys = slices.CompactFunc(keys, func(a, b packedKey) bool { return a.stored == b.stored })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.put(n.key, keys, len(keys))
	return keys, nil
}

// keyRange is between which texts the keys of a pack lie; unknown says that nothing is known of them.
type keyRange struct {
	least, most string
	unknown     bool
}

// without says that a pack has no key that begins with prefix and is not less than from. It reads the end of the pack, once.
func (p *packs) without(ctx context.Context, n packName, prefix, from string) bool {
	p.mu.Lock()
	keys, ok := p.ranges.get(n.key)
	p.mu.Unlock()
	if !ok {
		r, err := p.reader(ctx, n)
		if err != nil {
			return false // rowsOf tells
		}
		keys.least, keys.most, ok = r.Keys()
		keys.unknown = !ok
		p.mu.Lock()
		p.ranges.put(n.key, keys, 1)
		p.mu.Unlock()
	}
	if keys.unknown {
		return false
	}
	begin := plain(prefix)
	return keys.most < plain(from) || keys.least > begin && !strings.HasPrefix(keys.least, begin)
}

// plain is the beginning of a key that its text in the pack has as well, and behind which a text with U+FFFD in place of
// other bytes sorts: up to the first byte that is no UTF-8, or not less than the first of U+FFFD.
func plain(key string) string {
	for i := 0; i < len(key); {
		r, n := utf8.DecodeRuneInString(key[i:])
		if r == utf8.RuneError || key[i] >= 0xef {
			return key[:i]
		}
		i += n
	}
	return key
}

// page is how many names are merged out of the packs at a time.
const page = 1000

// list yields rows by their stored keys: those that begin with prefix and are greater than after, of each key the
// newest. It holds a page of them, and for each page reads the keys of the packs that may have one of it and are not kept.
func (p *packs) list(ctx context.Context, prefix, after string) iter.Seq2[packedKey, error] {
	return func(yield func(packedKey, error) bool) {
		all, err := p.names(ctx)
		if err != nil {
			yield(packedKey{}, err)
			return
		}
		from := prefix
		if after != "" {
			from = max(prefix, after+"\x00")
		}
		for {
			var next []packedKey
			for _, n := range slices.Backward(all) { // the newest row of a key first
				if p.without(ctx, n, prefix, from) {
					continue
				}
				keys, err := p.rowsOf(ctx, n)
				if err != nil {
					yield(packedKey{}, err)
					return
				}
				i, _ := slices.BinarySearchFunc(keys, from, func(k packedKey, s string) int { return strings.Compare(k.stored, s) })
				for end := min(len(keys), i+page); i < end && strings.HasPrefix(keys[i].stored, prefix); i++ {
					next = append(next, keys[i])
				}
				if len(next) > 4*page {
					next = smallest(next)
				}
			}
			next = smallest(next)
			for _, k := range next {
				if !yield(k, nil) {
					return
				}
			}
			if len(next) < page {
				return
			}
			from = next[len(next)-1].stored + "\x00"
		}
	}
}

// smallest are the first names of a page, each once.
func smallest(keys []packedKey) []packedKey {
	slices.SortStableFunc(keys, func(a, b packedKey) int { return strings.Compare(a.stored, b.stored) })
	keys = slices.CompactFunc(keys, func(a, b packedKey) bool { return a.stored == b.stored })
	return keys[:min(page, len(keys))]
}
