package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	blockSize    = 4096
	blockPayload = blockSize - 4
)

// sumBlocks cuts data into blocks of 4092 bytes, each followed by its CRC32C,
// which also covers the number of the block.
func sumBlocks(data []byte) []byte {
	out := make([]byte, 0, (len(data)/blockPayload+1)*blockSize)
	for n := uint64(0); len(data) > 0; n++ {
		var block [blockSize]byte
		used := copy(block[:blockPayload], data)
		data = data[used:]
		binary.LittleEndian.PutUint32(block[blockPayload:], blockSum(n, block[:blockPayload]))
		out = append(out, block[:]...)
	}
	return out
}

func blockSum(n uint64, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.LittleEndian.AppendUint64(nil, n), castagnoli), castagnoli, payload)
}

// blockReader reads what sumBlocks wrote, by position in the data, and fails on any
// damage. It keeps the block it read last; not safe for concurrent use.
type blockReader struct {
	file  *handle
	block uint64 // the number of the block in buf, plus 1
	buf   [blockSize]byte
}

// read fills b with the data at off.
func (r *blockReader) read(b []byte, off int64) error {
	for len(b) > 0 {
		n := uint64(off / blockPayload)
		if r.block != n+1 {
			r.block = 0
			if err := r.file.readFull(r.buf[:], int64(n)*blockSize); err != nil {
				return fmt.Errorf("block %d of a side file: %w", n, err)
			}
			if blockSum(n, r.buf[:blockPayload]) != binary.LittleEndian.Uint32(r.buf[blockPayload:]) {
				return fmt.Errorf("block %d of a side file: %w", n, errFormat)
			}
			r.block = n + 1
		}
		used := copy(b, r.buf[off%blockPayload:blockPayload])
		b = b[used:]
		off += int64(used)
	}
	return nil
}
