package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"indelible/internal/record"
)

const (
	segmentSuffix = ".seg"
	idxSuffix     = ".idx"
)

// Limits of a segment that are no options.
const (
	maxSegmentBytes = 1 << 30
	segmentRecords  = 65536   // records of a segment: bounds its index in memory
	segmentNames    = 8 << 20 // bytes of buckets and keys of a segment: bounds it too
)

// segment is one file of entries. What is not atomic is set before anybody else
// sees it.
type segment struct {
	segHeader
	name string
	size int64 // of the file

	last    atomic.Uint64 // newest acked record, first-1 if there is none
	end     atomic.Int64  // behind the last acked entry
	damaged atomic.Bool   // something in it is a gap: it is put away, not removed
	mem     atomic.Pointer[memIndex]
	idx     atomic.Pointer[idxFile]

	inherited bool // an earlier process wrote it, and perhaps still has it open: it is not used again

	removed *handle // keeps the file that somebody removed; nil: it has its name
}

func newSegment(head segHeader, size int64) *segment {
	g := &segment{segHeader: head, name: segmentName(head.first), size: size}
	g.last.Store(uint64(head.first - 1))
	g.end.Store(dataStart)
	return g
}

// newest is the newest acked record.
func (g *segment) newest() record.Seq { return record.Seq(g.last.Load()) }

// index is the index to ask now.
func (g *segment) index() index {
	if x := g.idx.Load(); x != nil {
		return x
	}
	if m := g.mem.Load(); m != nil {
		return m
	}
	return g.idx.Load() // it came between the two
}

func segmentName(first record.Seq) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }
func idxName(first record.Seq) string     { return fmt.Sprintf("%020d%s", first, idxSuffix) }

// parseSeqName reads the seq of names such as segmentName's.
func parseSeqName(name, suffix string) (record.Seq, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' || n > (1<<63)/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return record.Seq(n), n > 0
}

// segmentOf finds the segment that holds seq among those in seq order, nil if none does.
func segmentOf(segs []*segment, seq record.Seq) *segment {
	i, ok := slices.BinarySearchFunc(segs, seq, func(g *segment, seq record.Seq) int {
		switch {
		case g.newest() < seq:
			return -1
		case g.first > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return segs[i]
}

// errUnused says that nothing of a segment was ever made durable.
var errUnused = errors.New("never used")

// readSegHeader reads the header of the segment that its name says begins with
// first: from either copy, or what of it the first entry knows. Two blank copies were never made durable.
func readSegHeader(h *handle, first record.Seq) (segHeader, error) {
	blank := true
	read := func(n int, at int64) ([]byte, error) {
		b := make([]byte, n)
		got, err := h.readSome(b, at)
		blank = blank && len(bytes.TrimRight(b[:got], "\x00")) == 0
		return b[:got], err
	}
	var bad error
	for _, at := range []int64{0, headerStride} {
		b, err := read(headerStride, at)
		if err != nil {
			return segHeader{}, err
		}
		head, err := parseSegHeader(b)
		if err == nil {
			return head, nil
		}
		if v, ok := errors.AsType[*VersionError](err); ok {
			v.File = h.name
		}
		if _, ok := errors.AsType[*VersionError](bad); !ok {
			bad = err
		}
	}
	if _, ok := errors.AsType[*VersionError](bad); ok {
		return segHeader{}, bad
	}
	headers := blank
	b, err := read(entrySize, dataStart)
	if err != nil {
		return segHeader{}, err
	}
	if len(b) == entrySize {
		nonce := binary.LittleEndian.Uint64(b)
		if e, ok := parseEntryHeader(b, nonce); ok && e.isRecord() && e.seq == first {
			return segHeader{nonce: nonce, first: first}, nil
		}
	}
	if headers {
		return segHeader{}, errUnused
	}
	return segHeader{}, bad
}
