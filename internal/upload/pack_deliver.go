package upload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// packSpan is a pack in the delivery's window.
type packSpan struct {
	last record.Seq
	rows int
}

// besideItem is a body that is too large for a row: it is stored before its row is written.
type besideItem struct {
	entry record.Entry
	key   string
	done  chan besideEnd // room for one
}

// besideEnd is what became of it.
type besideEnd struct {
	key    string // where it is stored
	parked bool   // the record was parked, or is lost: it has its outcome
}

// takePack takes a pack into the window. To the store it goes like a record.
func (d *delivery) takePack(p *packFile, now time.Time) {
	d.read = p.Last
	d.packs = append(d.packs, packSpan{p.Last, int(p.Count())})
	if p.stored {
		d.packDone(p)
		return
	}
	d.slots.add(&slot{entry: packEntry(d.u, p), stored: p.Key, target: p.Key, pack: p, mayExist: p.recovered})
}

// packEntry is a pack as the delivery sees a record.
func packEntry(u *Uploader, p *packFile) record.Entry {
	dir := packDir{fs: u.packing.Dir, log: u.opts.Log}
	e := record.Entry{Info: record.Info{Seq: p.First, Time: p.Time, Key: p.Key, Size: p.Size, Digest: p.Digest}}
	e.Open = dir.opener(p)
	return e
}

// takeBeside takes a body that is to be stored before its pack is closed.
func (d *delivery) takeBeside(b *besideItem) {
	d.slots.add(&slot{entry: b.entry, stored: b.key, target: b.key, beside: b, mayExist: true})
}

func (d *delivery) besideStored(s *slot, v attemptResult) {
	d.slots.done(s)
	s.beside.done <- besideEnd{key: s.target}
}

// packStored takes a pack that the store has confirmed.
func (d *delivery) packStored(s *slot, v attemptResult) {
	p := s.pack
	p.Key, p.Version, p.Size, p.Digest = s.target, v.info.Version, s.entry.Size, s.entry.Digest
	d.slots.done(s)
	d.packDone(p)
}

// packDone hands a stored pack to the committer.
func (d *delivery) packDone(p *packFile) {
	d.u.packWasStored(p)
	d.commit.add(resolved{first: p.First, last: p.Last, pack: p})
	d.lastStored = max(d.lastStored, p.Last)
}

// refused parks the records of a pack that the store refuses for its own content. Its file goes at the next start.
func (d *delivery) refused(s *slot, v attemptResult) {
	d.u.opts.Logger.Error("the store refuses a pack: its records are parked; look at what it allows, make packs smaller (pack.max_bytes), and redrive them", "key", s.target, "error", v.err)
	d.slots.done(s)
	for _, e := range v.rows {
		one := d.newSlot(e)
		d.slots.count++
		d.park(one, record.Quarantined, v.err)
	}
}

// packRefusals in a row, and nothing under the pack's key after each, are what makes a refusal final: an
// attempt before may have stored it, or be about to.
const packRefusals = 3

// unpack reads the records of a pack that the store refuses. Until that is certain, and where
// they cannot be read now, it is tried again.
func (u *Uploader) unpack(ctx context.Context, s *slot, v *attemptResult) {
	p := s.pack
	_, err := u.opts.Store.Head(ctx, s.target, store.GetOptions{})
	s.refusals++
	if store.ClassOf(err) != store.NotFound || s.refusals < packRefusals {
		v.class = store.Ambiguous
		s.mayExist = s.mayExist || store.ClassOf(err) != store.NotFound
		return
	}
	for e, err := range u.opts.Source.Entries(ctx, p.First) {
		if err == nil && e.Seq > p.Last {
			break
		}
		if err != nil {
			v.rows, v.class, v.err = nil, store.Ambiguous, errors.Join(v.err, err)
			return
		}
		v.rows = append(v.rows, e)
	}
	if int64(len(v.rows)) != p.Count() {
		v.class, v.err = store.Ambiguous, fmt.Errorf("%w; and of its %d records the spool has %d", v.err, p.Count(), len(v.rows))
		v.rows = nil
	}
}

// object is everything but the Body of what a slot stores.
func (u *Uploader) object(s *slot) store.Object {
	if s.pack == nil {
		return u.opts.Layout.Object(s.entry.Info, s.target, u.opts.Log)
	}
	p := s.pack.Pack
	p.Key, p.Size, p.Digest = s.target, s.entry.Size, s.entry.Digest
	return u.packing.Names.Pack(p, u.opts.Log)
}

// packWasStored notes the rows of a pack as stored.
func (u *Uploader) packWasStored(p *packFile) {
	u.note(func(s *Stats) {
		s.Stored += uint64(p.Count()) - uint64(len(p.unseen))
		if u.opts.Ledger != nil {
			s.Unproven += uint64(p.Count())
		}
	})
	if f := u.opts.Events.Stored; f != nil {
		for some := range p.outcomes() {
			for _, o := range some {
				f(o)
			}
		}
	}
}

// beside stores a body that is too large for a row, and tells under which key; parked says that the
// record has its outcome otherwise.
func (p *packer) beside(ctx context.Context, e record.Entry) (key string, parked bool, err error) {
	b := &besideItem{entry: e, key: p.opts.Names.BesideKey(p.dir.log, e.Info), done: make(chan besideEnd, 1)}
	if !p.d.send(ctx, feedItem{beside: b}) {
		return "", false, ctx.Err()
	}
	select {
	case end := <-b.done:
		return end.key, end.parked, nil
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
}
