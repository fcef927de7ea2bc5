package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/record"
	"indelible/internal/store"
)

// packs finds records in the packs of the store, by nothing but their names, their bloom
// filters and their rows. It is safe for concurrent use.
type packs struct {
	store   store.Store
	layout  layout.Objects
	pending Pending

	listing sync.Mutex        // held while the names are read
	mu      sync.Mutex        // taken after listing
	known   []packName        // guarded by mu: oldest first
	have    map[string]bool   // guarded by mu: their keys
	upto    record.Seq        // guarded by mu: what was released when the names were read
	read    bool              // guarded by mu: they were
	open    lru[*pack.Reader] // guarded by mu
	keys    lru[[]packedKey]  // guarded by mu
	ranges  lru[keyRange]     // guarded by mu
}

// packName is a pack in the store.
type packName struct {
	key         string
	day         string // "dt=YYYY-MM-DD"
	hour        string
	log         string
	first, last record.Seq
	size        int64
	version     string
}

// How much of packs is kept in memory.
const (
	openPacks   = 24      // readers, each with the end of its pack: 256 KiB
	keptKeys    = 200_000 // keys of rows
	keptRanges  = 20_000  // packs of which it is known between which texts their keys lie
	packsAtOnce = 8       // packs that are asked at a time
)

func newPacks(pending Pending, s store.Store, l layout.Objects) *packs {
	return &packs{store: s, layout: l, pending: pending, have: map[string]bool{}, open: lru[*pack.Reader]{room: openPacks}, keys: lru[[]packedKey]{room: keptKeys}, ranges: lru[keyRange]{room: keptRanges}}
}

// names are all packs, oldest first. The store is asked for those that it may have since the last time.
func (p *packs) names(ctx context.Context) ([]packName, error) {
	p.listing.Lock()
	defer p.listing.Unlock()
	var released record.Seq
	if p.pending != nil {
		released = p.pending.Released()
	}
	p.mu.Lock()
	fresh := p.read && p.pending != nil && p.upto == released
	prefix, after := p.layout.Base()+layout.PackDir, ""
	if day := p.seen(); day != "" {
		after = prefix + day + "/" // of that day all hours: they are in no order
	}
	known := slices.Clip(p.known)
	p.mu.Unlock()
	if fresh {
		return known, nil
	}
	var more []packName
	for info, err := range p.store.List(ctx, store.ListOptions{Prefix: prefix, After: after}) {
		if err != nil {
			return nil, err
		}
		if n, ok := parsePackName(info); ok && !p.have[n.key] {
			p.have[n.key] = true // names alone writes it
			more = append(more, n)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = append(known, more...)
	slices.SortStableFunc(p.known, func(a, b packName) int {
		return cmp.Or(strings.Compare(a.day, b.day), cmp.Compare(len(a.hour), len(b.hour)), strings.Compare(a.hour, b.hour), cmp.Compare(a.first, b.first))
	})
	p.upto, p.read = released, true
	return slices.Clip(p.known), nil
}

// How far back packs are looked for that were not there before: those of another process, and, where the last one that was
// released is older, all that may have been overtaken on their way to the store.
const (
	lateDays = 1
	mostDays = 7
)

// seen is the day from which packs are listed again; "" is the first. A pack can be stored after one that
// follows it. The caller holds mu.
func (p *packs) seen() string {
	n := len(p.known)
	if n == 0 {
		return ""
	}
	const form = "dt=2006-01-02"
	last, err := time.Parse(form, p.known[n-1].day)
	if err != nil {
		return ""
	}
	day := last
	for _, k := range slices.Backward(p.known) {
		at, err := time.Parse(form, k.day)
		if day = at; err != nil || at.Before(last.AddDate(0, 0, lateDays-mostDays)) {
			day = last.AddDate(0, 0, lateDays-mostDays)
			break
		}
		if p.pending == nil || k.last <= p.upto {
			break
		}
	}
	return day.AddDate(0, 0, -lateDays).Format(form)
}

func parsePackName(info store.Info) (packName, bool) {
	dir, file := path.Split(info.Key)
	log, first, last, ok := layout.ParsePackFile(file)
	hour := path.Base(dir)
	return packName{info.Key, path.Base(path.Dir(path.Clean(dir))), hour, log, first, last, info.Size, ""}, ok
}

// reader opens a pack: one request, or none where it was open.
func (p *packs) reader(ctx context.Context, n packName) (*pack.Reader, error) {
	p.mu.Lock()
	r, ok := p.open.get(n.key)
	p.mu.Unlock()
	if ok {
		return r, nil
	}
	r, err := pack.Open(&storeReader{p.store, n.key, n.version, n.size}, n.size)
	if err != nil {
		return nil, fmt.Errorf("open the pack %s: %w", n.key, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open.put(n.key, r, 1)
	return r, ctx.Err()
}

// storeReader reads an object's bytes by ranges.
type storeReader struct {
	store   store.Store
	key     string
	version string
	size    int64
}

// ReadAt is io.ReaderAt's.
func (s *storeReader) ReadAt(b []byte, off int64) (int, error) {
	if off >= s.size || len(b) == 0 {
		return 0, io.EOF
	}
	to := min(off+int64(len(b)), s.size)
	// Bounded by what the caller reads; a reader outlives the call that opened it.
	body, _, err := s.store.Get(context.Background(), s.key, store.GetOptions{Version: s.version, From: off, To: to})
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, b[:to-off])
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// newest is the newest row with this stored key that want takes, behind a record; the newest packs are asked first.
func (p *packs) newest(ctx context.Context, stored string, after record.Seq, want func(record.Info) bool) (record.Entry, bool, error) {
	all, err := p.names(ctx)
	if err != nil {
		return record.Entry{}, false, err
	}
	all = slices.DeleteFunc(slices.Clone(all), func(n packName) bool { return n.last <= after })
	for end := len(all); end > 0; end -= packsAtOnce {
		part := all[max(0, end-packsAtOnce):end]
		found := make([]*record.Entry, len(part))
		g, ctx := errgroup.WithContext(ctx)
		for i, n := range part {
			g.Go(func() error {
				return p.find(ctx, n, pack.ColumnKey, stored, func(e record.Entry) {
					if want(e.Info) && (found[i] == nil || e.Seq > found[i].Seq) {
						found[i] = &e
					}
				})
			})
		}
		if err := g.Wait(); err != nil {
			return record.Entry{}, false, err
		}
		for _, e := range slices.Backward(found) {
			if e != nil {
				return *e, true, nil
			}
		}
	}
	return record.Entry{}, false, nil
}

// find gives the rows of a pack whose column has a value to do. A pack that is none of ours is passed over.
func (p *packs) find(ctx context.Context, n packName, column, value string, do func(record.Entry)) error {
	r, err := p.reader(ctx, n)
	if errors.Is(err, pack.ErrForeign) || p.forget(n, err) {
		return nil
	}
	if err != nil {
		return err
	}
	for row, err := range r.Find(ctx, column, value) {
		if p.forget(n, err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the pack %s: %w", n.key, err)
		}
		do(p.entry(n, &row))
	}
	return nil
}

// bySeq is a row by its number, in a pack of this log; "" is any.
func (p *packs) bySeq(ctx context.Context, log string, seq record.Seq) (record.Entry, bool, error) {
	all, err := p.names(ctx)
	if err != nil {
		return record.Entry{}, false, err
	}
	for _, n := range slices.Backward(all) {
		if n.first > seq || n.last < seq || log != "" && n.log != log {
			continue
		}
		e, ok, err := p.row(ctx, n, seq)
		if ok || err != nil {
			return e, ok, err
		}
	}
	return record.Entry{}, false, nil
}

// row is a row of one pack.
func (p *packs) row(ctx context.Context, n packName, seq record.Seq) (record.Entry, bool, error) {
	r, err := p.reader(ctx, n)
	if p.forget(n, err) {
		return record.Entry{}, false, nil
	}
	if err != nil {
		return record.Entry{}, false, err
	}
	row, err := r.Seq(seq)
	if errors.Is(err, pack.ErrNotFound) || p.forget(n, err) {
		return record.Entry{}, false, nil
	}
	if err != nil {
		return record.Entry{}, false, fmt.Errorf("read the pack %s: %w", n.key, err)
	}
	return p.entry(n, &row), true, nil
}

// forget takes a pack out of what is known, where an error says that it is not there any more: a policy removed it,
// or it is verify's to find.
func (p *packs) forget(n packName, err error) bool {
	if err == nil || store.ClassOf(err) != store.NotFound {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = slices.DeleteFunc(slices.Clone(p.known), func(k packName) bool { return k.key == n.key })
	return true
}

// entry is the record in a row. The body is kept only as long as the entry is.
func (p *packs) entry(n packName, row *pack.Row) record.Entry {
	e := record.Entry{Info: row.Info}
	if row.Object != "" {
		object, size, digest := row.Object, row.Info.Size, row.Info.Digest
		e.Open = func() (io.ReadSeekCloser, error) {
			return newBody(p.store, store.Info{Key: object, Size: size, Version: row.ObjectVersion}, digest), nil
		}
		return e
	}
	body, digest := slices.Clone(row.Body), row.Info.Digest
	e.Open = func() (io.ReadSeekCloser, error) { return newPackedBody(n.key, body, digest) }
	return e
}

// byID are the rows of all packs that carry an id, as far as the packs could be read.
func (p *packs) byID(ctx context.Context, id string) (entries []record.Entry, err error) {
	all, err := p.names(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards entries
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(packsAtOnce)
	for _, n := range all {
		g.Go(func() error {
			for _, column := range [...]string{pack.ColumnID, pack.ColumnCallID, pack.ColumnTraceID} {
				err := p.find(ctx, n, column, id, func(e record.Entry) {
					mu.Lock()
					defer mu.Unlock()
					entries = append(entries, e)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	return entries, err
}
