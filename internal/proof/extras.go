package proof

import (
	"cmp"
	"context"
	"hash/maphash"
	"iter"
	"math"
	"path"
	"slices"
	"strings"
	"sync"

	"indelible/internal/layout"
	"indelible/internal/store"
)

// nameSet holds the names of very many objects in bounded memory: as keyed
// 64-bit hashes, and beyond exactNames as a Bloom filter, which says of some names that it does
// not hold that it does.
type nameSet struct {
	seed   maphash.Seed
	exact  []uint64
	filter []uint64
	n      int
}

const (
	exactNames  = 8 << 20   // 64 MiB
	filterWords = 128 << 17 // 128 MiB, 2^30 bits
	probes      = 4
)

func newNameSet() *nameSet { return &nameSet{seed: maphash.MakeSeed()} }

func (s *nameSet) add(name string) {
	s.n++
	h := maphash.String(s.seed, name)
	switch {
	case s.filter != nil:
		s.set(h)
	case len(s.exact) == exactNames:
		s.filter = make([]uint64, filterWords)
		for _, old := range s.exact {
			s.set(old)
		}
		s.exact = nil
		s.set(h)
	default:
		s.exact = append(s.exact, h)
	}
}

// bit is the place of probe i of a hash.
func bit(h uint64, i int) (word, mask uint64) {
	h += uint64(i) * (h>>32 | 1) // double hashing
	h ^= h >> 29
	at := h % (filterWords * 64)
	return at / 64, 1 << (at % 64)
}

func (s *nameSet) set(h uint64) {
	for i := range probes {
		word, mask := bit(h, i)
		s.filter[word] |= mask
	}
}

// seal is called between the last add and the first has.
func (s *nameSet) seal() { slices.Sort(s.exact) }

func (s *nameSet) has(name string) bool {
	h := maphash.String(s.seed, name)
	if s.filter == nil {
		_, ok := slices.BinarySearchFunc(s.exact, h, func(a, b uint64) int { return cmp.Compare(a, b) })
		return ok
	}
	for i := range probes {
		if word, mask := bit(h, i); s.filter[word]&mask == 0 {
			return false
		}
	}
	return true
}

// overlooked is the share of other names that has takes for its own.
func (s *nameSet) overlooked() float64 {
	if s.filter == nil {
		return 0
	}
	return math.Pow(1-math.Exp(-probes*float64(s.n)/(filterWords*64)), probes)
}

// nameLister is a store that can list names for less than it costs to describe the objects.
type nameLister interface {
	// Names yields the keys that List would, and nothing else of the objects.
	Names(ctx context.Context, o store.ListOptions) iter.Seq2[string, error]
}

// findExtras lists the objects that no leaf names. They are no fault: others may use the bucket too.
func (v *verifier) findExtras(ctx context.Context) error {
	if v.names == nil || v.stopped {
		return nil
	}
	v.names.seal()
	v.report.ExtrasOverlooked = v.names.overlooked()
	if err := v.readOtherLogs(ctx); err != nil {
		return err
	}
	prefixes, err := v.topLevel(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	err = inParallel(ctx, v.opt.Parallel, slices.Values(prefixes), func(ctx context.Context, prefix string) error {
		for key, err := range v.listNames(ctx, store.ListOptions{Prefix: prefix}) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(key, v.base+"_indelible/") || v.names.has(key) || v.besideUnread(key) {
				continue
			}
			mu.Lock()
			v.extra(key)
			mu.Unlock()
		}
		return nil
	})
	slices.Sort(v.report.ExtraKeys)
	return err
}

// besideUnread says whether an object bears the name of a body beside a pack whose rows were not read. Only the
// row tells whether it belongs there, so it is neither compared nor called extra.
func (v *verifier) besideUnread(key string) bool {
	log, seq, ok := layout.ParseBesideFile(path.Base(key))
	return ok && log == v.report.Log && v.unread.has(seq) && strings.HasPrefix(key, v.base+layout.PackDir)
}

func (v *verifier) extra(key string) {
	if v.others != nil && v.others.has(key) {
		v.report.OfOtherLogs++
		return
	}
	v.report.Extras++
	if len(v.report.ExtraKeys) < listed {
		v.report.ExtraKeys = append(v.report.ExtraKeys, key)
	}
}

// topLevel is the prefixes that are listed side by side. What lies at the top is judged here.
func (v *verifier) topLevel(ctx context.Context) ([]string, error) {
	if _, ok := v.direct.(nameLister); ok {
		return []string{v.base}, nil // a directory: one listing is as fast as many
	}
	var prefixes []string
	for info, err := range v.store.List(ctx, store.ListOptions{Prefix: v.base, Delimiter: "/"}) {
		if err != nil {
			return nil, err
		}
		switch {
		case strings.HasPrefix(info.Key, v.base+"_indelible/"):
		case !info.Prefix && !v.names.has(info.Key):
			v.extra(info.Key)
		case info.Prefix:
			prefixes = append(prefixes, info.Key)
		}
	}
	return prefixes, nil
}

func (v *verifier) listNames(ctx context.Context, o store.ListOptions) iter.Seq2[string, error] {
	if lister, ok := v.direct.(nameLister); ok {
		return lister.Names(ctx, o)
	}
	return func(yield func(string, error) bool) {
		for info, err := range v.store.List(ctx, o) {
			if !yield(info.Key, err) {
				return
			}
		}
	}
}
