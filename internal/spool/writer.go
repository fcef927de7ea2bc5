package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	maxBatch   = 4 << 20   // bytes written for one fsync
	earlyWrite = 128 << 10 // so much of a batch is written while the one before is being fsynced
)

// batch is a number of entries that share an fsync.
type batch struct {
	entries []*pendingEntry
	buf     []byte     // the entries as written, the commit frame last
	offs    []int      // where each begins in buf
	first   record.Seq // of the first record
	at      int64      // where buf stands in the segment
	written int        // bytes of buf that are in the file
	sum     uint32     // for the commit frame
	seg     *segment
	file    disk.File
	name    bool          // the segment's name is not durable yet
	acked   chan struct{} // closed when its entries are acked, or the batch failed
}

// writer is the write loop and what it owns. One goroutine runs it while
// something waits in the queue:
//
//	queue ─▶ fill batch ─▶ write ─▶ commit frame ─▶ fsync ─▶ index, known, high water ─▶ ack
//	              ▲ while the batch before is being fsynced          (in their order)
//
// It alone writes to the active segment and numbers records. A write or an
// fsync that fails is handled in one place, fail.
type writer struct {
	queue  *queue
	spare  *spareSegments
	segs   *segments
	known  *known
	high   *highWater
	space  *space
	fs     disk.FS
	log    *slog.Logger
	events Events
	clock  *syncClock
	health *writeHealth
	logID  string // the log's name
	wg     sync.WaitGroup

	durable  atomic.Uint64 // newest acked record
	bytes    atomic.Int64  // of the bodies acked since the start
	failures atomic.Uint64 // of fsync and write
	movedMu  sync.Mutex
	moved    chan struct{} // closed and replaced when durable moves; guarded by movedMu
	lastAck  time.Time     // guarded by movedMu

	// Owned by the loop:
	seg     *segment  // the active one; nil: none
	file    disk.File // of seg
	handle  *handle   // keeps file open, and gives it to readers
	named   bool      // seg's name is durable
	end     int64     // behind the last entry written to seg
	synced  int64     // how far seg is durable
	count   int       // records written to seg
	names   int       // bytes of their names
	noRoom  bool      // the request that is next waits for room
	next    record.Seq
	newest  *batch     // the last one that was fsynced; nil: all are acked
	results chan error // of the fsync under way; capacity 1
	bufs    sync.Pool  // of *[]byte
}

// start runs the loop in a goroutine of its own.
func (w *writer) start() { w.wg.Go(w.run) }

// run writes what waits, and returns when nothing does.
func (w *writer) run() {
	var b, syncing *batch
	for {
		if b == nil {
			b = w.newBatch()
		}
		full := w.fill(b, false)
		switch {
		case syncing != nil:
			if len(b.buf)-b.written >= earlyWrite {
				if err := w.write(b); err != nil {
					w.fail(err, w.unsynced(syncing, <-w.results), b)
					syncing, b = nil, nil
					continue
				}
			}
			done, err := w.await(full)
			switch {
			case err != nil:
				w.fail(err, syncing, b)
				syncing, b = nil, nil
			case done:
				syncing = w.unsynced(syncing, nil)
			}
		case len(b.entries) > 0:
			syncing, b = w.commit(b), nil
		case full && w.noRoom:
			w.hold()
		case full:
			w.roll()
		case w.queue.takeYield():
			w.yield()
		case w.queue.stop():
			w.bufs.Put(&b.buf)
			return
		}
	}
}

// await waits until the batch under way is fsynced or, unless full, the queue changed.
func (w *writer) await(full bool) (done bool, err error) {
	notify := w.queue.notify
	if full {
		notify = nil
	}
	select {
	case <-notify:
		return false, nil
	case err = <-w.results:
		return true, err
	}
}

// unsynced is the batch itself if its fsync failed; else it is durable.
func (w *writer) unsynced(b *batch, err error) *batch {
	if err != nil {
		return b
	}
	w.synced = b.at + int64(len(b.buf))
	return nil
}

// newBatch makes an empty batch, with the buffer of an earlier one where there is one.
func (w *writer) newBatch() *batch {
	b := &batch{entries: make([]*pendingEntry, 0, 64), offs: make([]int, 0, 64), acked: make(chan struct{})}
	if buf, ok := w.bufs.Get().(*[]byte); ok {
		b.buf = (*buf)[:0]
	}
	return b
}

// fill takes what fits from the queue into the batch, and reports whether more waits.
func (w *writer) fill(b *batch, skip bool) (full bool) {
	from := len(b.entries)
	end, names, count, size := w.end, w.names, w.count, len(b.buf)
	fits := func(e *pendingEntry) bool {
		if w.seg == nil {
			return false
		}
		n := e.header.size()
		inSegment := end+n+entrySize <= w.seg.size && count < segmentRecords && names+len(e.bucket)+len(e.key) <= segmentNames
		if !inSegment || size > 0 && int64(size)+n > maxBatch {
			return false
		}
		end, names, count, size = end+n, names+len(e.bucket)+len(e.key), count+1, size+int(n)
		return true
	}
	w.noRoom = false
	b.entries, full = w.queue.take(fits, w.admit, b.entries, skip)
	if from == 0 && len(b.entries) > 0 {
		b.first, b.at, b.seg, b.file = w.next, w.end, w.seg, w.file
	}
	for _, e := range b.entries[from:] {
		w.encode(b, e)
	}
	w.end, w.names, w.count = end, names, count
	return full
}

// admit reports whether there is room for a request of many records, so that
// one is not written by halves and then pushed back.
func (w *writer) admit(bytes int64) bool {
	if w.seg != nil {
		bytes -= w.seg.size - w.end
	}
	w.noRoom = bytes > 0 && !w.spare.room(bytes)
	return !w.noRoom
}

// zeros fill up entries.
var zeros [entrySize]byte

// encode appends an entry to the batch, under the next seq.
func (w *writer) encode(b *batch, e *pendingEntry) {
	e.header.seq = w.next
	w.next++
	at := len(b.buf)
	b.offs = append(b.offs, at)
	b.buf = append(b.buf, zeros[:]...)
	b.buf = append(append(b.buf, e.meta...), e.body...)
	b.buf = append(b.buf, zeros[:int64(at)+e.header.size()-int64(len(b.buf))]...)
	e.header.put(b.buf[at:], b.seg.nonce)
	b.sum = addFrameSum(b.sum, headerSum(b.buf[at:]))
}

// write writes what of the batch is not in the file yet.
func (w *writer) write(b *batch) error {
	if _, err := b.file.WriteAt(b.buf[b.written:], b.at+int64(b.written)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	b.written = len(b.buf)
	return nil
}

// commit ends the batch with its commit frame, writes it and has it fsynced. It
// returns the batch, or nil where it failed and was seen to.
func (w *writer) commit(b *batch) *batch {
	frame := entryHeader{
		kind: kindCommit, metaLen: uint32(len(b.entries)), metaCRC: b.sum, bodyLen: uint32(len(b.buf)),
		seq: w.next - 1, bodyID: uint64(b.first), time: time.Now().UnixNano(), synced: uint64(w.synced),
	}
	at := len(b.buf)
	b.buf = append(b.buf, zeros[:]...)
	frame.put(b.buf[at:], b.seg.nonce)
	w.end = b.at + int64(len(b.buf))
	if err := w.write(b); err != nil {
		w.fail(err, b)
		return nil
	}
	b.name, w.named = !w.named, true
	before := w.newest
	w.newest = b
	w.wg.Go(func() { w.finish(b, before) })
	return b
}

// finish makes a written batch durable and acks it, behind the one before. This
// is the commit point: once sync has returned nil, everything in the batch is durable.
func (w *writer) finish(b, before *batch) {
	defer close(b.acked)
	err := w.sync(b)
	w.results <- err // the loop goes on with the next
	if err != nil {
		return
	}
	if before != nil {
		<-before.acked
	}
	w.ack(b)
}

// sync makes a segment durable up to the end of the batch, its name included,
// and makes sure that it still has that name: what is in a removed file is gone with the process.
func (w *writer) sync(b *batch) error {
	begun := time.Now()
	w.clock.begin(begun)
	defer func() { w.clock.end(time.Since(begun)) }()
	err := b.file.Sync()
	if err != nil {
		err = fmt.Errorf("fsync: %w", err)
	} else if b.name {
		if err = w.fs.SyncDir("."); err != nil {
			err = fmt.Errorf("fsync the directory: %w", err)
		}
	}
	if err == nil {
		var linked bool
		if linked, err = b.file.Linked(); err == nil && !linked {
			err = errRemoved
		}
	}
	if w.events.Synced != nil {
		w.events.Synced(len(b.entries), int64(len(b.buf)), time.Since(begun), err)
	}
	return err
}

// ack publishes a durable batch: to the index, to the table of what is known, to
// readers, and last to those who wait.
func (w *writer) ack(b *batch) {
	last := b.first + record.Seq(len(b.entries)) - 1
	w.high.store(last)
	mem, bytes := b.seg.mem.Load(), int64(0)
	for i, e := range b.entries {
		mem.add(memEntry{
			location: location{off: b.at + int64(b.offs[i]), size: e.header.bodyLen, bodyID: e.header.bodyID},
			id:       e.id, bucket: e.bucket, key: e.key,
		})
		bytes += int64(e.header.bodyLen)
	}
	w.bytes.Add(bytes)
	b.seg.end.Store(b.at + int64(len(b.buf)))
	b.seg.last.Store(uint64(last))
	w.durable.Store(uint64(last))
	for _, e := range b.entries { // behind durable: what it names is there; before finishAll: what flies no more is known
		w.known.add(e.id)
	}
	w.queue.finishAll(b.entries, nil)
	w.health.worked()
	w.movedMu.Lock()
	w.lastAck = time.Now()
	close(w.moved)
	w.moved = make(chan struct{})
	w.movedMu.Unlock()
	w.bufs.Put(&b.buf)
}

// wait returns the newest acked record and a channel that is closed when there is a newer one.
func (w *writer) wait() (record.Seq, <-chan struct{}) {
	w.movedMu.Lock()
	defer w.movedMu.Unlock()
	return record.Seq(w.durable.Load()), w.moved
}

// fail handles a write or an fsync that failed, the only place that does: nothing
// more is written to that segment, and nothing of it is synced again, because a later sync that succeeds
// says nothing about what this one lost. What was not acked is written again to a new segment,
// whose header says how far the old one counts.
func (w *writer) fail(err error, batches ...*batch) {
	var entries []*pendingEntry
	for _, b := range batches {
		if b != nil {
			entries = append(entries, b.entries...)
		}
	}
	w.failures.Add(1)
	w.log.Error("a write to the spool failed: the segment is given up, and what was not acked is written again to a new one", "segment", w.seg.name, "error", err)
	if isFull(err) {
		w.space.full()
		err = pushback(err)
	} else {
		w.health.failed(err)
	}
	w.awaitAcks()
	w.next = record.Seq(w.durable.Load()) + 1
	w.retire(errors.Is(err, errRemoved))
	w.queue.requeue(entries, err)
}

// awaitAcks waits until every batch that was fsynced is acked.
func (w *writer) awaitAcks() {
	if w.newest != nil {
		<-w.newest.acked
		w.newest = nil
	}
}
