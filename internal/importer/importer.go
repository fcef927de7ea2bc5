// Package importer takes the objects of a store that others wrote into a log, each once: every object becomes a
// record under its own key, and stays where it is. A manifest in the data directory says
// which object is which record, so that a run that was cut short goes on, and a later one takes only what is new.
package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"indelible/internal/disk"
	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Door is the door of records that were taken from a store.
const Door = "import"

// Log is where the objects become records. While a run lasts nobody else appends to it.
type Log interface {
	// AppendAll is ingest.Appender's, for several at once.
	AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error)
	// Newest is the seq of the newest durable record.
	Newest() record.Seq
	// Records yields what is durable from one seq to another. One that was lost is a *record.GapError.
	Records(ctx context.Context, from, upto record.Seq) iter.Seq2[record.Entry, error]
}

// Options are what a run is made of. All are required but Prefix, Progress and Dry; with Dry, Log and Disk may be missing.
type Options struct {
	Store  store.Store
	Source string // names the store in records and in the manifest, without secrets
	Prefix string // only objects whose keys begin so
	// Key is the bucket and key under which an object of the store becomes a record; false leaves it out.
	Key     func(stored string) (bucket, key string, ok bool)
	Objects layout.Objects
	Log     Log
	LogName string
	Disk    disk.FS // where manifests are kept: nobody else writes there
	Dry     bool    // nothing is taken and nothing written; each object is only asked for
	// Progress is called now and then, with the key that was reached.
	Progress func(s Sum, key string)

	batch int // records appended together; 0 is batchRecords
}

// Sum is what a run did.
type Sum struct {
	Seen     int64      `json:"seen"`    // objects listed
	Taken    int64      `json:"taken"`   // became records; with Dry: would become
	Already  int64      `json:"already"` // were records by an earlier run
	Own      int64      `json:"own"`     // are records of one of our logs, or belong to a log
	Left     int64      `json:"left"`    // have keys that the log keeps for itself
	Failed   int64      `json:"failed"`
	Bytes    int64      `json:"bytes"` // of what was taken
	First    record.Seq `json:"first,omitempty"`
	Last     record.Seq `json:"last,omitempty"`
	Failures []Failure  `json:"failures,omitempty"` // the first hundred
	Manifest string     `json:"manifest,omitempty"` // the file, in the data directory
	Done     bool       `json:"done"`               // everything was looked at
}

// Failure is an object that was not taken. The next run looks at it again.
type Failure struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

const maxFailures = 100

func (s *Sum) fail(key string, err error) {
	s.Failed++
	if len(s.Failures) < maxFailures {
		s.Failures = append(s.Failures, Failure{key, err.Error()})
	}
}

// Bounds of a batch: what is appended together, and all that a kill leaves in doubt.
const (
	batchRecords = 128
	batchBytes   = 4 << 20
)

// run is one Run under way.
type run struct {
	Options
	sum      Sum
	manifest *manifest
	waiting  []*item // the batch
	bytes    int64
	inARow   int            // objects that failed
	reading  sync.WaitGroup // what ahead started
}

// Run takes every object below the prefix that the log does not have yet. Its error says why it ended before
// that; the same call goes on from there.
func Run(ctx context.Context, o Options) (Sum, error) {
	r := &run{Options: o}
	var err error
	if r.manifest, err = openManifest(o.Disk, o.Source, o.Prefix, o.LogName); err != nil {
		return r.sum, err
	}
	r.sum.Manifest = r.manifest.final
	err = r.do(ctx)
	return r.sum, errors.Join(err, r.manifest.close())
}

func (r *run) do(ctx context.Context) error {
	if err := r.resolve(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer r.reading.Wait() // the manifest and the store are the caller's again
	defer cancel()
	for next := range r.ahead(ctx) {
		if err := r.take(ctx, <-next); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.manifest.finish(); err != nil {
		return err
	}
	r.sum.Done = true
	return nil
}

// resolve finds what an earlier run appended and had no time to write into the manifest: it comes right behind the
// seq that stands there, because nobody else appends meanwhile.
func (r *run) resolve(ctx context.Context) error {
	m := r.manifest
	if from := m.base + 1; m.resumed && !r.Dry && from <= r.Log.Newest() {
		for e, err := range r.Log.Records(ctx, from, r.Log.Newest()) {
			if _, lost := errors.AsType[*record.GapError](err); lost {
				continue
			}
			if err != nil {
				return fmt.Errorf("read what the run before this one took: %w", err)
			}
			if e.Door != Door || e.Source != r.Source {
				break
			}
			m.doubted[recordKey{e.Bucket, e.Key}] = line{Seq: e.Seq, Size: e.Size, SHA256: e.Digest.String()}
		}
	}
	if r.Dry {
		return nil
	}
	return m.begin(r.Log.Newest())
}

// take takes the next object of the list.
func (r *run) take(ctx context.Context, it *item) error {
	if it.end != nil {
		return errors.Join(r.flush(ctx), it.end)
	}
	if len(it.carried) > 0 {
		if r.Dry {
			return nil
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
		return r.manifest.add(it.carried)
	}
	r.sum.Seen++
	if r.Progress != nil {
		r.Progress(r.sum, it.key)
	}
	switch {
	case it.class == reserved:
		r.sum.Left++
		return nil
	case it.class == own:
		r.sum.Own++
		return nil
	case it.class == gone:
		r.sum.Seen--
		return r.keep(ctx, it)
	case it.err != nil:
		r.sum.fail(it.key, it.err)
		if err := r.keep(ctx, it); err != nil {
			return err
		}
		if r.inARow++; r.inARow == maxInARow {
			return fmt.Errorf("%d objects in a row could not be taken, %s among them (%w): the same call goes on from there", maxInARow, it.key, it.err)
		}
		return nil
	}
	r.inARow = 0
	switch {
	case it.class == known && r.Dry:
		r.sum.Already++
		return nil
	case r.Dry:
		r.sum.Taken++
		r.sum.Bytes += it.size
		return nil
	case it.body == nil && it.class != known: // a long one is read while it is appended, alone
		if err := r.flush(ctx); err != nil {
			return err
		}
		return r.long(ctx, it)
	}
	r.waiting = append(r.waiting, it)
	r.bytes += int64(len(it.body))
	if len(r.waiting) >= cmp.Or(r.batch, batchRecords) || r.bytes >= batchBytes {
		return r.flush(ctx)
	}
	return nil
}

// keep has the manifest say what it said before of an object that could not be read.
func (r *run) keep(ctx context.Context, it *item) error {
	if it.had == nil || r.Dry {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.manifest.add([]line{*it.had})
}

// flush appends the batch, and notes in the manifest what became of it.
func (r *run) flush(ctx context.Context) error {
	if len(r.waiting) == 0 {
		return nil
	}
	var fresh []*item
	for _, it := range r.waiting {
		if it.class == known {
			r.sum.Already++
		} else {
			fresh = append(fresh, it)
		}
	}
	receipts, err := r.append(ctx, fresh)
	if err != nil {
		return err
	}
	for i, it := range fresh {
		r.took(it, &receipts[i])
	}
	err = r.note(r.waiting)
	r.waiting, r.bytes = r.waiting[:0], 0
	return err
}

// took notes what became of an object.
func (r *run) took(it *item, got *record.Receipt) {
	it.line.Seq, it.line.SHA256, it.line.Size = got.Seq, got.Digest.String(), got.Size
	if got.Resent {
		r.sum.Already++
		return
	}
	r.sum.Taken++
	r.sum.Bytes += got.Size
	if r.sum.First == 0 {
		r.sum.First = got.Seq
	}
	r.sum.Last = max(r.sum.Last, got.Seq)
}

func (r *run) note(items []*item) error {
	lines := make([]line, len(items))
	for i, it := range items {
		lines[i] = it.line
	}
	return r.manifest.add(lines)
}

// maxInARow failures end a run: they speak of more than the objects.
const maxInARow = 25

// pushbackWait is how long a full spool is given to deliver before it is asked again.
const pushbackWait = 200 * time.Millisecond

// append appends small objects together. A spool that has no room is waited for.
func (r *run) append(ctx context.Context, items []*item) ([]record.Receipt, error) {
	if len(items) == 0 {
		return nil, nil
	}
	for {
		rs := make([]record.Record, len(items))
		for i, it := range items {
			rs[i] = it.record(r)
		}
		receipts, err := r.Log.AppendAll(ctx, rs)
		if !errors.Is(err, record.ErrPushback) {
			return receipts, err
		}
		if err := pause(ctx, pushbackWait); err != nil {
			return nil, err
		}
	}
}

// long appends one long object while it is read.
func (r *run) long(ctx context.Context, it *item) error {
	var receipts []record.Receipt
	err := retry(ctx, func() error {
		body, info, err := r.Store.Get(ctx, it.key, store.GetOptions{Version: it.info.Version})
		if err != nil {
			return err
		}
		it.info = info
		it.line.ETag, it.line.Version, it.line.Modified = info.ETag, info.Version, info.ModTime.UTC()
		one := it.record(r)
		one.Body, one.Size = body, info.Size
		receipts, err = r.Log.AppendAll(ctx, []record.Record{one})
		return errors.Join(err, body.Close())
	})
	switch {
	case err == nil:
		r.took(it, &receipts[0])
		return r.note([]*item{it})
	case ctx.Err() != nil, errors.Is(err, record.ErrClosed), transient(err):
		return fmt.Errorf("%s: %w", it.key, err)
	}
	r.sum.fail(it.key, err)
	return r.keep(ctx, it)
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Bounds of retries.
const (
	tries   = 8
	minWait = 100 * time.Millisecond
	maxWait = 5 * time.Second
)

// retry does something until it succeeds or fails for good.
func retry(ctx context.Context, do func() error) error {
	wait := minWait
	for n := 1; ; n++ {
		err := do()
		if err == nil || ctx.Err() != nil || n == tries || !transient(err) {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, maxWait)
	}
}

// transient says whether an error is the store's or the way's, and not the object's.
func transient(err error) bool {
	if errors.Is(err, record.ErrPushback) {
		return true
	}
	switch store.ClassOf(err) {
	case store.Throttled, store.Unreachable, store.Ambiguous, store.Local:
		return true
	}
	return false
}

// reservedKey says whether a key lies where a log has its own objects, in this or another prefix of the store.
func reservedKey(key string) bool {
	for segment := range strings.SplitSeq(key, "/") {
		if segment+"/" == layout.ProofDir {
			return true
		}
	}
	return strings.HasPrefix(key, layout.PackDir+"dt=") || strings.Contains(key, "/"+layout.PackDir+"dt=")
}
