package proof

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// job is one object to be read and compared with its leaf.
type job struct {
	seq, last record.Seq // the records in it
	time      time.Time
	key       string // as the leaf has it
	object    string // where it is to be found here
	version   string
	size      int64
	digest    record.Digest
	attrs     record.Digest // zero: not to be compared
	prefix    string        // of a pack: what the log's keys began with when it was stored
	root      string        // of a pack's rows; "": no pack, or its rows are not to be read
}

// fault is one of this object.
func (j *job) fault(what string) Fault {
	return Fault{Seq: j.seq, Key: j.key, Object: j.object, What: what}
}

// objectKey is where an object lies in this store: a copy of the part below the
// log's prefix lacks the prefix that the leaves have.
func (v *verifier) objectKey(key string) string {
	if v.leaves.prefix == v.base && v.leaves.prefixed {
		return key
	}
	if rest, ok := strings.CutPrefix(key, v.leaves.prefix); v.leaves.prefixed && ok {
		return v.base + rest
	}
	return key
}

// chance is true for this percentage of calls.
func chance(percent float64) bool { return rand.Float64()*100 < percent }

// startReaders starts the goroutines that read objects; wait returns when the jobs are done.
// One that cannot look at all cancels the whole.
func (v *verifier) startReaders(ctx context.Context, cancel context.CancelCauseFunc) (wait func()) {
	v.jobs = make(chan job, 2*v.opt.Parallel)
	var wg sync.WaitGroup
	for range v.opt.Parallel {
		wg.Go(func() {
			r := objectReader{v: v, hash: sha256.New()}
			defer r.report()
			for j := range v.jobs {
				if ctx.Err() != nil {
					continue // drain
				}
				if err := r.check(ctx, &j); err != nil {
					cancel(err)
				}
				if r.checked >= reportEvery {
					r.report()
				}
			}
		})
	}
	return func() {
		close(v.jobs)
		wg.Wait()
	}
}

// reportEvery is how many objects a goroutine checks before it adds its counts to those of all.
const reportEvery = 32

func (v *verifier) send(ctx context.Context, j job) error {
	select {
	case v.jobs <- j:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// objectReader is one goroutine's means, and what it counted since it last reported.
type objectReader struct {
	v    *verifier
	hash hash.Hash
	sum  record.Digest // room for what it gives
	buf  []byte

	checked, bytes, attrs, shown, rows int64
	clock                              Clock
}

// report adds the counts to those of all.
func (r *objectReader) report() {
	f := &r.v.findings
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.Checked += r.checked
	f.report.CheckedBytes += r.bytes
	f.report.CheckedAttrs += r.attrs
	f.report.CheckedRows += r.rows
	f.shown += r.shown
	c := &f.report.Clock
	c.Compared += r.clock.Compared
	c.Early += r.clock.Early
	c.Late += r.clock.Late
	c.MaxEarly, c.MaxLate = max(c.MaxEarly, r.clock.MaxEarly), max(c.MaxLate, r.clock.MaxLate)
	r.checked, r.bytes, r.attrs, r.shown, r.rows, r.clock = 0, 0, 0, 0, 0, Clock{}
}

// bulkReader is a store that reads very many objects for less than Get does.
type bulkReader interface {
	// Bulk returns read, which appends the bytes of an object to buf, up to limit of them, and describes
	// it as Get does; an error, or less than was expected, means that Get is to be asked. done is called at the end.
	Bulk() (read func(ctx context.Context, key string, buf []byte, limit int64) ([]byte, store.Info, error), done func() error)
}

// maxBulk is how large an object may be to be read into memory.
const maxBulk = 1 << 20

// check reads an object and reports what is wrong with it. Its error means that nobody can look.
func (r *objectReader) check(ctx context.Context, j *job) error {
	if r.v.bulk != nil && j.version == "" && j.size <= maxBulk && j.root == "" {
		data, info, err := r.v.bulk(ctx, j.object, r.buf[:0], j.size+1)
		r.buf = data[:0]
		if err == nil && int64(len(data)) == j.size { // else Get tells what is wrong
			r.compareAttrs(j, &info)
			r.compareClock(j, &info)
			return r.judge(j, int64(len(data)), sha256.Sum256(data), nil)
		}
	}
	body, info, err := r.v.store.Get(ctx, j.object, store.GetOptions{})
	newest := err == nil && (j.version == "" || info.Version == "" || info.Version == j.version)
	if !newest && j.version != "" && (err == nil || store.ClassOf(err) == store.NotFound) {
		what := "the version that was written is there, but another lies on top of it"
		if err == nil {
			body.Close()
		} else {
			what = "the version that was written is there, but hidden behind a delete marker"
		}
		top := err
		if body, info, err = r.v.store.Get(ctx, j.object, store.GetOptions{Version: j.version}); err == nil {
			r.v.notice(j.fault(what))
		} else if store.ClassOf(err) == store.NotFound && top == nil {
			r.v.fault(j.fault("the version that was written is gone; another is in its place"))
			return nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cannotLook(err) != nil:
		return err
	case store.ClassOf(err) == store.NotFound:
		r.v.miss(j.last, j.fault("the object is missing"))
		return nil
	case errors.Is(err, store.ErrOtherBytes):
		r.v.fault(j.fault("the object was changed: its bytes are not those of the checksum that the store has of it"))
		return nil
	case err != nil:
		r.v.fault(j.fault("the object cannot be read: " + err.Error()))
		return nil
	}
	defer body.Close()
	r.compareAttrs(j, &info)
	r.compareClock(j, &info)
	if j.root != "" {
		return r.checkPack(ctx, j, body)
	}
	return r.compare(j, body)
}

// compare fails where the store can no longer be asked.
func (r *objectReader) compare(j *job, body io.Reader) error {
	r.hash.Reset()
	if cap(r.buf) < 64<<10 {
		r.buf = make([]byte, 64<<10)
	}
	// One byte more than there should be, so that a longer object is noticed and not read to its end.
	size, err := io.CopyBuffer(struct{ io.Writer }{r.hash}, struct{ io.Reader }{io.LimitReader(body, j.size+1)}, r.buf[:cap(r.buf)])
	var sum record.Digest
	r.hash.Sum(sum[:0])
	return r.judge(j, size, sum, err)
}

// judge compares what was read with the leaf.
func (r *objectReader) judge(j *job, size int64, sum record.Digest, err error) error {
	r.checked++
	r.bytes += size
	switch {
	case cannotLook(err) != nil:
		return err
	case errors.Is(err, store.ErrOtherBytes):
		r.v.fault(j.fault("the object was changed: its bytes are not those of the checksum that the store has of it"))
	case err != nil:
		r.v.fault(j.fault("the object cannot be read: " + err.Error()))
	case size < j.size:
		r.v.fault(j.fault(fmt.Sprintf("the object was truncated: it has %d bytes, the log says %d", size, j.size)))
	case size > j.size:
		r.v.fault(j.fault(fmt.Sprintf("the object was changed: it has more than the %d bytes that the log says", j.size)))
	case sum != j.digest:
		r.v.fault(j.fault(fmt.Sprintf("the object was changed: its SHA-256 is %s, the log says %s", sum, j.digest)))
	}
	return nil
}

// compareAttrs compares the headers and metadata that the object shows.
func (r *objectReader) compareAttrs(j *job, info *store.Info) {
	if j.attrs == (record.Digest{}) || r.v.opt.NoAttrs {
		return
	}
	r.attrs++
	has := len(info.Header)+len(info.Meta) > 0
	if has {
		r.shown++
	}
	switch sum := store.AttrsDigest(info.Header, info.Meta); {
	case sum == j.attrs:
	case !has:
		r.v.bareObject(j)
	default:
		r.v.fault(j.fault(fmt.Sprintf("the object's headers or metadata were changed: their SHA-256 is %s, the log says %s", sum, j.attrs)))
	}
}

// bareObject is one that shows no attributes though it had some. Whether the whole copy
// has none, or this one lost them, only the end tells.
func (v *verifier) bareObject(j *job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bareN++
	if len(v.bare) < listed {
		v.bare = append(v.bare, j.fault("the object's headers and metadata are gone"))
	}
}

// compareClock compares when the record arrived, by the leaf, with when its
// object was stored, by the store.
func (r *objectReader) compareClock(j *job, info *store.Info) {
	if info.ModTime.IsZero() || r.v.opt.ClockBound <= 0 {
		return
	}
	r.clock.Compared++
	late := info.ModTime.Sub(j.time)
	switch {
	case late > r.v.opt.ClockBound:
		r.clock.Late++
		r.clock.MaxLate = max(r.clock.MaxLate, late)
	case -late > r.v.opt.ClockBound:
		r.clock.Early++
		r.clock.MaxEarly = max(r.clock.MaxEarly, -late)
		r.v.firstEarly(j, -late)
	}
}

func (v *verifier) firstEarly(j *job, by time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.early == nil {
		f := j.fault(fmt.Sprintf("the store had its object %s before the record arrived, as its leaf says", by.Round(time.Second)))
		v.early = &f
	}
}
