package spool

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
)

// segmentBytes is a segment with a batch of one record.
func segmentBytes() (segHeader, []byte) {
	head := segHeader{nonce: 42, first: 1, created: 1, log: "l"}
	b := make([]byte, dataStart)
	copy(b, head.append(nil))
	copy(b[headerStride:], head.append(nil))
	m := meta{door: "s3", bucket: "b", key: "k", attrs: record.Attrs{{Name: "n", Value: "v"}}}.append(nil)
	h := entryHeader{kind: kindInline, metaLen: uint32(len(m)), bodyLen: 3, seq: 1, time: 1}
	b = append(b, make([]byte, h.size())...)
	h.put(b[dataStart:], 42)
	copy(b[dataStart+entrySize:], m)
	frame := entryHeader{kind: kindCommit, metaLen: 1, metaCRC: addFrameSum(0, headerSum(b[dataStart:])), bodyLen: uint32(h.size()), seq: 1, bodyID: 1}
	b = append(b, make([]byte, entrySize)...)
	frame.put(b[len(b)-entrySize:], 42)
	return head, b
}

// testFiles opens the files of d.
func testFiles(d disk.FS) *files { return newFiles(d, newReadHealth(slog.New(slog.DiscardHandler))) }

func FuzzScanSegment(f *testing.F) {
	_, b := segmentBytes()
	f.Add(b[dataStart:], int64(0), uint64(0))
	f.Add(b[dataStart:], int64(dataStart+8), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, end int64, acked uint64) {
		head, b := segmentBytes()
		b = append(b[:dataStart], data...)
		d := crashdisk.New()
		put(t, d, "s", b)
		h, err := testFiles(d).open("s")
		if err != nil {
			t.Fatal(err)
		}
		defer h.release()
		sc, err := scanSegment(h, head, secret{}, segmentFacts{end: end, acked: record.Seq(acked)})
		if err != nil {
			t.Fatal(err)
		}
		if n := sc.index.count(); record.Seq(n) != sc.last || sc.end > int64(len(b))+8 {
			t.Errorf("%d records, last %d, end %d of %d", n, sc.last, sc.end, len(b))
		}
	})
}

func FuzzIndexFile(f *testing.F) {
	x := newMemIndex()
	id := recordID{name: 1, copy: 2}
	x.add(memEntry{location: location{off: dataStart, size: 3, bodyID: 9}, bucket: "b", key: "k", id: id})
	x.add(memEntry{})
	_, _, b := encodeIdx(segHeader{nonce: 42, first: 1}, 9000, secret{}.check(), x, []gap{{First: 2, Last: 2, Cause: "c"}})
	f.Add(b[:blockPayload])
	f.Fuzz(func(t *testing.T, data []byte) {
		d := crashdisk.New()
		put(t, d, "i", sumBlocks(data))
		x, _, err := openIdx(testFiles(d), "i", secret{}.check())
		if err != nil {
			return
		}
		// It may answer anything or fail, but neither panic nor go on for ever.
		if filter, err := x.readFilter(); err == nil && len(data)%2 == 0 {
			x.filter.Store(&filter)
		}
		_, _ = x.location(0)
		_, _ = x.newest(id, "b", "k", 5)
		_ = x.ids(func(int, recordID) {})
		_, _ = x.bodyIDs()
		_, _, _ = x.firstBucket("")
		_ = x.after("b", "", func(string, int) bool { return true })
	})
}

func FuzzMeta(f *testing.F) {
	f.Add(meta{door: "s3", bucket: "b", key: "k", attrs: record.Attrs{{Name: "n", Value: "v"}}}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		again, err := parseMeta(m.append(nil))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v: %v", m, again, err)
		}
	})
}

func FuzzSegHeader(f *testing.F) {
	f.Add(segHeader{nonce: 1, first: 2, created: 3, prevNonce: 4, prevEnd: 5, log: "log"}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseSegHeader(b)
		if err == nil && !bytes.HasPrefix(b[16:], h.append(nil)[16:56]) {
			t.Errorf("%+v", h)
		}
	})
}
