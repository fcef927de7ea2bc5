package spool

import (
	"slices"
	"strings"
	"sync"
)

// location is where a record stands in its segment.
type location struct {
	off    int64 // of the entry; 0: the record is unreadable
	size   uint32
	bodyID uint64 // 0: the body is inline
}

// index finds the records of one segment. memIndex is that of a segment without
// a side file, idxFile that of one with. An index is safe for concurrent use.
type index interface {
	// location finds a record by its position in the segment.
	location(i int) (location, error)
	// newest finds the last record under bucket and key below position limit, -1 if there is none.
	newest(id recordID, bucket, key string, limit int) (int, error)
	// after yields the last record of each key that is >= from, in key order,
	// as long as yield says so.
	after(bucket, from string, yield func(key string, i int) bool) error
	// firstBucket finds the least bucket name >= from.
	firstBucket(from string) (string, bool, error)
	// ids calls yield for each record with its identity, in their order.
	ids(yield func(i int, id recordID)) error
	// count is the number of records, unreadable ones included.
	count() int
	// bytes is the sum of the body sizes.
	bytes() int64
	// bodyIDs are the ids of the body files.
	bodyIDs() ([]uint64, error)
}

// memEntry is one record of a memIndex.
type memEntry struct {
	location
	id          recordID
	bucket, key string // "" key: unreadable
}

const memChunk = 1024

// memIndex is an index in memory. Entries never change once they are added, so
// readers work on a view and hold no lock.
type memIndex struct {
	mu     sync.Mutex
	chunks []*[memChunk]memEntry // guarded by mu
	n      int                   // entries; guarded by mu
	total  int64                 // bytes of bodies; guarded by mu

	sortMu sync.Mutex
	order  []int32 // the first so many entries by bucket, key, position; replaced, never changed; guarded by sortMu
}

// memView is what a memIndex held at one moment.
type memView struct {
	chunks []*[memChunk]memEntry
	n      int
}

func (v memView) at(i int) *memEntry { return &v.chunks[i/memChunk][i%memChunk] }

func newMemIndex() *memIndex { return &memIndex{} }

// add appends a record.
func (x *memIndex) add(e memEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.n%memChunk == 0 {
		x.chunks = append(x.chunks, new([memChunk]memEntry))
	}
	x.chunks[x.n/memChunk][x.n%memChunk] = e
	x.n++
	x.total += int64(e.size)
}

func (x *memIndex) view() memView {
	x.mu.Lock()
	defer x.mu.Unlock()
	return memView{x.chunks, x.n}
}

func (x *memIndex) location(i int) (location, error) {
	v := x.view()
	if i < 0 || i >= v.n {
		return location{}, nil
	}
	return v.at(i).location, nil
}

func (x *memIndex) count() int { return x.view().n }

func (x *memIndex) bytes() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.total
}

func (x *memIndex) bodyIDs() (ids []uint64, err error) {
	v := x.view()
	for i := range v.n {
		if id := v.at(i).bodyID; id != 0 {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (x *memIndex) ids(yield func(i int, id recordID)) error {
	v := x.view()
	for i := range v.n {
		if e := v.at(i); e.key != "" {
			yield(i, e.id)
		}
	}
	return nil
}

// sorted is a view, and the order of its records by bucket, key and position.
// What was sorted before is merged with what came since: nobody who adds waits for it.
func (x *memIndex) sorted() (memView, []int32) {
	x.sortMu.Lock()
	defer x.sortMu.Unlock()
	v := x.view()
	if len(x.order) == v.n {
		return v, x.order
	}
	compare := func(a, b int32) int {
		return compareNames(v.at(int(a)).bucket, v.at(int(a)).key, v.at(int(b)).bucket, v.at(int(b)).key, int(a), int(b))
	}
	added := make([]int32, v.n-len(x.order))
	for i := range added {
		added[i] = int32(len(x.order) + i)
	}
	slices.SortFunc(added, compare)
	merged := make([]int32, 0, v.n)
	old := x.order
	for len(old) > 0 && len(added) > 0 {
		if compare(old[0], added[0]) < 0 {
			merged, old = append(merged, old[0]), old[1:]
		} else {
			merged, added = append(merged, added[0]), added[1:]
		}
	}
	x.order = append(append(merged, old...), added...)
	return v, x.order
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

// search finds the first place in the order that is not less than these.
func (v memView) search(order []int32, bucket, key string, pos int) int {
	at, _ := slices.BinarySearchFunc(order, 0, func(i int32, _ int) int {
		return compareNames(v.at(int(i)).bucket, v.at(int(i)).key, bucket, key, int(i), pos)
	})
	return at
}

func (x *memIndex) newest(_ recordID, bucket, key string, limit int) (int, error) {
	v, order := x.sorted()
	at := v.search(order, bucket, key, limit)
	if at == 0 {
		return -1, nil
	}
	i := int(order[at-1])
	if e := v.at(i); e.bucket != bucket || e.key != key {
		return -1, nil
	}
	return i, nil
}

func (x *memIndex) after(bucket, from string, yield func(key string, i int) bool) error {
	v, order := x.sorted()
	for at := v.search(order, bucket, from, 0); at < len(order); at++ {
		e := v.at(int(order[at]))
		if e.bucket != bucket {
			return nil
		}
		if e.key == "" {
			continue
		}
		if at+1 < len(order) {
			if next := v.at(int(order[at+1])); next.bucket == bucket && next.key == e.key {
				continue
			}
		}
		if !yield(e.key, int(order[at])) {
			return nil
		}
	}
	return nil
}

func (x *memIndex) firstBucket(from string) (string, bool, error) {
	v, order := x.sorted()
	for at := v.search(order, from, "", 0); at < len(order); at++ {
		if e := v.at(int(order[at])); e.key != "" {
			return e.bucket, true, nil
		}
	}
	return "", false, nil
}
