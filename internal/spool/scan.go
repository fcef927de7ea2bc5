package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	scanStep = 1 << 20
	sector   = 512
)

// item is a stretch of a segment: an entry, or bytes that are none.
type item struct {
	off, end int64
	ok       bool // the header is whole
	h        entryHeader
	m        meta
	bad      string // what of the entry is damaged, "" if nothing
}

// scan is what a segment holds.
type scan struct {
	index  *memIndex
	end    int64 // behind the last entry that counts
	last   record.Seq
	fences []fence
	cut    int64 // bytes behind end that were never acked
}

// scanSegment reads a whole segment. limit is how far it was acked as the next segment
// tells, 0 if there is none, -1 if it does not tell; upto is the last seq that can be in it, 0 if unknown.
func scanSegment(file disk.File, head segHeader, limit int64, upto record.Seq) (scan, error) {
	size, err := file.Size()
	if err != nil {
		return scan{}, err
	}
	if limit > 0 {
		size = min(size, limit)
	}
	items := readItems(&window{handle: &handle{file: file}, step: scanStep}, head, size, upto)
	synced := int64(0)
	for _, it := range items {
		if it.ok {
			synced = max(synced, int64(min(it.h.synced, uint64(size))))
		}
		if it.ok && it.h.kind == kindSeal {
			synced = max(synced, it.end)
		}
	}
	if limit != 0 {
		synced = size
	}
	items, cut := cutTail(file, items, synced)
	sc := collect(items, head, synced)
	sc.cut = cut
	return sc, nil
}

// readItems splits a segment into entries and what is none. Zeros at the end are not mentioned.
func readItems(w *window, head segHeader, size int64, upto record.Seq) []item {
	var items []item
	seq := head.first - 1
	for off := int64(dataStart); off+entrySize <= size; {
		it, ok := readItem(w, head, off, size)
		if ok && it.h.isRecord() && (it.h.seq <= seq || upto > 0 && it.h.seq > upto) {
			ok = false
		}
		if ok {
			if it.h.isRecord() {
				seq = it.h.seq
			}
			items = append(items, it)
			off = it.end
			continue
		}
		next := findEntry(w, head, off+8, size)
		if next < 0 {
			if end := lastByte(w, off, size); end > off {
				items = append(items, item{off: off, end: end, bad: "no entry"})
			}
			break
		}
		if n := len(items); n > 0 && items[n-1].bad == "no entry" {
			items[n-1].end = next
		} else {
			items = append(items, item{off: off, end: next, bad: "no entry"})
		}
		off = next
	}
	return items
}

// readItem reads the entry at off.
func readItem(w *window, head segHeader, off, size int64) (item, bool) {
	b, err := w.bytes(off, entrySize)
	if err != nil {
		return item{}, false
	}
	h, ok := parseEntryHeader(b, head.nonce)
	if !ok {
		return item{}, false
	}
	it := item{off: off, end: off + h.size(), ok: true, h: h}
	if !h.isRecord() {
		return it, true
	}
	if it.end > size {
		it.end, it.bad = size, "end"
		return it, true
	}
	if b, err = w.bytes(off+entrySize, int(h.metaLen)); err == nil && crc32.Checksum(b, castagnoli) == h.metaCRC {
		it.m, err = parseMeta(b)
	} else {
		err = errFormat
	}
	if err != nil {
		it.bad = "meta block"
		return it, true
	}
	if h.kind == kindInline {
		if b, err = w.bytes(off+entrySize+int64(h.metaLen), int(h.bodyLen)); err != nil || crc32.Checksum(b, castagnoli) != h.bodyCRC {
			it.bad = "body"
		}
	}
	return it, true
}

// findEntry finds the next whole entry header from off on, -1 if there is none.
func findEntry(w *window, head segHeader, off, size int64) int64 {
	nonce := binary.LittleEndian.AppendUint64(nil, head.nonce)
	for off+entrySize <= size {
		n := int(min(size-off, scanStep))
		b, err := w.bytes(off, n)
		if err != nil {
			off += 4096 - off%4096 // an unreadable page
			continue
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
				return off + int64(at)
			}
		}
		if off+int64(n) >= size {
			return -1
		}
		off += int64(n-entrySize) &^ 7
	}
	return -1
}

// lastByte finds the end of what is not zero from off on.
func lastByte(w *window, off, size int64) int64 {
	last := off
	for at := off; at < size; {
		n := int(min(size-at, scanStep))
		b, err := w.bytes(at, n)
		if err != nil {
			return size
		}
		if k := len(bytes.TrimRight(b, "\x00")); k > 0 {
			last = at + int64(k)
		}
		at += int64(n)
	}
	return last
}

// cutTail cuts off what was written last and not fsynced, of which nothing was
// acked, and says how many bytes that were. What is damaged below synced stays: it was acked. Behind
// it, the last thing in the file is a torn tail; so is one with whole entries behind it where
// a sector of zeros shows that the disk had not got to it. Anything else there is damage.
func cutTail(file disk.File, items []item, synced int64) ([]item, int64) {
	for i, it := range items {
		if it.bad == "" || it.off < synced {
			continue
		}
		whole := false
		for _, behind := range items[i+1:] {
			whole = whole || behind.bad == ""
		}
		if !whole || hasZeroSector(file, it.off, it.end) {
			return items[:i], items[len(items)-1].end - it.off
		}
	}
	return items, 0
}

// hasZeroSector says whether a sector between off and end was never written.
func hasZeroSector(file disk.File, off, end int64) bool {
	var b [sector]byte
	for at := off / sector * sector; at < end; at += sector {
		from, to := max(at, off), min(at+sector, end)
		if from > off && to-from < 64 {
			continue // too little to tell; at off itself the nonce would stand
		}
		part := b[:to-from]
		if got, _ := file.ReadAt(part, from); got < len(part) {
			return true
		}
		if len(bytes.TrimRight(part, "\x00")) == 0 {
			return true
		}
	}
	return false
}

// collect makes the index and the fences of a segment.
func collect(items []item, head segHeader, synced int64) scan {
	sc := scan{index: newMemIndex(), end: dataStart, last: head.first - 1}
	skip := func(upto record.Seq, off int64) {
		if upto <= sc.last {
			return
		}
		cause := fmt.Sprintf("damage before %d of %s", off, segmentName(head.first))
		if off > synced {
			cause += ", in bytes that may never have been acked"
		}
		sc.fences = append(sc.fences, fence{First: sc.last + 1, Last: upto, Cause: cause})
		for ; sc.last < upto; sc.last++ {
			sc.index.add(memEntry{})
		}
	}
	for _, it := range items {
		sc.end = it.end
		if !it.ok {
			continue
		}
		if !it.h.isRecord() {
			if it.h.seq-head.first < maxSegmentBytes/entrySize {
				skip(it.h.seq, it.end)
			}
			continue
		}
		skip(it.h.seq-1, it.off)
		if it.bad != "" {
			cause := fmt.Sprintf("%s of the entry at %d of %s is damaged", it.bad, it.off, segmentName(head.first))
			if it.off >= synced {
				cause += ", in bytes that may never have been acked"
			}
			sc.fences = append(sc.fences, fence{First: it.h.seq, Last: it.h.seq, Cause: cause})
		}
		e := memEntry{place: place{off: it.off, size: it.h.bodyLen, bodyID: it.h.bodyID}, bucket: it.m.bucket, key: it.m.key}
		if it.bad != "" {
			e.off = 0
		}
		e.hash = keyHash(e.bucket, e.key)
		e.copy = copyHash(e.hash, it.h.digest)
		sc.index.add(e)
		sc.last = it.h.seq
	}
	sc.end = (sc.end + 7) &^ 7
	return sc
}
