package recorder

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"indelible/internal/disk"
)

// The files of bodies under way are frames, because what a power cut leaves of bytes that were not synced
// is not to be told from others otherwise:
//
//	+------------+------------------+-------+--
//	| length u32 | CRC-32C u32      | bytes | ...   little endian; the CRC is of the file's name, length and bytes
//	+------------+------------------+-------+--
//
// Recover believes them up to the first one that is not whole. The name is in the checksum because a power cut can leave
// blocks of a file that was removed in the place of those that were not written.
const (
	frameHeader = 8
	maxFrame    = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frames are the bytes in such a file. One goroutine at a time uses it.
type frames struct {
	file    disk.File
	salt    uint32 // of the file's name
	lengths []uint32
	ends    []int64 // where each frame's bytes end in all bytes: made by index
	size    int64   // of all bytes
}

func newFrames(file disk.File, name string) *frames {
	return &frames{file: file, salt: crc32.Checksum([]byte(name), castagnoli)}
}

// sum is the checksum of a frame.
func (f *frames) sum(header, p []byte) uint32 {
	return crc32.Update(crc32.Update(f.salt, castagnoli, header[:4]), castagnoli, p)
}

// append writes p; what is behind a frame that failed is not read. scratch is used to write header and bytes together.
func (f *frames) append(p, scratch []byte) ([]byte, error) {
	for len(p) > 0 {
		part := p[:min(len(p), maxFrame)]
		b := binary.LittleEndian.AppendUint32(scratch[:0], uint32(len(part)))
		b = binary.LittleEndian.AppendUint32(b, f.sum(b, part))
		b = append(b, part...)
		scratch = b
		if _, err := f.file.WriteAt(b, f.size+int64(len(f.lengths))*frameHeader); err != nil {
			return scratch, err
		}
		f.lengths, f.size, p = append(f.lengths, uint32(len(part))), f.size+int64(len(part)), p[len(part):]
	}
	return scratch, nil
}

// index is needed once before ReadAt.
func (f *frames) index() *frames {
	f.ends = make([]int64, len(f.lengths))
	end := int64(0)
	for i, n := range f.lengths {
		end += int64(n)
		f.ends[i] = end
	}
	return f
}

// ReadAt implements io.ReaderAt, over the bytes of all frames.
func (f *frames) ReadAt(p []byte, off int64) (n int, err error) {
	i := sort.Search(len(f.ends), func(i int) bool { return f.ends[i] > off })
	for ; n < len(p) && i < len(f.ends); i++ {
		part := p[n:min(int64(len(p)), int64(n)+f.ends[i]-off)]
		got, err := f.file.ReadAt(part, off+int64(i+1)*frameHeader)
		n, off = n+got, off+int64(got)
		if got < len(part) {
			return n, fmt.Errorf("read a body under way: %w", err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readFrames finds the frames of a file that are whole, from its start on. rest is how many bytes are behind them.
func readFrames(file disk.File, name string, size int64) (f *frames, rest int64, err error) {
	f = newFrames(file, name)
	at := int64(0)
	var buf []byte
	for size-at >= frameHeader {
		var header [frameHeader]byte
		if err := readFull(file, header[:], at); err != nil {
			return nil, 0, err
		}
		n := int64(binary.LittleEndian.Uint32(header[:]))
		if n == 0 || n > maxFrame || n > size-at-frameHeader {
			break
		}
		if int64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		if err := readFull(file, buf[:n], at+frameHeader); err != nil {
			return nil, 0, err
		}
		if f.sum(header[:], buf[:n]) != binary.LittleEndian.Uint32(header[4:]) {
			break
		}
		at += frameHeader + n
		f.lengths, f.size = append(f.lengths, uint32(n)), f.size+n
	}
	return f.index(), size - at, nil
}

func readFull(file io.ReaderAt, p []byte, off int64) error {
	if n, err := file.ReadAt(p, off); n < len(p) {
		return err
	}
	return nil
}
