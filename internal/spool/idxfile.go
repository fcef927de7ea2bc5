package spool

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"indelible/internal/record"
)

const (
	idxMagic      = "INDIDX02"
	idxHeaderSize = 128
	locationSize  = 12 // offset, size, flags
	orderSize     = 8  // name position, record position
	idSize        = 16 // name and copy of a recordID
	idxBodySize   = 12 // record position, body id
)

// idxHeader is the beginning of a side file, and all of it that stays in memory
// next to the filter.
type idxHeader struct {
	nonce  uint64     // of the segment it belongs to
	first  record.Seq // of the segment
	n      int        // records, fenced ones included
	named  int        // records in the name table
	secret uint64     // check of the secret that the identities are made with
	bodies int        // records with a body file
	end    int64      // of the segment's entries
	total  int64      // bytes of bodies
	bloom  int        // bytes of the filter
	names  int        // bytes of the names
	causes int        // bytes of the fences
}

func (h idxHeader) bloomPos() int64    { return idxHeaderSize }
func (h idxHeader) locationPos() int64 { return h.bloomPos() + int64(h.bloom) }
func (h idxHeader) orderPos() int64    { return h.locationPos() + int64(h.n)*locationSize }
func (h idxHeader) idPos() int64       { return h.orderPos() + int64(h.named)*orderSize }
func (h idxHeader) bodyPos() int64     { return h.idPos() + int64(h.n)*idSize }
func (h idxHeader) namePos() int64     { return h.bodyPos() + int64(h.bodies)*idxBodySize }
func (h idxHeader) causePos() int64    { return h.namePos() + int64(h.names) }
func (h idxHeader) fileSize() int64    { return h.causePos() + int64(h.causes) }
func (h idxHeader) plausible() bool {
	for _, n := range []int64{int64(h.n), int64(h.named), int64(h.bodies), int64(h.bloom), int64(h.names), int64(h.causes)} {
		if n < 0 || n > 1<<31 {
			return false
		}
	}
	return h.bloom > 0 && h.bloom%bloomLine == 0 && h.named <= h.n && h.bodies <= h.n
}

func (h idxHeader) append(b []byte) []byte {
	at := len(b)
	le := binary.LittleEndian
	b = append(b, idxMagic...)
	for _, v := range []uint64{
		h.nonce, uint64(h.first), uint64(h.n), uint64(h.named), h.secret, uint64(h.bodies),
		uint64(h.end), uint64(h.total), uint64(h.bloom), uint64(h.names), uint64(h.causes),
	} {
		b = le.AppendUint64(b, v)
	}
	return append(b, make([]byte, idxHeaderSize-(len(b)-at))...)
}

func parseIdxHeader(b []byte) (idxHeader, error) {
	if len(b) < idxHeaderSize || string(b[:8]) != idxMagic {
		return idxHeader{}, fmt.Errorf("side file: %w", errFormat)
	}
	v := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	h := idxHeader{
		nonce: v(0), first: record.Seq(v(1)), n: int(v(2)), named: int(v(3)), secret: v(4), bodies: int(v(5)),
		end: int64(v(6)), total: int64(v(7)), bloom: int(v(8)), names: int(v(9)), causes: int(v(10)),
	}
	if !h.plausible() {
		return idxHeader{}, fmt.Errorf("side file: %w", errFormat)
	}
	return h, nil
}

// encodeIdx is the side file of a segment, with its header and filter.
func encodeIdx(head segHeader, end int64, check uint64, x *memIndex, list []gap) (idxHeader, []byte, []byte) {
	v, order := x.sorted()
	order = slices.DeleteFunc(slices.Clone(order), func(i int32) bool { return v.at(int(i)).key == "" })
	h := idxHeader{nonce: head.nonce, first: head.first, n: v.n, named: len(order), secret: check, end: end, total: x.bytes()}
	filter := newBloom(len(order))
	h.bloom = len(filter)
	le := binary.LittleEndian
	var locations, table, ids, names, bodies []byte
	for i := range v.n {
		e := v.at(i)
		locations = le.AppendUint32(le.AppendUint32(locations, uint32(e.off)), e.size)
		locations = le.AppendUint32(locations, boolBit(e.bodyID != 0))
		ids = le.AppendUint64(le.AppendUint64(ids, e.id.name), e.id.copy)
		if e.bodyID != 0 {
			bodies = le.AppendUint64(le.AppendUint32(bodies, uint32(i)), e.bodyID)
			h.bodies++
		}
	}
	for _, i := range order {
		e := v.at(int(i))
		bloomAdd(filter, e.id.name)
		table = le.AppendUint32(le.AppendUint32(table, uint32(len(names))), uint32(i))
		names = appendString(appendString(names, e.bucket), e.key)
	}
	causes := appendGapList(nil, list)
	h.names, h.causes = len(names), len(causes)
	data := h.append(make([]byte, 0, h.fileSize()))
	for _, part := range [][]byte{filter, locations, table, ids, bodies, names, causes} {
		data = append(data, part...)
	}
	return h, filter, sumBlocks(data)
}

func boolBit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// idxFile is the index of a sealed segment, read from its side file piece by
// piece. Safe for concurrent use.
type idxFile struct {
	idxHeader
	name   string
	files  *files
	check  uint64                 // of the spool's secret: filter and identities count where it is the header's
	filter atomic.Pointer[[]byte] // nil: not in memory, but on the disk
}

// use calls do with a reader of the side file.
func (x *idxFile) use(do func(r *blockReader) error) error {
	h, err := x.files.open(x.name)
	if err != nil {
		return err
	}
	defer h.release()
	return do(&blockReader{file: h})
}

// may says whether the hash may be in the segment, as the filter on the disk has it.
func (x *idxFile) may(r *blockReader, hash uint64) (bool, error) {
	var line [bloomLine]byte
	if err := r.read(line[:], x.bloomPos()+int64(bloomAt(x.bloom, hash))); err != nil {
		return false, err
	}
	return bloomHas(line[:], hash), nil
}

// mayInMemory answers from the filter in memory without opening the file.
func (x *idxFile) mayInMemory(hash uint64) bool {
	f := x.filter.Load()
	if f == nil {
		return true
	}
	at := bloomAt(len(*f), hash)
	return bloomHas((*f)[at:at+bloomLine], hash)
}

// readFilter reads the filter from the disk.
func (x *idxFile) readFilter() ([]byte, error) {
	filter := make([]byte, x.bloom)
	return filter, x.use(func(r *blockReader) error { return r.read(filter, x.bloomPos()) })
}

func (x *idxFile) location(i int) (p location, err error) {
	err = x.use(func(r *blockReader) error {
		p, err = x.readLocation(r, i)
		return err
	})
	return p, err
}

func (x *idxFile) readLocation(r *blockReader, i int) (location, error) {
	var b [locationSize]byte
	if err := r.read(b[:], x.locationPos()+int64(i)*locationSize); err != nil {
		return location{}, err
	}
	p := location{off: int64(binary.LittleEndian.Uint32(b[:])), size: binary.LittleEndian.Uint32(b[4:])}
	if b[8] == 0 {
		return p, nil
	}
	var found error
	at := sort.Search(x.bodies, func(k int) bool {
		pos, id, err := x.readBody(r, k)
		if err != nil {
			found = err
		}
		if pos == i {
			p.bodyID = id
		}
		return pos >= i
	})
	if found == nil && (at == x.bodies || p.bodyID == 0) {
		found = fmt.Errorf("side file: body of record %d: %w", i, errFormat)
	}
	return p, found
}

func (x *idxFile) readBody(r *blockReader, k int) (int, uint64, error) {
	var b [idxBodySize]byte
	err := r.read(b[:], x.bodyPos()+int64(k)*idxBodySize)
	return int(binary.LittleEndian.Uint32(b[:])), binary.LittleEndian.Uint64(b[4:]), err
}

// readName reads line k of the name table.
func (x *idxFile) readName(r *blockReader, k int) (bucket, key string, i int, err error) {
	var b [orderSize]byte
	if err := r.read(b[:], x.orderPos()+int64(k)*orderSize); err != nil {
		return "", "", 0, err
	}
	pos, i := int64(binary.LittleEndian.Uint32(b[:])), int(binary.LittleEndian.Uint32(b[4:]))
	if i >= x.n {
		return "", "", 0, fmt.Errorf("side file: name %d: %w", k, errFormat)
	}
	for _, s := range []*string{&bucket, &key} {
		if pos, err = x.readString(r, pos, s); err != nil {
			return "", "", 0, err
		}
	}
	return bucket, key, i, nil
}

// readString reads a counted string at pos of the names and returns the position behind it.
func (x *idxFile) readString(r *blockReader, pos int64, s *string) (int64, error) {
	if pos >= int64(x.names) {
		return 0, fmt.Errorf("side file: name: %w", errFormat)
	}
	length := make([]byte, min(4, int64(x.names)-pos))
	if err := r.read(length, x.namePos()+pos); err != nil {
		return 0, err
	}
	n, used := binary.Uvarint(length)
	if used <= 0 || n > maxMeta || pos+int64(used)+int64(n) > int64(x.names) {
		return 0, fmt.Errorf("side file: name: %w", errFormat)
	}
	b := make([]byte, n)
	if err := r.read(b, x.namePos()+pos+int64(used)); err != nil {
		return 0, err
	}
	*s = string(b)
	return pos + int64(used) + int64(n), nil
}

// search finds the first line of the name table whose bucket, key and position are not
// less than these.
func (x *idxFile) search(r *blockReader, bucket, key string, pos int) (int, error) {
	var failed error
	k := sort.Search(x.named, func(k int) bool {
		b, n, i, err := x.readName(r, k)
		if err != nil {
			failed = err
		}
		return compareNames(b, n, bucket, key, i, pos) >= 0
	})
	return k, failed
}

func (x *idxFile) newest(id recordID, bucket, key string, limit int) (found int, err error) {
	found = -1
	if x.secret == x.check && !x.mayInMemory(id.name) {
		return -1, nil
	}
	err = x.use(func(r *blockReader) error {
		if x.secret == x.check && x.filter.Load() == nil {
			if may, err := x.may(r, id.name); err != nil || !may {
				return err
			}
		}
		k, err := x.search(r, bucket, key, limit)
		if err != nil || k == 0 {
			return err
		}
		b, n, i, err := x.readName(r, k-1)
		if err == nil && b == bucket && n == key {
			found = i
		}
		return err
	})
	return found, err
}

// ids yields nothing where the identities are of another secret.
func (x *idxFile) ids(yield func(i int, id recordID)) error {
	if x.secret != x.check {
		return nil
	}
	return x.use(func(r *blockReader) error {
		b := make([]byte, min(x.n, 4096)*idSize)
		for i := 0; i < x.n; {
			part := b[:min(len(b), (x.n-i)*idSize)]
			if err := r.read(part, x.idPos()+int64(i)*idSize); err != nil {
				return err
			}
			for ; len(part) > 0; part, i = part[idSize:], i+1 {
				id := recordID{binary.LittleEndian.Uint64(part), binary.LittleEndian.Uint64(part[8:])}
				if id != (recordID{}) {
					yield(i, id)
				}
			}
		}
		return nil
	})
}

func (x *idxFile) after(bucket, from string, yield func(key string, i int) bool) error {
	return x.use(func(r *blockReader) error {
		k, err := x.search(r, bucket, from, 0)
		if err != nil || k == x.named {
			return err
		}
		b, key, i, err := x.readName(r, k)
		for err == nil && b == bucket {
			last, lastKey := i, key
			b = ""
			for k++; k < x.named; k++ {
				if b, key, i, err = x.readName(r, k); err != nil || b != bucket || key != lastKey {
					break
				}
				last = i
			}
			if err != nil || !yield(strings.Clone(lastKey), last) || k >= x.named {
				return err
			}
		}
		return err
	})
}

func (x *idxFile) firstBucket(from string) (bucket string, ok bool, err error) {
	err = x.use(func(r *blockReader) error {
		k, err := x.search(r, from, "", 0)
		if err != nil || k == x.named {
			return err
		}
		ok = true
		bucket, _, _, err = x.readName(r, k)
		return err
	})
	return bucket, ok, err
}

func (x *idxFile) count() int   { return x.n }
func (x *idxFile) bytes() int64 { return x.total }

func (x *idxFile) bodyIDs() (ids []uint64, err error) {
	if x.bodies == 0 {
		return nil, nil
	}
	err = x.use(func(r *blockReader) error {
		for k := range x.bodies {
			_, id, err := x.readBody(r, k)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// openIdx opens the side file of a segment and checks that it is whole as far
// as its header goes. Its filter is not in memory.
func openIdx(files *files, name string, check uint64) (*idxFile, []gap, error) {
	x := &idxFile{name: name, files: files, check: check}
	var list []gap
	err := x.use(func(r *blockReader) error {
		var b [idxHeaderSize]byte
		err := r.read(b[:], 0)
		if err != nil {
			return err
		}
		if x.idxHeader, err = parseIdxHeader(b[:]); err != nil {
			return err
		}
		size, err := r.file.size()
		if err != nil {
			return err
		}
		if size < (x.fileSize()+blockPayload-1)/blockPayload*blockSize {
			return fmt.Errorf("side file: %w", errFormat)
		}
		causes := make([]byte, x.causes)
		if err := r.read(causes, x.causePos()); err != nil {
			return err
		}
		list, err = parseGaps(causes)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return x, list, nil
}
