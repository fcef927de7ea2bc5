package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const maxBatch = 4 << 20 // bytes written for one fsync

// batch is a number of entries that share an fsync.
type batch struct {
	entries []*pendingEntry
	buf     []byte     // the entries as written, the commit frame last
	offs    []int      // where each begins in buf
	first   record.Seq // of the first record
	at      int64      // where buf stands in the segment
	sum     uint32     // for the commit frame
	seg     *segment
	file    disk.File
	name    bool // the segment's name is not durable yet
}

// writer is the write loop and what it owns. One goroutine runs it while
// something waits in the queue:
//
//	queue ─▶ fill batch ─▶ commit frame ─▶ write ─▶ fsync ─▶ index, known, high water ─▶ ack
//	  ▲                                                                                  │
//	  └──────────────────────────────── the next batch ──────────────────────────────────┘
//
// It alone writes to the active segment and numbers records. What arrives during an fsync is the next
// batch: its bodies were read and hashed meanwhile. One goroutine does it all, one step after the other, because to
// hand a step to another one takes as long as half an fsync. A write or an fsync that fails is handled
// in one place, fail.
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
	owner  *owner
	logID  string // the log's name
	wg     sync.WaitGroup

	durable  atomic.Uint64 // newest acked record
	bytes    atomic.Int64  // of the bodies acked since the start
	failures atomic.Uint64 // of fsync and write
	movedMu  sync.Mutex
	moved    chan struct{} // closed and replaced when durable moves; guarded by movedMu
	lastAck  time.Time     // guarded by movedMu

	// Owned by the loop:
	seg      *segment  // the active one; nil: none
	file     disk.File // of seg
	handle   *handle   // keeps file open, and gives it to readers
	named    bool      // seg's name is durable
	end      int64     // behind the last entry written to seg
	synced   int64     // how far seg is durable
	count    int       // records written to seg
	names    int       // bytes of their names
	noRoom   bool      // the request that is next waits for room
	next     record.Seq
	bufs     sync.Pool     // of *[]byte
	lastSync time.Duration // what the last fsync took
	missed   int           // how often in a row fillBatch waited and too few came
	skip     int           // batches for which it does not wait
}

// start runs the loop in a goroutine of its own.
func (w *writer) start() { w.wg.Go(w.run) }

// run writes what waits, and returns when nothing does.
func (w *writer) run() {
	for {
		w.queue.letCome()
		b := w.newBatch()
		full := w.fill(b, false)
		switch {
		case len(b.entries) > 0:
			w.commit(b)
			continue
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
		w.bufs.Put(&b.buf)
	}
}

// newBatch makes an empty batch, with the buffer of an earlier one where there is one.
func (w *writer) newBatch() *batch {
	b := &batch{entries: make([]*pendingEntry, 0, 64), offs: make([]int, 0, 64)}
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

// commit ends the batch with its commit frame, writes it and makes it durable. This is
// the commit point: once sync has returned nil, everything in the batch is durable, and is acked.
func (w *writer) commit(b *batch) {
	frame := entryHeader{
		kind: kindCommit, metaLen: uint32(len(b.entries)), metaCRC: b.sum, bodyLen: uint32(len(b.buf)),
		seq: w.next - 1, bodyID: uint64(b.first), time: time.Now().UnixNano(), synced: uint64(w.synced),
	}
	at := len(b.buf)
	b.buf = append(b.buf, zeros[:]...)
	frame.put(b.buf[at:], b.seg.nonce)
	w.end = b.at + int64(len(b.buf))
	b.name, w.named = !w.named, true
	if _, err := b.file.WriteAt(b.buf, b.at); err != nil {
		w.fail(fmt.Errorf("write: %w", err), b)
		return
	}
	if err := w.sync(b); err != nil {
		w.fail(err, b)
		return
	}
	w.synced = w.end
	w.ack(b)
	if len(b.entries) > 1 {
		w.fillBatch(len(b.entries))
	}
}

// fillBatch waits for those whose records were just acked: most of them have the next one soon, and
// an fsync of many records costs hardly more than one of few. It waits for nine in ten of them, at most
// four times as long as the last fsync took and 4 ms, and not at all where few records shared it. Where they do not
// come (senders that pause, or are far away), it waits ever more rarely.
func (w *writer) fillBatch(acked int) {
	waiting := w.queue.length()
	switch {
	case acked == 1:
		return
	case waiting+acked < fillBatchMin, w.skip > 0:
		w.skip = max(w.skip-1, 0)
		runtime.Gosched() // even a short pause lets some of them come
		return
	}
	if !w.queue.await(waiting + acked*9/10) {
		return
	}
	patience := time.NewTimer(min(max(4*w.lastSync, 100*time.Microsecond), 4*time.Millisecond))
	defer patience.Stop()
	select {
	case <-w.queue.filled:
		w.missed = 0
	case <-patience.C:
		if w.queue.awaitNoMore() < waiting+acked/2 {
			w.missed = min(w.missed+1, 6)
			w.skip = 1<<w.missed - 1
		}
	}
}

// fillBatchMin is how many records must have been on their way at once for fillBatch to wait.
const fillBatchMin = 8

// sync makes a segment durable up to the end of the batch, its name included,
// and makes sure that it still has that name, because what is in a removed file is gone with the process,
// and that no other process has opened the spool, because that one would not find what comes now.
func (w *writer) sync(b *batch) error {
	begun := time.Now()
	w.clock.begin(begun)
	defer func() { w.lastSync = time.Since(begun); w.clock.end(w.lastSync) }()
	err := b.file.Sync()
	if err != nil {
		err = fmt.Errorf("fsync: %w", err)
	} else if b.name {
		if err = w.fs.SyncDir("."); err != nil {
			err = fmt.Errorf("fsync the directory: %w", err)
		}
	}
	if err == nil {
		err = w.owner.check()
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
func (w *writer) fail(err error, b *batch) {
	if errors.Is(err, errOwned) {
		w.health.end(err)
		w.queue.end(err)
		w.queue.finishAll(b.entries, err)
		return
	}
	w.failures.Add(1)
	w.log.Error("a write to the spool failed: the segment is given up, and what was not acked is written again to a new one", "segment", w.seg.name, "error", err)
	if isFull(err) {
		w.space.full()
		err = pushback(err)
	} else {
		w.health.failed(err)
	}
	w.next = record.Seq(w.durable.Load()) + 1
	w.retire(errors.Is(err, errRemoved))
	w.queue.requeue(b.entries, err)
}
