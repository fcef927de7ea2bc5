package engine

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sort"
	"sync"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
)

// gate is the store as the uploader has it. It knows which objects the uploader looked at while others are removed: a
// record that has the bytes of such an object takes it for its own, long before a leaf says so.
type gate struct {
	store.Store
	seed maphash.Seed

	mu     sync.RWMutex
	looked map[uint64]bool // nil: nothing is being removed; guarded by mu
}

func newGate(s store.Store) *gate { return &gate{Store: s, seed: maphash.MakeSeed()} }

// Head is store.Store's.
func (g *gate) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	g.mu.Lock()
	if g.looked != nil {
		g.looked[maphash.String(g.seed, key)] = true
	}
	g.mu.Unlock()
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.Store.Head(ctx, key, o)
}

// watch begins or ends to note what is looked at.
func (g *gate) watch(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked = nil
	if on {
		g.looked = map[uint64]bool{}
	}
}

// unless removes what nobody has looked at.
func (g *gate) unless(key string, remove func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looked[maphash.String(g.seed, key)] {
		return nil
	}
	return remove()
}

// spared is what must stay though a leaf says that a record with that object is removed.
type spared struct {
	seed    maphash.Seed
	said    []proof.SeqRange // that the log says are removed
	waiting map[uint64]bool  // names that records in the spool may have, up to their variants' number
	others  map[uint64]bool  // objects of other logs in the same destination
}

// spare finds out what must stay. The uploader is watched already.
func (e *Engine) spare(ctx context.Context, log *proof.Log) (s *spared, err error) {
	s = &spared{seed: maphash.MakeSeed(), waiting: map[uint64]bool{}, others: map[uint64]bool{}}
	wait := func(i *record.Info) {
		stem := e.dest.Layout.VariantPrefix(e.dest.Layout.Key(i.Bucket, i.Key))
		s.waiting[maphash.String(s.seed, stem)] = true
	}
	for a, err := range e.spool.Parked(ctx) {
		if err != nil {
			return nil, err
		}
		wait(&a.Info)
	}
	for entry, err := range e.spool.Entries(ctx, e.spool.Released()+1) {
		if _, lost := errors.AsType[*record.GapError](err); lost {
			continue
		}
		if err != nil {
			return nil, err
		}
		wait(&entry.Info)
	}
	base := e.dest.Layout.Base()
	said, err := proof.Removals(ctx, e.dest.Store, base, log.Public())
	if err != nil {
		return nil, err
	}
	s.said = union(said)
	err = proof.OtherObjects(ctx, e.dest.Store, base, e.name, func(key string, removed bool) {
		h := maphash.String(s.seed, key)
		s.others[h] = s.others[h] || !removed
	})
	return s, err
}

// removed says whether removed leaves speak of all records of a leaf.
func (s *spared) removed(l *proof.Leaf) bool {
	first, last := max(l.Seq, l.First), max(l.Seq, l.Last)
	i := sort.Search(len(s.said), func(i int) bool { return s.said[i].Last >= first })
	return i < len(s.said) && s.said[i].First <= first && last <= s.said[i].Last
}

// union are the records of all removals, as ranges that neither meet nor touch.
func union(all []proof.Removal) (out []proof.SeqRange) {
	slices.SortFunc(all, func(a, b proof.Removal) int { return cmp.Compare(a.First, b.First) })
	for _, r := range all {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r.SeqRange)
		}
	}
	return out
}

// waits says whether a record in the spool may have the object of a leaf.
func (s *spared) waits(e *Engine, l *proof.Leaf) bool {
	if l.Kind == proof.Pack {
		return false
	}
	stored, _, ok := e.dest.Layout.VariantOf(l.Key)
	return ok && s.waiting[maphash.String(s.seed, e.dest.Layout.VariantPrefix(stored))] || s.waiting[maphash.String(s.seed, e.dest.Layout.VariantPrefix(l.Key))]
}

// elsewhere says whether another log has an object, or, as it wrote it, will have it.
func (s *spared) elsewhere(key string, wrote bool) bool {
	has, told := s.others[maphash.String(s.seed, key)]
	return has || wrote && !told
}
