package dir

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"indelible/internal/store"
)

// List is store.Store's. It holds the names of one directory per level of the tree at a time. Symbolic links are
// no objects, and are passed over: they may lead nowhere.
func (s *Store) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := s.sameRoot(); err != nil {
			yield(store.Info{}, fail("list", o.Prefix, err))
			return
		}
		d := s.describer()
		defer d.close()
		last := "" // the common prefix yielded last
		for key, err := range s.keys(ctx, ".", "", false, o) {
			if err != nil {
				yield(store.Info{}, fail("list", o.Prefix, err))
				return
			}
			if prefix, ok := common(key, o); ok {
				if prefix != last && prefix > o.After {
					last = prefix
					if !yield(store.Info{Key: prefix, Prefix: true}, nil) {
						return
					}
				}
				continue
			}
			info, err := d.describe(key)
			if errors.Is(err, fs.ErrNotExist) {
				continue // replaced under our eyes, or no object
			}
			if err != nil {
				yield(store.Info{}, fail("list", key, err))
				return
			}
			info.Header, info.Meta = nil, nil
			if !yield(info, nil) {
				return
			}
		}
		if err := s.sameRoot(); err != nil { // it was another store that was listed
			yield(store.Info{}, fail("list", o.Prefix, err))
		}
	}
}

// describer describes the objects of a list, one after the other. It keeps their directories open, which
// takes a fraction of the calls that Head makes.
type describer struct {
	s    *Store
	bulk bulk
	buf  []byte
}

func (s *Store) describer() *describer {
	opener, _ := s.disk.(dirOpener)
	return &describer{s: s, bulk: bulk{store: s, opener: opener, open: map[string]*openDir{}}}
}

func (d *describer) describe(key string) (store.Info, error) {
	buf, at, err := d.bulk.attributes(key, d.buf[:0])
	d.buf = buf
	if err == nil {
		return d.s.trusted(key, at)
	}
	return d.s.head(key, store.GetOptions{}, maxHashed)
}

func (d *describer) close() { _ = d.bulk.close() } // they were only read

// common is the prefix that key is rolled up into.
func common(key string, o store.ListOptions) (string, bool) {
	if o.Delimiter == "" {
		return "", false
	}
	rest := key[len(o.Prefix):]
	i := strings.Index(rest, o.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(o.Prefix)+i+len(o.Delimiter)], true
}

// entry is a name in a directory, with the keys that can lie behind it.
type entry struct {
	low   string // all its keys start with this; a file's only key is this
	name  string
	isDir bool
	more  bool // its keys go on right behind low, with no slash
}

// keys yields the keys below dir, whose keys all start with at, in byte order,
// as far as they can match o, those of symbolic links only if links is set. With a delimiter of "/", a directory that is rolled up
// gives one key.
func (s *Store) keys(ctx context.Context, dir, at string, links bool, o store.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		list, err := s.entries(ctx, dir, at, links, o)
		if err != nil {
			yield("", err)
			return
		}
		for i := 0; i < len(list); {
			// A component that was cut can lie between the keys of its neighbours: those are merged.
			n := i + 1
			for n < len(list) && list[i].more && strings.HasPrefix(list[n].low, list[i].low) {
				n++
			}
			var walks []iter.Seq2[string, error]
			for _, e := range list[i:n] {
				walks = append(walks, s.below(ctx, dir, e, links, o))
			}
			for key, err := range merge(walks) {
				if !yield(key, err) || err != nil {
					return
				}
			}
			i = n
		}
	}
}

// below yields the keys of one entry.
func (s *Store) below(ctx context.Context, dir string, e entry, links bool, o store.ListOptions) iter.Seq2[string, error] {
	if e.isDir {
		walk := s.keys(ctx, path.Join(dir, e.name), e.low, links, o)
		if prefix, rolled := common(e.low, trimmed(e.low, o)); rolled && prefix == e.low && strings.HasPrefix(e.low, o.Prefix) {
			return first(walk)
		}
		return walk
	}
	return func(yield func(string, error) bool) { yield(e.low, nil) }
}

// trimmed keeps common from cutting a key that is shorter than the prefix.
func trimmed(key string, o store.ListOptions) store.ListOptions {
	if len(key) < len(o.Prefix) {
		o.Delimiter = ""
	}
	return o
}

func first(walk iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range walk {
			yield(key, err)
			return
		}
	}
}

// lister is a file system that lists the names and kinds in a directory quicker than ReadDir, in any order.
type lister interface {
	Names(name string) ([]fs.DirEntry, error)
}

// entries reads the names in dir that can lead to keys that match o, sorted.
func (s *Store) entries(ctx context.Context, dir, at string, links bool, o store.ListOptions) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	read := s.disk.ReadDir
	if l, ok := s.disk.(lister); ok {
		read = l.Names
	}
	found, err := read(dir)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	none := fs.ModeNamedPipe | fs.ModeSocket | fs.ModeDevice | fs.ModeIrregular
	if !links {
		none |= fs.ModeSymlink
	}
	n, err := s.naming()
	if err != nil {
		return nil, err
	}
	var list []entry
	for _, d := range found {
		if isOwn(dir, d.Name()) || d.Type()&none != 0 {
			continue
		}
		part, more, ok := n.decode(d.Name(), d.IsDir())
		if !ok {
			continue // no name of ours
		}
		e := entry{low: at + part, name: d.Name(), isDir: d.IsDir(), more: more}
		if e.isDir && !more {
			e.low += "/"
		}
		if canMatch(e, o) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(boolInt(b.more), boolInt(a.more)))
	})
	return list, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// canMatch reports whether a key behind e can start with the prefix and come after After.
func canMatch(e entry, o store.ListOptions) bool {
	if !e.isDir {
		return strings.HasPrefix(e.low, o.Prefix) && e.low > o.After
	}
	inPrefix := strings.HasPrefix(e.low, o.Prefix) || strings.HasPrefix(o.Prefix, e.low)
	return inPrefix && (e.low > o.After || strings.HasPrefix(o.After, e.low))
}

// merge yields the keys of several sorted walks in order.
func merge(walks []iter.Seq2[string, error]) iter.Seq2[string, error] {
	if len(walks) == 1 {
		return walks[0]
	}
	return func(yield func(string, error) bool) {
		type head struct {
			key  string
			err  error
			next func() (string, error, bool)
		}
		var heads []head
		for _, walk := range walks {
			next, stop := iter.Pull2(walk)
			defer stop()
			if key, err, ok := next(); ok {
				heads = append(heads, head{key, err, next})
			}
		}
		for len(heads) > 0 {
			least := 0
			for i := range heads {
				if heads[i].err != nil {
					yield("", heads[i].err)
					return
				}
				if heads[i].key < heads[least].key {
					least = i
				}
			}
			if !yield(heads[least].key, nil) {
				return
			}
			var ok bool
			if heads[least].key, heads[least].err, ok = heads[least].next(); !ok {
				heads = slices.Delete(heads, least, least+1)
			}
		}
	}
}
