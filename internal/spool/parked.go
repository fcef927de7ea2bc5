package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	parkedDir         = "parked"
	parkedEntry       = 512 // the entry's offset in a copy
	attrReason        = ":spool-reason"
	attrSince         = ":spool-since"
	deferredSuffix    = ".deferred"
	quarantinedSuffix = ".quarantined"
	parkedBodySuffix  = ".body"
)

// parkedItem is what stays in memory of a record that was parked.
type parkedItem struct {
	state       record.State
	bucket, key string
	name        uint64 // of its recordID
	size        int64
	time        time.Time
	bytes       int64 // of its files
	kept        bool  // it has no copy: it is where it was
	reason      string
	since       time.Time
}

// parkedSet holds the records that the store did not take, deferred ones and
// quarantined ones: as copies, so that their segments can go, or, where one cannot be copied, in
// place. It is safe for concurrent use, but for changes of one record, which settlement.stateMu orders.
type parkedSet struct {
	fs    disk.FS
	files *files
	log   *slog.Logger

	mu     sync.Mutex
	items  map[record.Seq]*parkedItem // guarded by mu
	byName map[uint64][]record.Seq    // sorted; guarded by mu
	totals parkedTotals               // guarded by mu
}

type parkedTotals struct {
	deferred, quarantined uint64
	bytes                 int64 // bodies of the deferred ones
	kept                  int   // in place
}

func newParkedSet(fs disk.FS, f *files, log *slog.Logger) *parkedSet {
	return &parkedSet{fs: fs, files: f, log: log, items: map[record.Seq]*parkedItem{}, byName: map[uint64][]record.Seq{}}
}

func (q *parkedSet) has(seq record.Seq) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items[seq] != nil
}

func (q *parkedSet) item(seq record.Seq) (parkedItem, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.items[seq]; it != nil {
		return *it, true
	}
	return parkedItem{}, false
}

// newest is the newest seq under bucket and key, 0 if there is none.
func (q *parkedSet) newest(name uint64, bucket, key string) record.Seq {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, seq := range slices.Backward(q.byName[name]) {
		if it := q.items[seq]; it.bucket == bucket && it.key == key {
			return seq
		}
	}
	return 0
}

// seqs are those of all records that are parked, in order.
func (q *parkedSet) seqs() []record.Seq {
	q.mu.Lock()
	defer q.mu.Unlock()
	seqs := make([]record.Seq, 0, len(q.items))
	for seq := range q.items {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs
}

// keys are those of a bucket that begin with prefix and are not less than from, sorted, the newest of a key first.
func (q *parkedSet) keys(bucket, prefix, from string) (list []keySeq) {
	q.mu.Lock()
	for seq, it := range q.items {
		if it.bucket == bucket && it.key >= from && it.key != "" && strings.HasPrefix(it.key, prefix) {
			list = append(list, keySeq{it.key, seq})
		}
	}
	q.mu.Unlock()
	slices.SortFunc(list, func(a, b keySeq) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return compareSeq(b.seq, a.seq)
	})
	return list
}

// put notes an item in memory, in place of an older one, whose bytes it returns.
func (q *parkedSet) put(seq record.Seq, it *parkedItem) (before parkedItem, had bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.items[seq]; old != nil {
		before, had = *old, true
		q.dropLocked(seq)
	}
	q.items[seq] = it
	seqs := q.byName[it.name]
	i, _ := slices.BinarySearch(seqs, seq)
	q.byName[it.name] = slices.Insert(seqs, i, seq)
	if it.kept {
		q.totals.kept++
	}
	if it.state == record.Quarantined {
		q.totals.quarantined++
	} else {
		q.totals.deferred++
		q.totals.bytes += it.size
	}
	return before, had
}

// dropLocked forgets an item. The caller holds q.mu.
func (q *parkedSet) dropLocked(seq record.Seq) {
	it := q.items[seq]
	delete(q.items, seq)
	if it.kept {
		q.totals.kept--
	}
	seqs := slices.DeleteFunc(q.byName[it.name], func(o record.Seq) bool { return o == seq })
	if len(seqs) == 0 {
		delete(q.byName, it.name)
	} else {
		q.byName[it.name] = seqs
	}
	if it.state == record.Quarantined {
		q.totals.quarantined--
	} else {
		q.totals.deferred--
		q.totals.bytes -= it.size
	}
}

// stats are the totals, and the arrival of the oldest deferred record, zero if there is none.
func (q *parkedSet) stats() (t parkedTotals, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.totals.deferred > 0 {
		for _, it := range q.items {
			if it.state == record.Deferred && !it.time.IsZero() && (oldest.IsZero() || it.time.Before(oldest)) {
				oldest = it.time
			}
		}
	}
	return q.totals, oldest
}

// pins reports whether a record of a segment is parked in place.
func (q *parkedSet) pins(g *segment) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.totals.kept == 0 {
		return false
	}
	for seq, it := range q.items {
		if it.kept && seq >= g.first && seq <= g.newest() {
			return true
		}
	}
	return false
}

// keptCount is how many records are parked in place.
func (q *parkedSet) keptCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.totals.kept
}

// keptRows are the records parked in place up to upto: the state file knows them once they are released.
func (q *parkedSet) keptRows(upto record.Seq) (rows []keptRow) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for seq, it := range q.items {
		if it.kept && seq <= upto {
			rows = append(rows, keptRow{Seq: uint64(seq), Size: it.size, State: string(it.state), Reason: it.reason, Since: it.since})
		}
	}
	slices.SortFunc(rows, func(a, b keptRow) int { return compareSeq(a.seq(), b.seq()) })
	return rows
}

// remove lets go of a record that is stored now, and returns the bytes of its files.
func (q *parkedSet) remove(seq record.Seq) (freed int64, kept bool, err error) {
	it, ok := q.item(seq)
	if !ok {
		return 0, false, nil
	}
	if !it.kept {
		name := parkedName(seq, it.state)
		q.files.forget(name)
		if err := q.fs.Remove(name); err != nil && !isNotExist(err) {
			return 0, false, err
		}
		q.files.forget(parkedBody(seq))
		if err := q.fs.Remove(parkedBody(seq)); err != nil && !isNotExist(err) {
			q.log.Warn("remove a body that was parked; it goes at the next start", "seq", uint64(seq), "error", err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked(seq)
	return it.bytes, it.kept, nil
}

func parkedSuffix(state record.State) string {
	if state == record.Quarantined {
		return quarantinedSuffix
	}
	return deferredSuffix
}

func parkedName(seq record.Seq, state record.State) string {
	return fmt.Sprintf("%s/%020d%s", parkedDir, seq, parkedSuffix(state))
}

func parkedBody(seq record.Seq) string {
	return fmt.Sprintf("%s/%020d%s", parkedDir, seq, parkedBodySuffix)
}

// write makes a durable copy: an entry with its body, or with the number of a body file.
func (q *parkedSet) write(e record.Entry, h entryHeader, inline []byte, state record.State, reason string, since time.Time) (bytes int64, err error) {
	m := meta{door: e.Door, source: e.Source, bucket: e.Bucket, key: e.Key}
	m.attrs = append(slices.Clip(e.Attrs), record.Attr{Name: attrReason, Value: reason}, record.Attr{Name: attrSince, Value: since.Format(time.RFC3339Nano)})
	data := make([]byte, parkedEntry)
	nonce := binary.LittleEndian.Uint64(e.Digest[:]) ^ uint64(e.Seq)
	copy(data, segHeader{nonce: nonce, first: e.Seq, log: ""}.append(nil))
	mb := m.append(nil)
	h.metaLen, h.metaCRC = uint32(len(mb)), crc32.Checksum(mb, castagnoli)
	data = append(data, zeros[:]...)
	h.put(data[parkedEntry:], nonce)
	data = append(append(data, mb...), inline...)
	name := parkedName(e.Seq, state)
	if err := replace(q.fs, name, data); err != nil {
		return 0, err
	}
	q.files.forget(name)
	return int64(len(data)), nil
}

// read reads a copy.
func (q *parkedSet) read(seq record.Seq, state record.State) (record.ParkedEntry, error) {
	name := parkedName(seq, state)
	h, err := q.files.open(name)
	if err != nil {
		return record.ParkedEntry{}, err
	}
	defer h.release()
	b := make([]byte, parkedEntry)
	if err := h.readFull(b, 0); err != nil {
		return record.ParkedEntry{}, err
	}
	head, err := parseSegHeader(b)
	if err != nil {
		return record.ParkedEntry{}, err
	}
	r := entryReader{files: q.files, name: name, nonce: head.nonce, bodyFile: parkedBody(seq)}
	e, err := r.read(&window{handle: h, step: blockSize}, seq, parkedEntry, true)
	if err != nil {
		return record.ParkedEntry{}, err
	}
	a := record.ParkedEntry{Entry: e, State: state}
	n := len(e.Attrs) - 2
	if n < 0 || e.Attrs[n].Name != attrReason || e.Attrs[n+1].Name != attrSince {
		return record.ParkedEntry{}, errFormat
	}
	a.Reason = e.Attrs[n].Value
	if a.Since, err = time.Parse(time.RFC3339Nano, e.Attrs[n+1].Value); err != nil {
		return record.ParkedEntry{}, errFormat
	}
	if a.Attrs = e.Attrs[:n:n]; n == 0 {
		a.Attrs = nil
	}
	return a, nil
}

// isDamage reports whether an error says that bytes arrived and are wrong, or a
// file is gone: not that a read failed.
func isDamage(err error) bool {
	_, failed := errors.AsType[*record.ReadError](err)
	return err != nil && !failed && !errors.Is(err, record.ErrClosed)
}
