package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
)

// packer puts the records of the feed into packs, one pack at a time, and sends each on once
// it is closed. What is no row (a gap, a record that was settled before, one that
// cannot be read while others can) closes the pack before it and goes on as it is. Everything is owned by the
// goroutine of run.
type packer struct {
	d      *delivery
	opts   Packing
	dir    packDir
	ledger PackLedger // nil: there is none

	feed   feeder
	open   *building                 // nil: the next record begins one
	skip   record.Seq                // records up to here are in a pack that was sent
	placed record.Seq                // records before it have their place in the ledger; 0: none has
	local  []*packFile               // closed before this run, by their first record
	remote map[record.Seq]*packFile  // in the store, and known to nobody, by their first record
	ends   map[record.Seq]record.Seq // packs that must be built again with the range that they had
	alone  map[record.Seq]bool       // records that the format does not take
	parked map[record.Seq]bool       // records that got their outcome while their pack was open
	absent map[record.Seq]int        // how often a pack of the ledger was not as it should be in the store, by its first record
	body   []byte                    // room for one body

	refused int                                // lists of the store's packs that were
	room    int                                // rows for which the disk had room; 0: for a whole pack
	waiting atomic.Pointer[context.CancelFunc] // ends the present wait, or one that is over
}

// newPacker makes one; the directory is looked at when it runs.
func newPacker(d *delivery) *packer {
	p := &packer{
		d: d, opts: d.u.packing, dir: packDir{fs: d.u.packing.Dir, log: d.u.opts.Log},
		remote: map[record.Seq]*packFile{}, ends: map[record.Seq]record.Seq{}, alone: map[record.Seq]bool{}, parked: map[record.Seq]bool{}, absent: map[record.Seq]int{},
	}
	p.ledger, _ = d.u.opts.Ledger.(PackLedger)
	return p
}

// run packs what the source has, in order, for ever.
func (p *packer) run(ctx context.Context) {
	defer func() {
		if p.open != nil {
			p.open.abandon() // the next run begins it again
		}
	}()
	select {
	case <-p.d.matched:
	case <-ctx.Done():
		return
	}
	ctx, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { p.endWaits(ctx) })
	defer watch.Wait()
	defer stop()
	p.feed = feeder{d: p.d, parked: p.d.parkedBefore(ctx), last: p.d.u.opts.Source.Released(), sink: p.take}
	for failures := 1; ctx.Err() == nil; failures++ {
		if err := p.recover(ctx); err == nil || !p.d.pause(ctx, "look for packs of an earlier run", failures, err) {
			break
		}
	}
	for failures := 0; ctx.Err() == nil; {
		newest, err := p.wait(ctx)
		if err == nil && newest > p.feed.last {
			err = p.feed.upTo(ctx, newest)
		}
		if err == nil && p.open != nil && p.due() {
			err = p.close(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		what := "read the spool"
		if again, ok := errors.AsType[*againError](err); ok {
			what, err = "build a pack; its records stay in the spool, and it is built again", again.err
		}
		p.d.u.stuck(err)
		if !p.d.pause(ctx, what, failures, err) {
			return
		}
		p.d.u.stuck(nil)
	}
}

// againError says why the pack that was being built was given up.
type againError struct{ err error }

func (e *againError) Error() string { return "build a pack: " + e.err.Error() }

// Unwrap gives the cause.
func (e *againError) Unwrap() error { return e.err }

// again gives up the pack that is being built: its records are read again.
func (p *packer) again(err error) error {
	p.feed.last = p.open.pack.First - 1
	// Some file systems tell of it only at a sync, and the seal needs room as well.
	if full := errors.Join(err, p.open.at.err); errors.Is(full, syscall.ENOSPC) || errors.Is(full, syscall.EDQUOT) {
		p.room = max(1, len(p.open.pack.sizes)/2)
	}
	p.open.abandon()
	p.open = nil
	return &againError{err}
}

// due says whether it is time to close the open pack, whatever comes.
func (p *packer) due() bool {
	if p.open.ends != 0 {
		return p.open.pack.Last >= p.open.ends
	}
	return time.Since(p.open.begun) >= p.opts.MaxAge || p.d.u.draining.Load() > 0
}

// wait returns once there is more to read, with the newest record, or the open pack is due.
func (p *packer) wait(ctx context.Context) (record.Seq, error) {
	source, last := p.d.u.opts.Source, p.feed.last
	if p.open == nil {
		return source.Wait(ctx, last)
	}
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	p.waiting.Store(&cancel) // before draining is looked at: a Drain that begins now ends this wait
	limit := max(time.Millisecond, p.opts.MaxAge-time.Since(p.open.begun))
	if p.d.u.draining.Load() > 0 {
		limit = drainWait
	}
	until, stop := context.WithTimeout(until, limit)
	defer stop()
	newest, err := source.Wait(until, last)
	if err != nil && until.Err() != nil && ctx.Err() == nil {
		return last, nil
	}
	return newest, err
}

// endWaits ends the wait for more records whenever a Drain begins to wait for the open pack.
func (p *packer) endWaits(ctx context.Context) {
	for {
		select {
		case <-p.d.u.closePack:
			if cancel := p.waiting.Load(); cancel != nil {
				(*cancel)()
			}
		case <-ctx.Done():
			return
		}
	}
}

// drainWait is how long a pack waits for more records while a Drain waits for it.
const drainWait = 20 * time.Millisecond

// take takes the next item of the feed.
func (p *packer) take(ctx context.Context, item feedItem) error {
	for {
		first, last := item.span()
		if last <= p.skip {
			return nil
		}
		if first <= p.skip { // a range that begins within a pack
			first = p.skip + 1
			item.rest = item.rest.part(first, last)
		}
		if item.rest != nil && item.rest.outcome != nil {
			break
		}
		sent, err := p.takeClosed(ctx, first)
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		if item.rest == nil {
			break
		}
		// The spool lost records that a pack has, or an earlier run settled some of them: what it says holds for those before the pack.
		next, err := p.nextClosed(ctx, first, last)
		if err != nil {
			return err
		}
		if next == 0 {
			break
		}
		if err := p.pass(ctx, feedItem{rest: item.rest.part(first, next-1)}); err != nil {
			return err
		}
		p.skip = max(p.skip, next-1)
	}
	switch {
	case item.unread != nil:
		return p.unread(ctx, item.unread)
	case item.rest != nil:
		return p.pass(ctx, item)
	}
	return p.record(ctx, item.entry)
}

// span is the range that an item is about.
func (f *feedItem) span() (first, last record.Seq) {
	switch {
	case f.rest != nil:
		return f.rest.first, f.rest.last
	case f.unread != nil:
		return f.unread.Seq, f.unread.Seq
	}
	return f.entry.Seq, f.entry.Seq
}

// pass closes the open pack and sends an item on as it is.
func (p *packer) pass(ctx context.Context, item feedItem) error {
	if err := p.close(ctx); err != nil {
		return err
	}
	if !p.d.send(ctx, item) {
		return ctx.Err()
	}
	return nil
}

// record takes the next record.
func (p *packer) record(ctx context.Context, e record.Entry) error {
	if p.open != nil && p.ends[e.Seq] != 0 { // a pack begins here
		if err := p.close(ctx); err != nil {
			return err
		}
	}
	switch {
	case p.parked[e.Seq]:
		return p.close(ctx)
	case e.Seq < p.placed: // it was an object
		return p.pass(ctx, feedItem{entry: e})
	case p.opts.Finish && p.ends[e.Seq] == 0 && p.open == nil, p.alone[e.Seq]:
		return p.pass(ctx, feedItem{entry: e})
	}
	row := record.Row{Info: e.Info}
	var body []byte
	var err error
	if e.Size > p.opts.MaxInline {
		var parked bool
		if row.Object, parked, err = p.beside(ctx, e); err != nil {
			return err
		}
		if parked { // it has its outcome already
			p.parked[e.Seq] = true
			return p.close(ctx)
		}
	}
	if e.Size > p.opts.MaxInline && e.Size > p.opts.MaxRead {
		return p.add(ctx, row, nil)
	}
	if body, err = p.read(&e); err != nil {
		if _, lost := errors.AsType[*record.GapError](err); lost {
			return p.pass(ctx, feedItem{entry: e}) // the delivery has the spool fence it off
		}
		return p.unread(ctx, &record.ReadError{Seq: e.Seq, Err: err})
	}
	if cap(p.body) > int(p.opts.MaxInline)*2 {
		p.body = nil // one so long is rare
	}
	return p.add(ctx, row, body)
}

// read reads a body into the packer's room.
func (p *packer) read(e *record.Entry) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if int64(cap(p.body)) < e.Size {
		p.body = make([]byte, e.Size+e.Size/4)
	}
	body := p.body[:e.Size]
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	var end [1]byte
	if n, err := r.Read(end[:]); n > 0 || err != io.EOF { // the end compares the checksum
		return nil, errors.Join(err, fmt.Errorf("the body of record %d does not end where it should", e.Seq))
	}
	return body, nil
}

// add appends a row, and begins and closes the pack as it must be.
func (p *packer) add(ctx context.Context, row record.Row, body []byte) error {
	if p.open == nil {
		b, err := p.dir.begin(p.opts.Format, &proof.RowTree{}, row.Info, p.dir.log)
		if err != nil {
			return &againError{err}
		}
		b.ends = p.ends[row.Seq]
		p.open = b
	}
	if err := p.open.add(row, body); err != nil {
		if p.open.at.err == nil { // not the disk: it is about the record
			p.alone[row.Seq] = true
			p.d.u.opts.Logger.Error("a record cannot be the row of a pack, and is stored as an object of its own", "seq", row.Seq, "key", row.Key, "error", err)
		}
		return p.again(err)
	}
	rows := len(p.open.pack.sizes)
	full := p.open.w.Size() >= p.opts.MaxBytes || rows >= p.opts.MaxRecords || p.room > 0 && rows >= p.room
	if full && p.open.ends == 0 || p.due() && p.d.u.draining.Load() == 0 || row.Seq == p.open.ends {
		return p.close(ctx)
	}
	return nil
}

// close closes the open pack, if there is one, and sends it on.
func (p *packer) close(ctx context.Context) error {
	b := p.open
	if b == nil {
		return nil
	}
	key := p.opts.Names.PackKey(p.dir.log, b.pack.First, b.pack.Last, b.pack.Time)
	pack, err := b.close(key)
	if err != nil {
		return p.again(err)
	}
	p.open = nil
	if p.room *= 2; p.room >= p.opts.MaxRecords {
		p.room = 0
	}
	// The range is decided. Nothing of it is sent before its name is durable.
	for n := 1; ; n++ {
		err := p.dir.fs.SyncDir(".")
		if err == nil {
			break
		}
		if !p.d.pause(ctx, "make a pack's name durable", n, err) {
			return ctx.Err()
		}
	}
	delete(p.ends, pack.First)
	return p.send(ctx, pack)
}

// send sends a pack on.
func (p *packer) send(ctx context.Context, pack *packFile) error {
	p.skip = max(p.skip, pack.Last)
	if !p.d.send(ctx, feedItem{pack: pack}) {
		return ctx.Err()
	}
	return nil
}
