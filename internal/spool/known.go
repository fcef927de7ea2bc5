package spool

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"indelible/internal/record"
)

// recordID is the identity of a record in 16 bytes: its name, and its name with
// its bytes. Both are cut from a SHA-256 that begins with a secret of the spool, so that nobody
// outside can make two records with one identity.
type recordID struct {
	name uint64 // of bucket and key
	copy uint64 // of bucket, key and body digest
}

// secret keys the identities. It is made once and kept in the state file.
type secret [16]byte

func newSecret() (s secret) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// check is what a side file stores to tell whether its identities are of this secret.
func (s secret) check() uint64 {
	sum := sha256.Sum256(append([]byte("indelible spool secret"), s[:]...))
	return binary.LittleEndian.Uint64(sum[:])
}

// id is the identity of a record.
func (s secret) id(bucket, key string, digest record.Digest) recordID {
	id, rest := s.name(bucket, key)
	var b [24 + len(digest)]byte
	copy(b[copy(b[:], rest[:]):], digest[:])
	sum := sha256.Sum256(b[:])
	return recordID{name: id, copy: binary.LittleEndian.Uint64(sum[:])}
}

// name is the identity of bucket and key, and 24 more bytes that only they give.
func (s secret) name(bucket, key string) (id uint64, rest [24]byte) {
	var space [512]byte
	b := append(space[:0], s[:]...)
	b = appendString(b, bucket)
	b = append(b, key...)
	sum := sha256.Sum256(b)
	copy(rest[:], sum[8:])
	return binary.LittleEndian.Uint64(sum[:]), rest
}

// known remembers the identities of the newest records, as many as its bound
// allows, and answers without I/O: which is the newest record under a name, and is it the
// same bytes. Beyond the bound nothing is known again; the sender's copy is then a record of its own,
// and becomes the same object in the store. It is safe for concurrent use.
//
// Identities stand in a ring by seq. A table with open addressing (linear
// probing, deletion by shifting back) finds the newest of a name.
type known struct {
	mu    sync.Mutex
	bound int
	first record.Seq // the oldest seq in the ring; guarded by mu
	next  record.Seq // behind the newest; guarded by mu
	ring  []recordID // seq s stands at s % len; copy 0: not to be answered for; guarded by mu
	table []uint32   // ring position + 1, 0: empty; a power of two; guarded by mu
}

const minKnown = 1 << 10

// newKnown makes an empty table for at most bound records (rounded up to a power of two) from seq first on.
func newKnown(bound int, first record.Seq) *known {
	size := minKnown
	for size < bound {
		size *= 2
	}
	return &known{bound: size, first: first, next: first, ring: make([]recordID, minKnown), table: make([]uint32, 2*minKnown)}
}

// add remembers the next record. Its seq is the one behind the newest.
func (k *known) add(id recordID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addLocked(id)
}

func (k *known) addLocked(id recordID) {
	if int(k.next-k.first) == len(k.ring) {
		if len(k.ring) < k.bound {
			k.grow()
		} else {
			k.evict()
		}
	}
	if id.copy == 0 {
		id.copy = 1
	}
	k.put(k.next, id)
	k.next++
}

// skip leaves out a record that is unreadable.
func (k *known) skip() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addLocked(recordID{})
	k.ring[k.slot(k.next-1)].copy = 0
}

// newest finds the newest record under a name, and whether it has the same bytes.
func (k *known) newest(id recordID) (seq record.Seq, same, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.find(id.name)
	if !ok {
		return 0, false, false
	}
	slot := k.table[at] - 1
	have := k.ring[slot]
	return k.seqAt(slot), have.copy != 0 && have.copy == id.copy, true
}

// damaged has a record not answered for any more: the sender's copy replaces it.
func (k *known) damaged(seq record.Seq) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if seq >= k.first && seq < k.next {
		k.ring[k.slot(seq)].copy = 0
	}
}

// from is the oldest record that the table covers: every newer one is in it.
func (k *known) from() record.Seq {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first
}

func (k *known) slot(seq record.Seq) uint32 { return uint32(seq) & uint32(len(k.ring)-1) }

// seqAt is the seq that stands in a slot of the ring.
func (k *known) seqAt(slot uint32) record.Seq {
	ahead := (slot - k.slot(k.first)) & uint32(len(k.ring)-1)
	return k.first + record.Seq(ahead)
}

// find finds a name in the table.
func (k *known) find(name uint64) (at int, ok bool) {
	mask := len(k.table) - 1
	for at = int(name) & mask; k.table[at] != 0; at = (at + 1) & mask {
		if k.ring[k.table[at]-1].name == name {
			return at, true
		}
	}
	return at, false
}

// put stores the identity of seq and makes it the newest of its name.
func (k *known) put(seq record.Seq, id recordID) {
	slot := k.slot(seq)
	k.ring[slot] = id
	at, _ := k.find(id.name)
	k.table[at] = slot + 1
}

// evict drops the oldest record.
func (k *known) evict() {
	slot := k.slot(k.first)
	k.first++
	at, ok := k.find(k.ring[slot].name)
	if !ok || k.table[at] != slot+1 {
		return // a newer one has the name
	}
	mask := len(k.table) - 1
	for next := (at + 1) & mask; k.table[next] != 0; next = (next + 1) & mask {
		home := int(k.ring[k.table[next]-1].name) & mask
		if (next-home)&mask >= (next-at)&mask { // it may stand at the hole
			k.table[at] = k.table[next]
			at = next
		}
	}
	k.table[at] = 0
}

// grow doubles ring and table.
func (k *known) grow() {
	old := k.ring
	k.ring, k.table = make([]recordID, 2*len(old)), make([]uint32, 4*len(old))
	for seq := k.first; seq < k.next; seq++ {
		k.put(seq, old[int(seq)&(len(old)-1)])
	}
}
