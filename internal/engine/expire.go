package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"slices"
	"time"

	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
)

// expiredFile remembers, in the data directory, how far records were removed. Without it the log is read from its start.
const expiredFile = "expired.json"

// Expired is what an Expire did, or with Dry would do.
type Expired struct {
	Before  time.Time        `json:"before"`          // records that arrived before this moment
	Ranges  []proof.SeqRange `json:"ranges"`          // that the log says are removed, by this call
	Through record.Seq       `json:"through"`         // the last record that was ever removed
	Records int64            `json:"records"`         // in Ranges
	Objects int64            `json:"objects_removed"` // by this call
	Bytes   int64            `json:"bytes_removed"`
	Kept    []KeptObject     `json:"kept,omitempty"` // that should have gone, the first hundred
	Rule    bool             `json:"by_rule"`        // the bucket's lifecycle rule removes the objects

	parked map[record.Seq]bool // records that were parked, and wait
}

// Spared says of a record up to Through that it is not removed, because it waits to be delivered.
func (x *Expired) Spared(seq record.Seq) bool { return x.parked[seq] }

// KeptObject is an object that was not removed, and why.
type KeptObject struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// expired is the content of expiredFile.
type expired struct {
	Through record.Seq `json:"through"` // a published leaf says so of every record up to here that could be removed
	Removed record.Seq `json:"removed"` // and their objects are gone up to here
}

// Expire says in the log that the records which arrived more than retain ago are removed by policy, and, where the
// destination is a directory, removes their objects once that is published. It touches nothing that is unproven,
// younger, parked, or not what the log says. A call that was cut short is finished by the next. progress, which may be
// nil, is told now and then how many of the records whose objects are removed are done.
func (e *Engine) Expire(ctx context.Context, retain time.Duration, dry bool, progress func(done, of record.Seq)) (x Expired, err error) {
	if e.ledger == nil {
		return x, errors.New("remove by policy: this log is not signed, so nothing could show that records were removed and not lost")
	}
	if retain <= 0 {
		return x, errors.New("remove by policy: destination.retain is not set: nothing is ever removed")
	}
	if !e.expiring.TryLock() {
		return x, errors.New("remove by policy: another call is under way")
	}
	defer e.expiring.Unlock()
	log, err := e.ledger.open(ctx)
	if err != nil {
		return x, err
	}
	was, err := e.readExpired()
	if err != nil {
		return x, err
	}
	x.Before, x.Through, x.Rule = e.now().Add(-retain), was.Through, e.dest.Remove == nil
	if x.Ranges, x.parked, err = e.due(ctx, log, was.Through, x.Before); err != nil {
		return x, err
	}
	for _, r := range x.Ranges {
		x.Records += int64(r.Last-r.First) + 1
		x.Through = r.Last
	}
	if dry {
		return x, nil
	}
	if len(x.Ranges) > 0 {
		reason := fmt.Sprintf("destination.retain %s", days(retain))
		if err := log.Remove(ctx, reason, x.Ranges...); err != nil {
			return x, err
		}
		was.Through = x.Through
		if err := e.writeExpired(was); err != nil {
			return x, err
		}
	}
	if e.dest.Remove != nil {
		err = e.removeObjects(ctx, log, &was, &x, progress)
		e.records.Removed(e.name, was.Removed)
	}
	return x, err
}

// now is the time, but for a clock that was set ahead since this process began: nothing is removed for that.
func (e *Engine) now() time.Time {
	now, steady := time.Now().UTC(), e.openedAt.UTC().Add(time.Since(e.opened))
	if steady.Before(now) {
		return steady
	}
	return now
}

// days is a duration as configurations have it.
func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}

// parked are the records that were parked, and wait.
func (e *Engine) parked(ctx context.Context) (map[record.Seq]bool, error) {
	parked := map[record.Seq]bool{}
	for a, err := range e.spool.Parked(ctx) {
		if err != nil {
			return nil, err
		}
		parked[a.Seq] = true
	}
	return parked, nil
}

// due are the ranges of records behind after that arrived before a moment. What was parked and waits is left out.
func (e *Engine) due(ctx context.Context, log *proof.Log, after record.Seq, before time.Time) (ranges []proof.SeqRange, parked map[record.Seq]bool, err error) {
	add := func(first, last record.Seq) {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == first {
			ranges[n-1].Last = last
		} else {
			ranges = append(ranges, proof.SeqRange{First: first, Last: last})
		}
	}
	// A pack's leaf has the time of its first record; the others arrived before what comes behind it.
	var pack *proof.Leaf
	for l, err := range e.leaves(ctx, log, after+1) {
		if err == nil && parked == nil { // asked once the leaves are fixed: what they say was parked is among it, or stored
			parked, err = e.parked(ctx)
		}
		if err != nil {
			return nil, nil, err
		}
		if !l.Time.Before(before) {
			break
		}
		if pack != nil {
			add(pack.First, pack.Last)
			pack = nil
		}
		switch l.Kind {
		case proof.Pack:
			pack = &l
		case proof.Gap:
			add(l.First, l.Last)
		default:
			if !parked[l.Seq] {
				add(l.Seq, l.Seq)
			}
		}
		if len(ranges) == maxExpireRanges {
			break
		}
	}
	if parked == nil {
		parked, err = e.parked(ctx)
	}
	return ranges, parked, err
}

// maxExpireRanges bounds the leaves of one call; the next goes on.
const maxExpireRanges = 1000

func (e *Engine) leaves(ctx context.Context, log *proof.Log, from record.Seq) func(func(proof.Leaf, error) bool) {
	return proof.Leaves(ctx, e.dest.Store, e.dest.Layout.Base(), log.Public(), from, false)
}

// doomed is an object that is to be removed.
type doomed struct {
	leaf  proof.Leaf
	hash  uint64
	spare bool // a record that is not removed has it too
}

// expireStep is after how many objects the progress is told.
const expireStep = 100

// maxDoomed is how many objects are removed between two looks at what is younger.
const maxDoomed = 1 << 19

// removeObjects removes the objects of what the log says is removed.
func (e *Engine) removeObjects(ctx context.Context, log *proof.Log, was *expired, x *Expired, progress func(done, of record.Seq)) error {
	if was.Removed >= was.Through {
		return nil
	}
	if e.gate != nil {
		e.gate.watch(true)
		defer e.gate.watch(false)
	}
	keep, err := e.spare(ctx, log)
	if err != nil {
		return err
	}
	before := was.Removed
	for was.Removed < was.Through {
		var list []doomed
		upto := was.Removed
		for l, err := range e.leaves(ctx, log, was.Removed+1) {
			if err != nil {
				return err
			}
			last := max(l.Seq, l.Last)
			if last > was.Through || len(list) >= maxDoomed {
				break
			}
			upto = last
			if l.Kind == proof.Gap || !keep.removed(&l) { // it waited, and may be stored by now
				continue
			}
			for _, l.Key = range e.names(&l) {
				list = append(list, doomed{leaf: l, hash: maphash.String(keep.seed, l.Key)})
			}
		}
		if upto == was.Removed {
			return nil
		}
		if err := e.spareShared(ctx, log, keep, list); err != nil {
			return err
		}
		for i := range list {
			if err := e.removeOne(ctx, &list[i], keep, x); err != nil {
				return err
			}
			if progress != nil && i%expireStep == 0 {
				progress(max(list[i].leaf.Seq, list[i].leaf.Last)-before, was.Through-before)
			}
		}
		was.Removed = upto
		if err := e.writeExpired(*was); err != nil {
			return err
		}
	}
	return nil
}

// spareShared finds the objects that a record has as well which is not removed: the same bytes may have been sent again under their key.
func (e *Engine) spareShared(ctx context.Context, log *proof.Log, keep *spared, list []doomed) error {
	byHash := make([]int, len(list))
	for i := range byHash {
		byHash[i] = i
	}
	slices.SortFunc(byHash, func(a, b int) int { return cmp.Compare(list[a].hash, list[b].hash) })
	return proof.EachObject(ctx, e.dest.Store, e.dest.Layout.Base(), log.Public(), func(l *proof.Leaf) {
		if l.Kind == proof.Pack || keep.removed(l) {
			return // a later one that is removed has its turn, and finds it gone
		}
		h := maphash.String(keep.seed, l.Key)
		at, ok := slices.BinarySearchFunc(byHash, h, func(i int, h uint64) int { return cmp.Compare(list[i].hash, h) })
		for ; ok && at < len(byHash) && list[byHash[at]].hash == h; at++ {
			list[byHash[at]].spare = true
		}
	})
}

func (x *Expired) keep(key string, reason error) {
	if len(x.Kept) < 100 {
		x.Kept = append(x.Kept, KeptObject{key, reason.Error()})
	}
}

// names are the keys under which the object of a leaf may be: of a record that was parked, and stored later, its
// key or a variant of it.
func (e *Engine) names(l *proof.Leaf) []string {
	switch {
	case l.Kind == proof.Record, l.Kind == proof.Pack:
		return []string{l.Key}
	case l.SentKey == "":
		return nil // nobody knows its name
	}
	stored := e.dest.Layout.Key(l.Bucket, l.SentKey)
	return []string{stored, e.dest.Layout.Variant(stored, l.Seq)}
}

// removeOne removes the object of one leaf, if it is what the leaf says and nobody else's.
func (e *Engine) removeOne(ctx context.Context, d *doomed, keep *spared, x *Expired) error {
	l := &d.leaf
	if d.spare || keep.waits(e, l) {
		return nil
	}
	info, err := e.dest.Store.Head(ctx, l.Key, store.GetOptions{})
	if store.ClassOf(err) == store.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	by, ours := e.dest.Layout.Info(info)
	if l.Kind != proof.Pack {
		late, log := l.Kind != proof.Record, info.Meta[layout.MetaLog]
		switch {
		case late && (!ours || log != e.name || by.Seq != l.Seq):
			return nil
		case keep.elsewhere(l.Key, ours && log != "" && log != e.name):
			x.keep(l.Key, errOtherLog)
			return nil
		case ours && log == e.name && !keep.removed(&proof.Leaf{Seq: by.Seq}):
			return nil // it was removed, and a younger record made it again
		}
	}
	size, err := e.sameBytes(ctx, l.Key, l.Digest)
	switch {
	case store.ClassOf(err) == store.NotFound:
		return nil
	case errors.Is(err, errOtherBytes):
		x.keep(l.Key, err)
		return nil
	case err != nil:
		return err
	}
	if l.Kind == proof.Pack {
		err := e.removeBeside(ctx, l, size, x)
		if errors.Is(err, errOtherBytes) {
			x.keep(l.Key, err)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return e.removeObject(ctx, l.Key, size, x)
}

var errOtherLog = errors.New("a record of another log in this destination has it too")

var errOtherBytes = errors.New("it is not what the log says: run \"indelible verify\"")

// sameBytes reads an object and compares it with the digest that the log has. What was changed is evidence, and stays.
func (e *Engine) sameBytes(ctx context.Context, key string, want record.Digest) (size int64, err error) {
	body, _, err := e.dest.Store.Get(ctx, key, store.GetOptions{})
	if errors.Is(err, store.ErrOtherBytes) {
		return 0, errOtherBytes
	}
	if err != nil {
		return 0, err
	}
	sum := sha256.New()
	size, err = io.Copy(sum, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return 0, err
	}
	if record.Digest(sum.Sum(nil)) != want {
		return 0, errOtherBytes
	}
	return size, nil
}

func (e *Engine) removeObject(ctx context.Context, key string, size int64, x *Expired) error {
	remove := func() error {
		if err := e.dest.Remove(ctx, key); err != nil {
			return err
		}
		x.Objects++
		x.Bytes += size
		return nil
	}
	if e.gate == nil {
		return remove()
	}
	return e.gate.unless(key, remove)
}

// removeBeside removes the bodies that lie beside a pack.
func (e *Engine) removeBeside(ctx context.Context, l *proof.Leaf, size int64, x *Expired) error {
	for row, err := range packRows(ctx, &storeAt{ctx, e.dest.Store, l.Key}, size, false, (*pack.Reader).Brief) {
		if err != nil {
			return err
		}
		if row.Object == "" {
			continue
		}
		size, err := e.sameBytes(ctx, row.Object, row.Info.Digest)
		if store.ClassOf(err) == store.NotFound {
			continue
		}
		if err == nil {
			err = e.removeObject(ctx, row.Object, size, x)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", row.Object, err)
		}
	}
	return nil
}

// storeAt reads an object at offsets. It holds the context of the one call that it serves.
type storeAt struct {
	ctx   context.Context
	store store.Store
	key   string
}

// ReadAt is io.ReaderAt's.
func (s *storeAt) ReadAt(b []byte, off int64) (int, error) {
	body, _, err := s.store.Get(s.ctx, s.key, store.GetOptions{From: off, To: off + int64(len(b))})
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	return io.ReadFull(body, b)
}

func (e *Engine) readExpired() (was expired, err error) {
	b, err := readAll(e.data, expiredFile)
	if errors.Is(err, fs.ErrNotExist) {
		return was, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	if err != nil {
		return was, fmt.Errorf("read %s: %w: take it away, and the log is read from its start", expiredFile, err)
	}
	return was, nil
}

func (e *Engine) writeExpired(is expired) error {
	b, err := json.Marshal(is)
	if err == nil {
		err = replace(e.data, expiredFile, append(b, '\n'))
	}
	return err
}
