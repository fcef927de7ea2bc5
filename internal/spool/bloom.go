package spool

import "math/bits"

// A bloom filter in lines of 64 bytes: all bits of one hash are in one line, so
// that a filter on the disk answers with one read. About 10 bits a hash.
const (
	bloomLine = 64
	bloomBits = 10
	bloomKeys = 6 // bits set per hash
)

// newBloom makes an empty filter for n hashes.
func newBloom(n int) []byte {
	return make([]byte, (n*bloomBits/(bloomLine*8)+1)*bloomLine)
}

// bloomAt is the offset of the hash's line in a filter of that many bytes.
func bloomAt(size int, hash uint64) int {
	line, _ := bits.Mul64(hash, uint64(size/bloomLine))
	return int(line) * bloomLine
}

func bloomAdd(filter []byte, hash uint64) {
	line := filter[bloomAt(len(filter), hash):]
	for h, i := hash*0x9e3779b97f4a7c15, 0; i < bloomKeys; h, i = h>>9, i+1 {
		line[h&511/8] |= 1 << (h & 7)
	}
}

// bloomHas says whether the hash may be in the filter whose line this is.
func bloomHas(line []byte, hash uint64) bool {
	for h, i := hash*0x9e3779b97f4a7c15, 0; i < bloomKeys; h, i = h>>9, i+1 {
		if line[h&511/8]&(1<<(h&7)) == 0 {
			return false
		}
	}
	return true
}
