package pack

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// The encodings that a pack uses, decoded here because the library's decoders trust the
// counts that they find. Every decoder is given how many values there are.

var errEncoding = errors.New("malformed values")

// bytesPlain decodes n byte strings. They alias b.
func bytesPlain(b []byte, n int) ([][]byte, error) {
	if n > len(b)/4 {
		return nil, errEncoding
	}
	list := make([][]byte, n)
	for i := range list {
		if len(b) < 4 {
			return nil, errEncoding
		}
		size := uint64(binary.LittleEndian.Uint32(b))
		if b = b[4:]; size > uint64(len(b)) {
			return nil, errEncoding
		}
		list[i], b = b[:size:size], b[size:]
	}
	if len(b) != 0 {
		return nil, errEncoding
	}
	return list, nil
}

// wordsPlain decodes n values of eight bytes.
func wordsPlain(b []byte, n int) ([]int64, error) {
	if len(b) != 8*n {
		return nil, errEncoding
	}
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return list, nil
}

// bitsPlain decodes n booleans.
func bitsPlain(b []byte, n int) ([]int64, error) {
	if len(b) != (n+7)/8 {
		return nil, errEncoding
	}
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(b[i/8] >> (i % 8) & 1)
	}
	return list, nil
}

// runs decodes n values of width bits in the hybrid of run lengths and bit packing.
func runs(b []byte, n int, width int) ([]int32, error) {
	if width < 0 || width > 31 {
		return nil, errEncoding
	}
	list := make([]int32, 0, n)
	for len(list) < n {
		head, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, errEncoding
		}
		b = b[size:]
		if head&1 == 0 { // one value, again and again
			bytes := (width + 7) / 8
			if len(b) < bytes {
				return nil, errEncoding
			}
			var v int32
			for i := range bytes {
				v |= int32(b[i]) << (8 * i)
			}
			b = b[bytes:]
			if head>>1 == 0 || head>>1 > uint64(n-len(list)) {
				return nil, errEncoding
			}
			for range head >> 1 {
				list = append(list, v)
			}
			continue
		}
		groups := head >> 1 // of eight values, which take width bytes
		if groups == 0 || groups > uint64(n) || int(groups)*width > len(b) {
			return nil, errEncoding
		}
		packed := b[:int(groups)*width]
		b = b[len(packed):]
		for i := 0; i < 8*int(groups) && len(list) < n; i++ {
			list = append(list, int32(unpack(packed, i*width, width)))
		}
	}
	return list, nil
}

// unpack is the value of width bits, at most 64, that begins at a bit.
func unpack(b []byte, bit, width int) uint64 {
	var v uint64
	for got := 0; got < width; {
		at := bit + got
		v |= uint64(b[at/8]>>(at%8)) << got
		got += 8 - at%8
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// bytesDelta decodes n byte strings of DELTA_LENGTH_BYTE_ARRAY: their lengths, then their bytes. They alias b.
func bytesDelta(b []byte, n int) ([][]byte, error) {
	sizes, b, err := deltas(b, n)
	if err != nil {
		return nil, err
	}
	list := make([][]byte, n)
	for i, size := range sizes {
		if size < 0 || size > int64(len(b)) {
			return nil, errEncoding
		}
		list[i], b = b[:size:size], b[size:]
	}
	if len(b) != 0 {
		return nil, errEncoding
	}
	return list, nil
}

// deltas decodes n integers of DELTA_BINARY_PACKED. It returns what follows them.
func deltas(b []byte, n int) (list []int64, rest []byte, err error) {
	var head [4]uint64 // block size, miniblocks a block, values, first value
	for i := range head {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, nil, errEncoding
		}
		head[i], b = v, b[size:]
	}
	block, minis := head[0], head[1]
	if head[2] != uint64(n) || n == 0 || minis == 0 || minis > 256 || block == 0 || block > 1<<16 || block%minis != 0 || block/minis%8 != 0 {
		return nil, nil, errEncoding
	}
	list = append(make([]int64, 0, n), unzigzag(head[3]))
	for len(list) < n {
		least, size := binary.Uvarint(b)
		if size <= 0 || len(b)-size < int(minis) {
			return nil, nil, errEncoding
		}
		widths := b[size : size+int(minis)]
		b = b[size+int(minis):]
		for _, width := range widths {
			if len(list) == n {
				break // the last block may be short
			}
			each := int(block / minis)
			if width > 64 || each*int(width)/8 > len(b) {
				return nil, nil, errEncoding
			}
			for i := 0; i < each && len(list) < n; i++ {
				delta := unzigzag(least) + int64(unpack(b, i*int(width), int(width)))
				list = append(list, list[len(list)-1]+delta)
			}
			b = b[each*int(width)/8:]
		}
	}
	return list, b, nil
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// widthOf is how many bits a level or an index up to most takes.
func widthOf(most int) int { return bits.Len(uint(most)) }
