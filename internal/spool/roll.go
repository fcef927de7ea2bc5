package spool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// errRemoved says that somebody removed a segment under the running process.
var errRemoved = errors.New("the file was removed under the running process: look for what removes files of the spool, and stop it")

// roll ends the active segment and begins the next one. Where there is no room for a segment it waits for some, or for an entry that fits into
// what the active one has left.
func (w *writer) roll() {
	need := max(w.queue.needed()+dataStart+entrySize, w.spare.nextSize())
	if w.queue.needed() == 0 {
		return
	}
	err := w.owner.check()
	if errors.Is(err, errOwned) {
		w.health.end(err)
		w.queue.end(err)
		return
	}
	if err == nil {
		err = w.begin(need)
	}
	if errors.Is(err, errNoSpace) && w.seg != nil && w.segs.reclaimable(w.seg) {
		w.seal() // all of it is released: its space is what we need
		w.segs.removeReleased()
		err = w.begin(need)
	}
	switch {
	case err == nil:
		return
	case errors.Is(err, errNoSpace):
		w.hold()
	default:
		w.failures.Add(1)
		w.health.failed(err)
		w.log.Error("a new segment could not be begun; records are refused until one can", "error", err)
		w.queue.failAll(pushback(err))
	}
}

// hold waits for room, and meanwhile writes what fits without.
func (w *writer) hold() {
	if w.queue.isClosed() {
		w.queue.failAll(record.ErrClosed)
		return
	}
	if b := w.newBatch(); w.seg != nil {
		w.fill(b, true)
		if len(b.entries) > 0 {
			w.commit(b)
			return
		}
	}
	if single := w.queue.neededSingle(); w.noRoom && single > 0 {
		// A small request does not wait behind a large one.
		if err := w.begin(max(single+dataStart+entrySize, w.spare.nextSize())); err == nil {
			return
		}
	}
	freed := w.space.hold()
	defer w.space.unhold()
	timer := time.NewTimer(pollSpace)
	defer timer.Stop()
	select {
	case <-freed:
	case <-timer.C:
	case <-w.queue.notify:
	}
}

// begin makes the next segment the active one. The file is written and synced
// with the first batch, its name too.
func (w *writer) begin(size int64) error {
	file, name, size, err := w.spare.get(size)
	if err != nil {
		return err
	}
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails
	head := segHeader{nonce: binary.LittleEndian.Uint64(nonce[:]), first: w.next, created: time.Now().UnixNano(), log: w.logID}
	if prev := w.segs.last(); prev != nil {
		head.prevNonce, head.prevEnd = prev.nonce, prev.end.Load()
	}
	b := make([]byte, dataStart)
	copy(b, head.append(nil))
	copy(b[headerStride:], head.append(nil))
	g := newSegment(head, size)
	if _, err = file.WriteAt(b, 0); err == nil {
		err = w.fs.Rename(name, g.name)
	}
	if err == nil {
		name = g.name
		var own disk.File
		if own, err = w.fs.OpenWrite(name); err == nil { // by the name that errors should tell
			_ = file.Close() // what was written is synced through the other one
			file = own
		}
	}
	if err != nil {
		w.spare.discard(file, name, size)
		if isFull(err) {
			w.space.full()
			return errNoSpace
		}
		return fmt.Errorf("begin segment %s: %w", g.name, err)
	}
	if w.seg != nil {
		w.leave(w.seg.first != g.first)
	}
	g.mem.Store(newMemIndex())
	w.handle = w.segs.files.share(g.name, file)
	w.seg, w.file, w.named = g, file, false
	w.end, w.synced, w.count, w.names = dataStart, dataStart, 0, 0
	w.segs.append(g)
	w.segs.active.Store(g)
	w.spare.prepare()
	return nil
}

// yield gives the space of the active segment back where everything in it was released.
func (w *writer) yield() {
	if w.seg != nil && w.segs.reclaimable(w.seg) {
		w.seal()
		w.segs.removeReleased()
	}
}

// leave ends the active segment when the next one is there. One in which nothing was written had the next one's name.
func (w *writer) leave(used bool) {
	if used {
		w.seal()
		return
	}
	g := w.seg
	w.handle.release()
	w.segs.files.forget(g.name)
	w.segs.drop(g)
	w.space.add(-g.size)
	w.seg, w.file, w.handle = nil, nil, nil
}

// seal ends the active segment: all of it is acked, and its side file is written in the background.
func (w *writer) seal() {
	g := w.seg
	w.handle.release()
	w.seg, w.file, w.handle = nil, nil, nil
	w.segs.active.Store(nil)
	w.segs.seal(g)
}

// retire ends a segment that failed. One of which nothing was acked is removed:
// the next one takes its name. One that somebody removed is read through the file that is open still.
func (w *writer) retire(removed bool) {
	if w.seg == nil {
		return
	}
	g := w.seg
	if g.newest() >= g.first {
		if removed {
			g.removed = w.segs.files.addReader(w.handle)
		}
		w.seal()
		return
	}
	w.handle.release()
	w.segs.files.forget(g.name)
	w.segs.drop(g)
	w.segs.active.Store(nil)
	w.seg, w.file, w.handle = nil, nil, nil
	if err := w.fs.Remove(g.name); err != nil && !isNotExist(err) {
		w.log.Warn("remove a failed segment; the next one replaces it", "segment", g.name, "error", err)
	}
	w.space.add(-g.size)
}
