package upload

import (
	"context"
	"encoding/hex"
	"sync"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Bounds of the search for a twin, over all attempts of a record.
const (
	maxTwins    = 16   // variants of the record's size that are looked at
	maxVariants = 1000 // variants that are listed
	maxRefusals = 3    // lists that are refused, while other requests are not
)

// twinSearch is how far the search for a twin has come. An attempt that is cut short
// leaves it to the next.
type twinSearch struct {
	after          string    // the last that was listed
	seen           []variant // what was listed, and is to be looked at still
	known          bool      // seen is all that there is to look at
	asked, refused int
}

// variant is an object beside a key that is taken by other bytes.
type variant struct {
	name   string
	size   int64
	digest record.Digest // of its bytes; zero: not known
}

// twin looks for the record's bytes among the variants that its key has: what is
// sent again after its first copy has left the spool gets that copy's object, and
// no second one. "" if there is none among those it may look at: a key with very many
// variants must not hold up its own delivery, and a second object costs less than none.
func (u *Uploader) twin(ctx context.Context, s *slot) (string, error) {
	look := &s.search
	if !look.known {
		all, ok := u.variants.of(s.stored)
		if !ok {
			whole, err := u.listVariants(ctx, s)
			if err != nil {
				return "", err
			}
			if all = look.seen; whole {
				u.variants.keep(s.stored, all)
			}
		}
		look.seen, look.known = all, true
	}
	for ; len(look.seen) > 0 && look.asked < maxTwins; look.seen = look.seen[1:] {
		v := look.seen[0]
		if v.digest != (record.Digest{}) && v.digest != s.entry.Digest {
			continue
		}
		same, err := u.isTwin(ctx, s, &v)
		if err != nil {
			return "", err
		}
		if same {
			return v.name, nil
		}
		u.variants.add(s.stored, v)
	}
	return "", nil
}

// listVariants lists the variants of the record's key, from where the last attempt came to, and reports
// whether those are all.
func (u *Uploader) listVariants(ctx context.Context, s *slot) (whole bool, err error) {
	look, prefix := &s.search, u.opts.Layout.VariantPrefix(s.stored)
	for info, err := range u.opts.Store.List(ctx, store.ListOptions{Prefix: prefix, After: look.after, Limit: maxVariants}) {
		if store.ClassOf(err) == store.Credentials {
			// Who may put and get may not be allowed to list; credentials that have just run out are no such case.
			if look.refused++; look.refused == maxRefusals {
				return false, nil
			}
			return false, unclear("list", prefix, err.Error())
		}
		if err != nil {
			return false, err
		}
		if len(look.seen) == maxVariants {
			return false, nil
		}
		look.after, look.seen = info.Key, append(look.seen, variant{name: info.Key, size: info.Size})
	}
	return true, nil
}

// isTwin says whether a variant holds the record's bytes, and notes what the store tells of them.
func (u *Uploader) isTwin(ctx context.Context, s *slot, v *variant) (bool, error) {
	if _, ok := u.opts.Layout.IsVariant(s.stored, v.name); !ok || v.size != s.entry.Size {
		return false, nil
	}
	o := u.opts.Layout.Object(s.entry.Info, v.name, u.opts.Log)
	o.Key, o.Size, o.Digest = v.name, s.entry.Size, s.entry.Digest
	info, same, err := u.find(ctx, o, s.entry.Attrs.Get(record.AttrMD5), u.echoes())
	if err != nil && store.ClassOf(err) != store.NotFound {
		return false, err
	}
	s.search.asked++
	if v.digest = info.Digest; v.digest == (record.Digest{}) {
		if b, err := hex.DecodeString(info.Meta[metaSHA256]); err == nil && len(b) == len(v.digest) {
			v.digest = record.Digest(b)
		}
	}
	return same && err == nil, nil
}

// variantMemory remembers the variants of keys whose whole list was seen, and what was stored beside
// it since, so that a key with many bodies is not listed for each. It is a hint: that an object
// holds a record's bytes is never concluded from it, and what another writer stores
// meanwhile may get a second object. It is safe for concurrent use.
type variantMemory struct {
	mu         sync.Mutex
	young, old map[string][]variant // by the key; old is forgotten when young is full; guarded by mu
	n          int                  // variants and keys in young; guarded by mu
}

// maxRemembered bounds the variants and keys in each half of the memory, of some 200 bytes each.
const maxRemembered = 8192

// of is what is known of a key, false if nothing is. The list is the caller's to read.
func (m *variantMemory) of(stored string) ([]variant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(stored)
}

// find is of. The caller holds m.mu.
func (m *variantMemory) find(stored string) ([]variant, bool) {
	if list, ok := m.young[stored]; ok {
		return list, true
	}
	list, ok := m.old[stored]
	return list, ok
}

// keep begins to remember a key, with all its variants.
func (m *variantMemory) keep(stored string, all []variant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(stored, all)
}

// put replaces what is remembered of a key. The caller holds m.mu.
func (m *variantMemory) put(stored string, all []variant) {
	if before, ok := m.young[stored]; ok {
		m.n -= len(before) + 1
	}
	if m.n += len(all) + 1; m.n > maxRemembered {
		m.old, m.young, m.n = m.young, nil, len(all)+1
	}
	if m.young == nil {
		m.young = map[string][]variant{}
	}
	m.young[stored] = all
}

// add notes a variant of a key, if that is remembered.
func (m *variantMemory) add(stored string, v variant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list, ok := m.find(stored)
	if !ok {
		return
	}
	for i := range list {
		if list[i].name == v.name {
			list = append(append(list[:i:i], v), list[i+1:]...) // a reader may hold the old one
			m.put(stored, list)
			return
		}
	}
	m.put(stored, append(list, v))
}
