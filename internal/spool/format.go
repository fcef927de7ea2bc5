package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"time"

	"indelible/internal/record"
)

// Version is the version of the files that a spool consists of.
const Version = 2

const (
	segmentMagic  = "INDSEG02" // the digits are Version
	magicPrefix   = "INDSEG"
	headerStride  = 4096             // the second copy of the segment header stands here
	dataStart     = 2 * headerStride // the first entry stands here
	segHeaderSize = 64               // without the log's name
	entrySize     = 96               // bytes of an entry's header
	maxLogName    = 255
	maxMeta       = record.MaxKey + record.MaxAttrs + 64<<10 // door, source and bucket share the rest
)

// kind says what an entry is.
type kind uint8

const (
	kindInline kind = 1 // a record, its body follows the meta block
	kindFile   kind = 2 // a record, its body is the file bodies/<body id>
	kindCommit kind = 3 // a commit frame: the entries before it, back to the frame before, are one batch
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errFormat is the cause of everything that does not parse.
var errFormat = errors.New("damaged")

// VersionError says that another version of this program wrote the spool. Nothing
// of it was read or changed.
type VersionError struct {
	File    string // what was met, below the spool's directory
	Version string // its format
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has format version %s, this program reads version %d: deliver what is in it with the version that wrote it (until its status says pending 0), then start this one with an empty spool directory", e.File, e.Version, Version)
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" && s != "" }

// segHeader is the beginning of a segment.
type segHeader struct {
	nonce     uint64     // random, part of every entry header
	first     record.Seq // the seq of the first record
	created   int64      // Unix nanoseconds
	prevNonce uint64     // of the segment before it, 0 if there is none
	prevEnd   int64      // where the acked entries of the segment before end; what is behind is void
	log       string
}

// append encodes h as it stands at offset 0 and at headerStride.
func (h segHeader) append(b []byte) []byte {
	at := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.log)))
	b = binary.LittleEndian.AppendUint64(b, h.nonce)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.created))
	b = binary.LittleEndian.AppendUint64(b, h.prevNonce)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.prevEnd))
	b = append(b, make([]byte, 8)...)
	b = append(b, h.log...)
	binary.LittleEndian.PutUint32(b[at+8:], crc32.Checksum(b[at+12:], castagnoli))
	return b
}

// parseSegHeader reads one copy of a segment header from the beginning of b.
func parseSegHeader(b []byte) (segHeader, error) {
	if len(b) < segHeaderSize {
		return segHeader{}, fmt.Errorf("segment header: %w", errFormat)
	}
	if magic := string(b[:8]); magic != segmentMagic {
		if digits, ok := strings.CutPrefix(magic, magicPrefix); ok && isDigits(digits) {
			return segHeader{}, &VersionError{Version: digits}
		}
		return segHeader{}, fmt.Errorf("segment header: %w", errFormat)
	}
	n := segHeaderSize + int(binary.LittleEndian.Uint16(b[14:]))
	if len(b) < n || crc32.Checksum(b[12:n], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return segHeader{}, fmt.Errorf("segment header: %w", errFormat)
	}
	if v := binary.LittleEndian.Uint16(b[12:]); v != Version {
		return segHeader{}, &VersionError{Version: strconv.Itoa(int(v))}
	}
	return segHeader{
		nonce:     binary.LittleEndian.Uint64(b[16:]),
		first:     record.Seq(binary.LittleEndian.Uint64(b[24:])),
		created:   int64(binary.LittleEndian.Uint64(b[32:])),
		prevNonce: binary.LittleEndian.Uint64(b[40:]),
		prevEnd:   int64(binary.LittleEndian.Uint64(b[48:])),
		log:       string(b[segHeaderSize:n]),
	}, nil
}

// entryHeader is the fixed part of an entry. A commit frame is an entry header
// alone, with other meanings: metaLen is the number of records of the batch,
// metaCRC the checksum over the checksums of their headers, bodyLen the bytes of the batch before
// the frame, seq the last record and bodyID the first.
type entryHeader struct {
	kind    kind
	metaLen uint32
	metaCRC uint32
	bodyLen uint32
	bodyCRC uint32 // of the body, or of the chunk checksums of a body file
	seq     record.Seq
	time    int64  // Unix nanoseconds
	synced  uint64 // of a commit frame: so many bytes of the segment were durable when it was written; else 0
	bodyID  uint64
	digest  record.Digest
}

// size is the number of bytes that the entry takes in the segment.
func (h entryHeader) size() int64 {
	if h.kind == kindCommit {
		return entrySize
	}
	n := int64(entrySize) + int64(h.metaLen)
	if h.kind == kindInline {
		n += int64(h.bodyLen)
	}
	return (n + 7) &^ 7
}

// isRecord tells records from commit frames.
func (h entryHeader) isRecord() bool { return h.kind == kindInline || h.kind == kindFile }

// put encodes h into b[:entrySize].
func (h entryHeader) put(b []byte, nonce uint64) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], nonce)
	le.PutUint32(b[12:], uint32(h.kind))
	le.PutUint32(b[16:], h.metaLen)
	le.PutUint32(b[20:], h.metaCRC)
	le.PutUint32(b[24:], h.bodyLen)
	le.PutUint32(b[28:], h.bodyCRC)
	le.PutUint64(b[32:], uint64(h.seq))
	le.PutUint64(b[40:], uint64(h.time))
	le.PutUint64(b[48:], h.synced)
	le.PutUint64(b[56:], h.bodyID)
	copy(b[64:96], h.digest[:])
	le.PutUint32(b[8:], headerSum(b))
}

// headerSum is the checksum of an encoded entry header. The nonce is part of
// it, so bytes of another segment, or of a body that looks like one, never pass.
func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[0:8], castagnoli), castagnoli, b[12:entrySize])
}

// parseEntryHeader reads an entry header of the segment with that nonce.
func parseEntryHeader(b []byte, nonce uint64) (entryHeader, bool) {
	le := binary.LittleEndian
	if len(b) < entrySize || le.Uint64(b) != nonce || le.Uint32(b[8:]) != headerSum(b) {
		return entryHeader{}, false
	}
	k := le.Uint32(b[12:])
	h := entryHeader{
		kind:    kind(k),
		metaLen: le.Uint32(b[16:]),
		metaCRC: le.Uint32(b[20:]),
		bodyLen: le.Uint32(b[24:]),
		bodyCRC: le.Uint32(b[28:]),
		seq:     record.Seq(le.Uint64(b[32:])),
		time:    int64(le.Uint64(b[40:])),
		synced:  le.Uint64(b[48:]),
		bodyID:  le.Uint64(b[56:]),
	}
	copy(h.digest[:], b[64:96])
	switch k {
	case uint32(kindInline), uint32(kindFile):
		return h, h.metaLen <= maxMeta && h.bodyLen <= record.MaxBody
	case uint32(kindCommit):
		return h, true
	}
	return h, false
}

// meta is what an entry says about its record in its variable part.
type meta struct {
	door, source, bucket, key string
	attrs                     record.Attrs
}

// append encodes m: counted strings, then the number of attributes and theirs.
func (m meta) append(b []byte) []byte {
	for _, s := range []string{m.door, m.source, m.bucket, m.key} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(m.attrs)))
	for _, a := range m.attrs {
		b = appendString(appendString(b, a.Name), a.Value)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parseMeta reads what meta.append wrote, and nothing more.
func parseMeta(b []byte) (meta, error) {
	var m meta
	for _, s := range []*string{&m.door, &m.source, &m.bucket, &m.key} {
		if !cutString(&b, s) {
			return meta{}, fmt.Errorf("meta block: %w", errFormat)
		}
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)) {
		return meta{}, fmt.Errorf("meta block: %w", errFormat)
	}
	b = b[used:]
	if n > 0 {
		m.attrs = make(record.Attrs, n)
	}
	for i := range m.attrs {
		if !cutString(&b, &m.attrs[i].Name) || !cutString(&b, &m.attrs[i].Value) {
			return meta{}, fmt.Errorf("meta block: %w", errFormat)
		}
	}
	if len(b) != 0 {
		return meta{}, fmt.Errorf("meta block: %w", errFormat)
	}
	return m, nil
}

// cutString takes a counted string from the beginning of b.
func cutString(b *[]byte, s *string) bool {
	n, used := binary.Uvarint(*b)
	if used <= 0 || n > math.MaxInt32 || uint64(len(*b)-used) < n {
		return false
	}
	*s = string((*b)[used : used+int(n)])
	*b = (*b)[used+int(n):]
	return true
}

// info joins the two parts of an entry.
func (h entryHeader) info(m meta) record.Info {
	return record.Info{
		Seq: h.seq, Time: time.Unix(0, h.time).UTC(),
		Door: m.door, Source: m.source, Bucket: m.bucket, Key: m.key, Attrs: m.attrs,
		Size: int64(h.bodyLen), Digest: h.digest,
	}
}
