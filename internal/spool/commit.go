package spool

import (
	"fmt"
	"time"

	"indelible/internal/record"
)

// waiter is one append on its way to the disk.
type waiter struct {
	header  entryHeader // without seq and synced
	meta    []byte
	body    []byte     // inline body, in buf
	buf     *buffer    // guarded by Spool.mu
	looked  record.Seq // no copy is known up to here
	bucket  string
	key     string
	hash    uint64
	copy    uint64
	done    chan struct{} // closed once err is final
	lead    chan struct{} // capacity 1: the writer's role is yours
	err     error         // valid once done is closed
	taken   bool          // a batch has it; guarded by Spool.mu
	settled bool          // done is closed; guarded by Spool.mu
}

// batch is a number of entries that share an fsync.
type batch struct {
	waiters []*waiter
	first   record.Seq    // of the first record
	buf     []byte        // the entries as written, kept until they are durable
	offs    []int         // where each begins in buf
	at      int64         // where buf stands in the segment
	err     error         // the write failed
	done    chan struct{} // closed when the fsync ended
}

// lead is the writer's role: it encodes what is queued while the batch before
// is being fsynced, then writes and fsyncs its own batch and acks it. Whoever leads has its own
// entry in the queue.
func (s *Spool) lead() {
	b := s.newBatch()
	if !s.gather(b) {
		return
	}
	if len(b.waiters) == 0 { // the segment is full, or there is none
		s.bufs.Put(&b.buf)
		if s.roll() {
			s.lead()
		}
		return
	}
	s.mu.Lock()
	g := s.active
	s.mu.Unlock()
	if b.err = s.place(g, b.buf, b.at); b.err != nil {
		s.log.Error("a write failed; the segment is given up and what was not acked is written again", "segment", g.name, "error", b.err)
		s.rescue(b)
		return
	}
	s.mu.Lock()
	s.syncing = b
	s.passOn()
	s.mu.Unlock()
	s.sync(g, b)
}

// gather fills a batch until the fsync of the one before ended. It returns false
// where that one failed: its entries and the batch's have been seen to then.
func (s *Spool) gather(b *batch) bool {
	for {
		s.mu.Lock()
		if failed := s.failed; failed != nil {
			s.failed = nil
			s.mu.Unlock()
			s.rescue(failed, b)
			return false
		}
		prev := s.syncing
		taken, full := s.take(b)
		g := s.active
		var synced uint64
		if g != nil {
			synced = uint64(g.synced)
		}
		s.mu.Unlock()
		switch {
		case len(taken) > 0:
			b.encode(g, taken, synced)
		case prev == nil:
			return true
		case full:
			<-prev.done
		default:
			select {
			case <-s.kick:
			case <-prev.done:
			}
		}
	}
}

// zeros fill up entries.
var zeros [entrySize]byte

// newBatch makes an empty batch, with the buffer of one that is durable where there is one.
func (s *Spool) newBatch() *batch {
	b := &batch{done: make(chan struct{}), waiters: make([]*waiter, 0, 64), offs: make([]int, 0, 64)}
	if buf, ok := s.bufs.Get().(*[]byte); ok {
		b.buf = (*buf)[:0]
	}
	return b
}

// take moves queued entries that fit into the batch and the segment to the
// batch, and says whether the batch can take no more. The caller holds s.mu.
func (s *Spool) take(b *batch) (taken []*waiter, full bool) {
	g := s.active
	if g == nil {
		return nil, true
	}
	end, names, n := g.end, g.names, 0
	for _, w := range s.queue {
		size := w.header.size()
		last := g.count+n > 0 && (end+size > s.opts.SegmentBytes || g.count+n >= segmentRecords || names+len(w.bucket)+len(w.key) > segmentNames)
		if last || len(b.waiters)+n > 0 && int64(len(b.buf))+end-g.end+size > maxBatch {
			full = true
			break
		}
		w.taken = true
		end, names, n = end+size, names+len(w.bucket)+len(w.key), n+1
	}
	taken = s.queue[:n:n]
	s.queue = s.queue[n:]
	if len(b.waiters) == 0 {
		b.first = s.next
	}
	s.next += record.Seq(n)
	return taken, full
}

// encode appends entries to the batch, to be written behind the segment's end.
// The caller has the writer's role.
func (b *batch) encode(g *segment, taken []*waiter, synced uint64) {
	if len(b.waiters) == 0 {
		b.at = g.end
	}
	from := len(b.buf)
	for _, w := range taken {
		h := w.header
		h.seq = b.first + record.Seq(len(b.waiters))
		h.synced = synced
		w.header.seq = h.seq
		at := len(b.buf)
		b.offs = append(b.offs, at)
		b.waiters = append(b.waiters, w)
		b.buf = append(b.buf, zeros[:entrySize]...)
		b.buf = append(append(b.buf, w.meta...), w.body...)
		b.buf = append(b.buf, zeros[:int64(at)+h.size()-int64(len(b.buf))]...)
		h.put(b.buf[at:], g.nonce)
		g.names += len(w.bucket) + len(w.key)
	}
	g.count += len(taken)
	g.end += int64(len(b.buf) - from)
}

// place writes bytes into the space of a segment.
func (s *Spool) place(g *segment, data []byte, off int64) error {
	before := g.alloc
	if err := g.allocate(off+int64(len(data)), s.opts.SegmentBytes); err != nil {
		return fmt.Errorf("allocate: %w", err)
	}
	s.mu.Lock()
	s.room.used += g.alloc - before
	s.mu.Unlock()
	if _, err := g.file.WriteAt(data, off); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// passOn gives the writer's role to the next in the queue, or to nobody. The caller holds s.mu.
func (s *Spool) passOn() {
	if len(s.queue) > 0 {
		s.queue[0].lead <- struct{}{}
		return
	}
	if failed := s.failed; failed != nil { // who was to see to it has left
		s.failed = nil
		go s.rescue(failed) // whoever waits for it, waits for this; so does Close
		return
	}
	s.writing = false
	s.idle.Broadcast()
}

// sync makes a written batch durable and acks it.
func (s *Spool) sync(g *segment, b *batch) {
	err := s.fsync(g, len(b.waiters), int64(len(b.buf)))
	s.mu.Lock()
	if err != nil {
		s.totals.fsyncFailures++
		s.syncing = nil
		free := !s.writing
		if s.writing = true; !free {
			s.failed = b // the writer sees it
		}
		close(b.done)
		s.mu.Unlock()
		s.log.Error("fsync failed; the segment is given up and what was not acked is written again", "segment", g.name, "error", err)
		if free {
			s.rescue(b)
		}
		return
	}
	s.commit(g, b)
	s.bufs.Put(&b.buf)
	s.syncing = nil
	quiet := !s.writing && len(s.queue) == 0
	if quiet {
		s.writing = true
	}
	close(b.done)
	s.idle.Broadcast()
	s.mu.Unlock()
	if quiet {
		s.mark(g)
	}
}

// fsync makes a segment durable up to what was written, its name included.
func (s *Spool) fsync(g *segment, records int, bytes int64) error {
	begun := time.Now()
	s.syncs.begin(begun)
	defer func() { s.syncs.end(time.Since(begun)) }()
	err := g.file.Sync()
	if err == nil && !g.named {
		if err = s.fs.SyncDir("."); err == nil {
			g.named = true
		}
	}
	if s.opts.Events.Synced != nil {
		s.opts.Events.Synced(records, bytes, time.Since(begun), err)
	}
	return err
}

// commit acks a batch. This is the commit point: everything in it is durable.
// The caller holds s.mu.
func (s *Spool) commit(g *segment, b *batch) {
	entries := make([]memEntry, len(b.waiters))
	for i, w := range b.waiters {
		entries[i] = memEntry{
			place:  place{off: b.at + int64(b.offs[i]), size: w.header.bodyLen, bodyID: w.header.bodyID},
			bucket: w.bucket, key: w.key, hash: w.hash, copy: w.copy,
		}
		s.totals.pendingBytes += int64(w.header.bodyLen)
	}
	g.mem.Load().add(entries...)
	g.synced = max(g.synced, b.at+int64(len(b.buf)))
	g.last = b.first + record.Seq(len(b.waiters)) - 1
	s.durable = g.last
	s.totals.lastAppend = time.Now()
	close(s.moved)
	s.moved = make(chan struct{})
	s.finish(b, nil)
}

// finish tells the waiters of a batch. The caller holds s.mu.
func (s *Spool) finish(b *batch, err error) {
	for _, w := range b.waiters {
		if s.pending[w.copy] == w {
			delete(s.pending, w.copy)
		}
		w.err, w.settled = err, true
		close(w.done)
	}
}

// mark notes in the segment, after a quiet moment, how far it is durable: damage
// in the last batch is then not taken for a torn tail. It needs no fsync. The caller
// has the writer's role and gives it up here.
func (s *Spool) mark(g *segment) {
	s.mu.Lock()
	h := entryHeader{kind: kindMark, seq: s.durable, time: time.Now().UnixNano(), synced: uint64(g.synced)}
	s.mu.Unlock()
	var b [entrySize]byte
	h.put(b[:], g.nonce)
	var err error
	if g.end+entrySize <= g.alloc {
		if err = s.place(g, b[:], g.end); err == nil {
			g.end += entrySize
		}
	}
	if err != nil {
		s.log.Warn("write a mark; the segment is sealed", "segment", g.name, "error", err)
		s.seal(g)
	}
	s.mu.Lock()
	s.passOn()
	s.mu.Unlock()
}

// roll seals a full segment and begins the next one. The caller has the
// writer's role and the batches before are durable. When that fails, what is queued fails.
func (s *Spool) roll() bool {
	s.mu.Lock()
	g, first := s.active, s.next
	prev := s.lastSegment()
	s.mu.Unlock()
	if g != nil {
		s.seal(g)
		prev = g
	}
	next, err := s.createSegment(first, prev)
	if err != nil {
		s.fail(err)
		return false
	}
	s.adopt(next)
	return true
}

// lastSegment is the newest segment, nil if there is none. The caller holds s.mu.
func (s *Spool) lastSegment() *segment {
	if len(s.segs) == 0 {
		return nil
	}
	return s.segs[len(s.segs)-1]
}

// adopt makes g the active segment.
func (s *Spool) adopt(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs = append(s.segs[:len(s.segs):len(s.segs)], g)
	s.active = g
}

// fail refuses everything queued and gives up the writer's role.
func (s *Spool) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &batch{waiters: s.queue}
	s.queue = nil
	s.finish(b, fmt.Errorf("append: %w", err))
	s.passOn()
}

// rescue writes the entries of batches whose segment failed to a new segment,
// once. The failed file is never synced again: what of these entries is in it is void, since the
// next segment's header says how far it was acked. The caller has the writer's role.
func (s *Spool) rescue(batches ...*batch) {
	s.mu.Lock()
	g := s.active
	g.end = g.synced
	if g.end == 0 {
		g.end = dataStart
	}
	s.mu.Unlock()
	first := batches[0].first
	all := &batch{first: first, at: dataStart}
	for _, b := range batches {
		for i, w := range b.waiters {
			all.offs = append(all.offs, len(all.buf)+b.offs[i])
			all.waiters = append(all.waiters, w)
		}
		all.buf = append(all.buf, b.buf...)
	}
	err := s.retire(g)
	var next *segment
	if err == nil {
		next, err = s.createSegment(first, s.previous())
	}
	if err == nil {
		err = s.rewrite(next, all)
	}
	if err != nil {
		s.log.Error("write what was not acked to a new segment", "error", err)
		s.mu.Lock()
		s.next = first
		s.finish(all, fmt.Errorf("append: %w", err))
		s.passOn()
		s.mu.Unlock()
		return
	}
	s.adopt(next)
	s.mu.Lock()
	s.commit(next, all)
	s.passOn()
	s.mu.Unlock()
}

// rewrite writes the entries of a batch at the beginning of a new segment and makes them durable.
func (s *Spool) rewrite(g *segment, b *batch) error {
	for i, w := range b.waiters {
		h := w.header
		h.seq = b.first + record.Seq(i)
		h.synced = 0
		w.header.seq = h.seq
		h.put(b.buf[b.offs[i]:], g.nonce)
		g.names += len(w.bucket) + len(w.key)
	}
	g.count = len(b.waiters)
	err := s.place(g, b.buf, b.at)
	if err == nil {
		err = s.fsync(g, len(b.waiters), int64(len(b.buf)))
	}
	if err != nil {
		s.mu.Lock()
		s.room.used -= g.alloc
		s.totals.fsyncFailures++
		s.mu.Unlock()
		s.discardSegment(g)
		return err
	}
	g.end = b.at + int64(len(b.buf))
	return nil
}

// retire ends a segment that failed. One of which nothing was acked gives its
// name to the next.
func (s *Spool) retire(g *segment) error {
	s.mu.Lock()
	empty := g.last < g.first
	if empty {
		s.segs = s.segs[: len(s.segs)-1 : len(s.segs)-1]
		s.active = nil
		s.room.used -= g.alloc
	}
	s.mu.Unlock()
	if !empty {
		s.seal(g)
		return nil
	}
	_ = g.file.Close() // nothing in it is wanted
	g.file = nil
	s.files.drop(g.name)
	if err := s.fs.Remove(g.name); err != nil && !isNotExist(err) {
		return fmt.Errorf("remove a failed segment: %w", err)
	}
	return nil
}

// previous is the newest segment.
func (s *Spool) previous() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastSegment()
}

// sealForGood ends the active segment at Close, with an entry that says so.
func (s *Spool) sealForGood() error {
	s.mu.Lock()
	g := s.active
	s.mu.Unlock()
	if g == nil {
		return nil
	}
	h := entryHeader{kind: kindSeal, seq: g.last, time: time.Now().UnixNano(), synced: uint64(g.synced)}
	var b [entrySize]byte
	h.put(b[:], g.nonce)
	err := s.place(g, b[:], g.end)
	if err == nil {
		g.end += entrySize
		err = g.file.Sync()
	}
	s.seal(g)
	return err
}
