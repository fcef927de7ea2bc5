package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"indelible/internal/record"
)

const scanStep = 1 << 20

// window reads a file through a piece of it that is in memory. Not safe for concurrent use.
type window struct {
	handle *handle
	step   int // bytes to read at once, at least
	at     int64
	buf    []byte
}

// bytes returns n bytes at off, valid until the next call.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off >= w.at && off+int64(n) <= w.at+int64(len(w.buf)) {
		return w.buf[off-w.at:][:n], nil
	}
	size := max(n, w.step)
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	w.at = off
	got, err := w.handle.readSome(w.buf, off)
	w.buf = w.buf[:got]
	if err != nil && got < n {
		return nil, err
	}
	if got < n {
		return nil, w.handle.readFull(make([]byte, n), off) // says where the file ends
	}
	return w.buf[:n], nil
}

// item is an entry or a commit frame that the scan of a segment found.
type item struct {
	off, end int64
	sum      uint32 // checksum of its header
	h        entryHeader
	m        meta
	bad      string // what of the entry is damaged, "" if nothing
}

// segmentFacts is what is known about a segment from outside of it.
type segmentFacts struct {
	end   int64      // what stands at or behind this offset is void; 0: unknown
	acked record.Seq // records up to this one were acked
	upto  record.Seq // no later one can be in it; 0: unknown

	hasBody func(id uint64) (bool, error) // whether a body file is there; nil: not asked
}

// scan is what a segment holds.
type scan struct {
	index *memIndex
	end   int64 // behind the last entry that counts
	sure  int64 // so much of it was durable when its last whole frame was written
	last  record.Seq
	gaps  []gap
	cut   int64 // bytes behind end that were never acked
}

// scanSegment reads a whole segment. It fails only where the disk does: what it
// concludes, it concludes from bytes that arrived.
func scanSegment(h *handle, head segHeader, ids secret, known segmentFacts) (scan, error) {
	size, err := h.size()
	if err != nil {
		return scan{}, err
	}
	if known.end > 0 {
		size = min(size, known.end)
	}
	items, err := readItems(&window{handle: h, step: scanStep}, head, size, known.upto)
	if err != nil {
		return scan{}, err
	}
	whole, err := accepted(items, known)
	if err != nil {
		return scan{}, err
	}
	sc := collect(items[:whole], head, ids)
	sc.sure = dataStart
	for _, it := range items[:whole] {
		if it.h.kind == kindCommit {
			sc.sure = max(sc.sure, min(int64(it.h.synced), sc.end))
		}
	}
	if whole < len(items) {
		sc.cut = items[len(items)-1].end - sc.end
	}
	return sc, nil
}

// accepted is how many of the items count: all batches with a whole frame, and
// what was acked whether its batch is whole or not. What is behind them was never acked.
func accepted(items []item, known segmentFacts) (int, error) {
	end := known.end
	for _, it := range items {
		if it.h.kind == kindCommit {
			end = max(end, int64(it.h.synced))
		}
	}
	acked := func(it item) bool { return it.end <= end || it.h.seq <= known.acked }
	n := 0 // items before it count
	for i, it := range items {
		if it.h.kind != kindCommit {
			continue
		}
		begin := n // a frame before it may be damaged: what stands between was acked then
		for begin < i && items[begin].off < it.off-int64(it.h.bodyLen) {
			begin++
		}
		if !acked(it) {
			whole, err := completes(it, items[begin:i], known.hasBody)
			if err != nil {
				return 0, err
			}
			if !whole {
				break
			}
		}
		n = i + 1
	}
	for i := n; i < len(items); i++ {
		if acked(items[i]) {
			n = i + 1
		}
	}
	return n, nil
}

// completes reports whether a commit frame is that of a batch and all of the batch is whole, its
// body files too.
func completes(frame item, batch []item, hasBody func(id uint64) (bool, error)) (bool, error) {
	if len(batch) == 0 || int(frame.h.metaLen) != len(batch) || frame.h.bodyID != uint64(batch[0].h.seq) || frame.h.seq != batch[len(batch)-1].h.seq {
		return false, nil
	}
	sum := uint32(0)
	for _, it := range batch {
		if it.bad != "" || it.h.kind == kindCommit {
			return false, nil
		}
		if it.h.kind == kindFile && hasBody != nil {
			if here, err := hasBody(it.h.bodyID); err != nil || !here {
				return false, err
			}
		}
		sum = addFrameSum(sum, it.sum)
	}
	return sum == frame.h.metaCRC && int64(frame.h.bodyLen) == frame.off-batch[0].off, nil
}

// addFrameSum continues the checksum in a commit frame with that of an entry's header.
func addFrameSum(sum, header uint32) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], header)
	return crc32.Update(sum, castagnoli, b[:])
}

// readItems finds the entries and frames of a segment.
func readItems(w *window, head segHeader, size int64, upto record.Seq) ([]item, error) {
	var items []item
	seq := head.first - 1
	for off := int64(dataStart); off+entrySize <= size; {
		it, ok, err := readItem(w, head, off, size)
		if err != nil {
			return nil, err
		}
		if ok && it.h.isRecord() && (it.h.seq <= seq || upto > 0 && it.h.seq > upto) {
			ok = false
		}
		if !ok {
			next, err := findEntry(w, head, off+8, size)
			if err != nil || next < 0 {
				return items, err
			}
			off = next
			continue
		}
		if it.h.isRecord() {
			seq = it.h.seq
		}
		items = append(items, it)
		off = it.end
	}
	return items, nil
}

// readItem reads the entry or frame at off. ok is false where none stands there.
func readItem(w *window, head segHeader, off, size int64) (it item, ok bool, err error) {
	b, err := w.bytes(off, entrySize)
	if err != nil {
		return item{}, false, err
	}
	h, ok := parseEntryHeader(b, head.nonce)
	if !ok {
		return item{}, false, nil
	}
	it = item{off: off, end: off + h.size(), sum: binary.LittleEndian.Uint32(b[8:]), h: h}
	if !h.isRecord() {
		return it, true, nil
	}
	if it.end > size {
		it.end, it.bad = size, "end"
		return it, true, nil
	}
	if b, err = w.bytes(off+entrySize, int(h.metaLen)); err != nil {
		return item{}, false, err
	}
	var bad error
	if crc32.Checksum(b, castagnoli) != h.metaCRC {
		bad = errFormat
	} else {
		it.m, bad = parseMeta(b)
	}
	if bad != nil {
		it.bad = "meta block"
		return it, true, nil
	}
	if h.kind == kindInline {
		if b, err = w.bytes(off+entrySize+int64(h.metaLen), int(h.bodyLen)); err != nil {
			return item{}, false, err
		}
		if crc32.Checksum(b, castagnoli) != h.bodyCRC {
			it.bad = "body"
		}
	}
	return it, true, nil
}

// findEntry finds the next whole header from off on, -1 if there is none.
func findEntry(w *window, head segHeader, off, size int64) (int64, error) {
	nonce := binary.LittleEndian.AppendUint64(nil, head.nonce)
	for off+entrySize <= size {
		n := int(min(size-off, scanStep))
		b, err := w.bytes(off, n)
		if err != nil {
			return 0, err
		}
		for at := 0; at+8 <= n; at += 8 {
			k := bytes.Index(b[at:], nonce)
			if k < 0 {
				break
			}
			if at += k; (off+int64(at))%8 != 0 {
				at -= at % 8 // off is a multiple of 8
				continue
			}
			if n-at < entrySize && off+int64(n) < size {
				break // it goes on behind this piece
			}
			if _, ok := parseEntryHeader(b[at:], head.nonce); ok {
				return off + int64(at), nil
			}
		}
		if off+int64(n) >= size {
			return -1, nil
		}
		off += int64(n-entrySize) &^ 7
	}
	return -1, nil
}

// collect makes the index of a segment from what counts in it. Records that are
// missing between those that are there, or damaged, are gaps.
func collect(items []item, head segHeader, ids secret) scan {
	sc := scan{index: newMemIndex(), end: dataStart, last: head.first - 1}
	skip := func(upto record.Seq, off int64) {
		if upto <= sc.last || upto-sc.last > maxSegmentBytes/entrySize {
			return
		}
		sc.gaps = append(sc.gaps, gap{First: sc.last + 1, Last: upto, Cause: fmt.Sprintf("damage before %d of %s", off, segmentName(head.first))})
		for ; sc.last < upto; sc.last++ {
			sc.index.add(memEntry{})
		}
	}
	for _, it := range items {
		sc.end = it.end
		if !it.h.isRecord() {
			skip(it.h.seq, it.end)
			continue
		}
		skip(it.h.seq-1, it.off)
		e := memEntry{location: location{off: it.off, size: it.h.bodyLen, bodyID: it.h.bodyID}, bucket: it.m.bucket, key: it.m.key}
		if it.bad != "" {
			e.off = 0
			sc.gaps = append(sc.gaps, gap{First: it.h.seq, Last: it.h.seq, Cause: fmt.Sprintf("%s of the entry at %d of %s is damaged", it.bad, it.off, segmentName(head.first))})
		} else {
			e.id = ids.id(e.bucket, e.key, it.h.digest)
		}
		sc.index.add(e)
		sc.last = it.h.seq
	}
	sc.end = (sc.end + 7) &^ 7
	return sc
}
