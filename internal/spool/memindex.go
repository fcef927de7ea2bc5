package spool

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"indelible/internal/record"
)

// place is where a record stands in its segment.
type place struct {
	off    int64 // of the entry; 0: the record is unreadable
	size   uint32
	bodyID uint64 // 0: the body is inline
}

// index finds the records of one segment. memIndex is the active segment's,
// idxFile a sealed one's.
type index interface {
	// place finds a record by its position in the segment.
	place(i int) (place, error)
	// newest finds the last record under bucket and key below position limit, -1 if there is none.
	newest(bucket, key string, hash uint64, limit int) (int, error)
	// copies finds the positions of the records that may have this copy hash.
	copies(hash uint64) ([]int, error)
	// after yields the last record of each key that is >= from, in key order,
	// as long as yield says so.
	after(bucket, from string, yield func(key string, i int) bool) error
	// firstBucket finds the least bucket name >= from.
	firstBucket(from string) (string, bool, error)
	// count is the number of records, fenced ones included.
	count() int
	// bytes is the sum of the body sizes.
	bytes() int64
	// bodyIDs are the ids of the body files.
	bodyIDs() ([]uint64, error)
}

// keyHash is the hash under which a name is found, copyHash the one under
// which the same bytes under the same name are. They are cut from SHA-256 so that nobody can
// make keys that collide.
func keyHash(bucket, key string) uint64 {
	b := make([]byte, 0, 256)
	b = appendString(b, bucket)
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

func copyHash(keyHash uint64, digest record.Digest) uint64 {
	return keyHash*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(digest[:])
}

// memEntry is one record of a memIndex.
type memEntry struct {
	place
	bucket, key string // "" key: unreadable
	hash, copy  uint64
	prev        int32 // the record before with the same key hash, -1
}

// memIndex is an index in memory. Safe for concurrent use; it only grows.
type memIndex struct {
	mu      sync.RWMutex
	entries []memEntry
	byKey   map[uint64]int32 // newest by key hash
	byCopy  map[uint64]int32 // newest by copy hash: those before it were released or damaged when it came
	bodies  []uint64
	total   int64
	held    int     // bytes of names
	order   []int32 // entries[:len(order)] by bucket, key, position
}

func newMemIndex() *memIndex {
	return &memIndex{byKey: map[uint64]int32{}, byCopy: map[uint64]int32{}}
}

// add appends records.
func (x *memIndex) add(entries ...memEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range entries {
		i := int32(len(x.entries))
		e.prev = -1
		if e.key != "" {
			if p, ok := x.byKey[e.hash]; ok {
				e.prev = p
			}
			x.byKey[e.hash] = i
			if e.off != 0 {
				x.byCopy[e.copy] = i
			}
		}
		x.entries = append(x.entries, e)
		x.total += int64(e.size)
		x.held += len(e.bucket) + len(e.key)
		if e.bodyID != 0 {
			x.bodies = append(x.bodies, e.bodyID)
		}
	}
}

func (x *memIndex) place(i int) (place, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.entries[i].place, nil
}

func (x *memIndex) newest(bucket, key string, hash uint64, limit int) (int, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i, ok := x.byKey[hash]
	for ok && i >= 0 {
		e := &x.entries[i]
		if int(i) < limit && e.bucket == bucket && e.key == key {
			return int(i), nil
		}
		i = e.prev
	}
	return -1, nil
}

func (x *memIndex) copies(hash uint64) ([]int, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if i, ok := x.byCopy[hash]; ok {
		return []int{int(i)}, nil
	}
	return nil, nil
}

func (x *memIndex) count() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.entries)
}

func (x *memIndex) bytes() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.total
}

func (x *memIndex) bodyIDs() ([]uint64, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.bodies), nil
}

// sorted is the order of the records by bucket, key and position, and the
// entries that it points into, which stay as they are but for fences.
func (x *memIndex) sorted() ([]memEntry, []int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.order) < len(x.entries) {
		order := make([]int32, len(x.entries))
		for i := range order {
			order[i] = int32(i)
		}
		copy(order, x.order)
		slices.SortStableFunc(order, func(a, b int32) int {
			return compareNames(x.entries[a].bucket, x.entries[a].key, x.entries[b].bucket, x.entries[b].key, int(a), int(b))
		})
		x.order = order
	}
	return x.entries, x.order
}

// compareNames is the order of the table in a side file.
func compareNames(b1, k1, b2, k2 string, i1, i2 int) int {
	if c := strings.Compare(b1, b2); c != 0 {
		return c
	}
	if c := strings.Compare(k1, k2); c != 0 {
		return c
	}
	return i1 - i2
}

func (x *memIndex) after(bucket, from string, yield func(key string, i int) bool) error {
	entries, order := x.sorted()
	at, _ := slices.BinarySearchFunc(order, 0, func(i int32, _ int) int {
		return compareNames(entries[i].bucket, entries[i].key, bucket, from, 0, 0)
	})
	for ; at < len(order); at++ {
		e := &entries[order[at]]
		if e.bucket != bucket {
			return nil
		}
		if e.key == "" {
			continue
		}
		if at+1 < len(order) && entries[order[at+1]].bucket == bucket && entries[order[at+1]].key == e.key {
			continue
		}
		if !yield(e.key, int(order[at])) {
			return nil
		}
	}
	return nil
}

func (x *memIndex) firstBucket(from string) (string, bool, error) {
	entries, order := x.sorted()
	at, _ := slices.BinarySearchFunc(order, 0, func(i int32, _ int) int {
		return compareNames(entries[i].bucket, entries[i].key, from, "", 0, 0)
	})
	for ; at < len(order); at++ {
		if e := &entries[order[at]]; e.key != "" {
			return e.bucket, true, nil
		}
	}
	return "", false, nil
}
