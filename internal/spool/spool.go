package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// Options of a spool. The zero value of a field is its default.
type Options struct {
	Log          string // the log's name; a spool belongs to one log. "": the one it has
	SegmentBytes int64  // 64 MiB; at most 1 GiB
	ReserveBytes int64  // of the disk left free for what is no append: 128 MiB
	MaxBytes     int64  // of the disk that the spool may take; 0: the disk, less the reserve
	InlineBytes  int    // longer bodies go to files of their own: 256 KiB; at most 1 MiB
	MemoryBytes  int64  // for bodies on their way in, together; beyond it they go to files: 24 MiB
	FilterBytes  int64  // for the filters of the newest sealed segments, 20 bits a record; among older ones nothing is known again: 32 MiB
	ReadOnly     bool   // look at a directory that another process may use: no lock, no write
	Events       Events
	Logger       *slog.Logger // nil: discarded
}

// Events are called as things happen, from the goroutine they happen in: keep
// them short. Any may be nil.
type Events struct {
	Acked  func(door string, took time.Duration)                         // from the last byte of the body to the ack
	Synced func(records int, bytes int64, took time.Duration, err error) // one batch was fsynced, or not
	Gap    func(gap record.GapError)                                     // damage was found
}

// Limits of a segment that are no options.
const (
	maxSegmentBytes = 1 << 30
	segmentRecords  = 65536   // records of a segment: bounds the index in memory
	segmentNames    = 8 << 20 // bytes of buckets and keys of a segment: bounds it too
	firstAllocation = 256 << 10
	maxAllocation   = 16 << 20
	maxBatch        = 2 << 20 // bytes written for one fsync
)

// Spool is a durable queue of records. Its methods may be called concurrently.
// It satisfies ingest.Appender, upload.Source and query.Pending.
type Spool struct {
	fs     disk.FS
	opts   Options
	log    *slog.Logger
	lock   io.Closer // nil: read-only
	files  *files
	budget *budget
	bufs   sync.Pool // of *[]byte: the buffers of batches

	stateMu   sync.Mutex // one writer of the state file, the aside directory and the segments' names at a time
	indexMu   sync.Mutex // one removal or new index of a sealed segment at a time; may be taken with stateMu held
	bucketMu  sync.Mutex // one writer of the buckets file at a time
	journalMu sync.Mutex // one writer of the journal at a time
	journal   *journal   // guarded by journalMu

	mu        sync.Mutex
	idle      sync.Cond            // on mu: the writer or a sync ended
	segs      []*segment           // in seq order, replaced, never changed in place; guarded by mu
	active    *segment             // the last of segs while it takes entries, else nil; guarded by mu
	next      record.Seq           // the next seq to give; guarded by mu
	durable   record.Seq           // acked up to here; guarded by mu
	moved     chan struct{}        // closed and replaced when durable moves; guarded by mu
	freed     chan struct{}        // closed and replaced when there may be room again; guarded by mu
	closed    bool                 // guarded by mu
	queue     []*waiter            // appends that no batch took yet; guarded by mu
	pending   map[uint64]*waiter   // appends that are not durable yet, by copy hash; guarded by mu
	writing   bool                 // somebody has the writer's role; guarded by mu
	syncing   *batch               // the batch that is being fsynced; guarded by mu
	failed    *batch               // its fsync failed while somebody had the writer's role, who is to write it again; guarded by mu
	kick      chan struct{}        // tells the writer that the queue grew; capacity 1
	room      roomState            // guarded by mu
	released  record.Seq           // guarded by mu
	settled   seqSet               // seqs above released, stored or set aside; guarded by mu
	fences    []fence              // unreadable ranges above released, sorted; guarded by mu
	aside     asideIndex           // guarded by mu
	buckets   map[string]time.Time // first seen; guarded by mu
	syncs     syncClock
	bodyNames nameSync
	totals    totals        // guarded by mu
	oldest    oldest        // guarded by mu
	sealing   chan struct{} // closed when the last side file is written, nil if none was; guarded by mu
	opening   bool          // damage found is told later; guarded by mu
	filters   int64         // bytes of filters in memory; guarded by mu
}

// Open opens the spool in fs, the root of which is the spool's own directory,
// making what is missing. It reads the last segment, not the backlog. It fails
// with a *disk.LockedError when another process has it.
func Open(fs disk.FS, opts Options) (*Spool, error) {
	opts = opts.withDefaults()
	s := &Spool{
		fs: fs, opts: opts, log: opts.Logger, files: newFiles(fs), budget: newBudget(opts.MemoryBytes),
		moved: make(chan struct{}), freed: make(chan struct{}), kick: make(chan struct{}, 1),
		pending: map[uint64]*waiter{}, buckets: map[string]time.Time{}, aside: asideIndex{items: map[record.Seq]*asideItem{}},
	}
	s.idle.L = &s.mu
	s.opening = true
	if err := s.open(); err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
		s.files.close()
		return nil, fmt.Errorf("open spool: %w", err)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxBytes > 0 {
		o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/8, 64<<10))
	}
	o.SegmentBytes = min(o.SegmentBytes, maxSegmentBytes)
	if o.ReserveBytes <= 0 {
		o.ReserveBytes = 128 << 20
	}
	if o.InlineBytes <= 0 {
		o.InlineBytes = 256 << 10
	}
	o.InlineBytes = min(o.InlineBytes, 1<<20)
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = 24 << 20
	}
	if o.FilterBytes <= 0 {
		o.FilterBytes = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// open is Open's work, in the order in which what is found depends on what was found before.
func (s *Spool) open() error {
	if !s.opts.ReadOnly {
		lock, err := s.fs.Lock("lock")
		if err != nil {
			return err
		}
		s.lock = lock
		for _, dir := range []string{bodyDir, asideDir} {
			if err := s.fs.MkdirAll(dir); err != nil {
				return err
			}
		}
	}
	if err := s.loadState(); err != nil {
		return err
	}
	if err := s.loadSegments(); err != nil {
		return err
	}
	if err := s.loadAside(); err != nil {
		return err
	}
	if err := s.loadJournal(); err != nil {
		return err
	}
	if err := s.loadBuckets(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		s.catchUp()
	}
	s.numberOn()
	s.tellFences()
	if err := s.countPending(); err != nil || s.opts.ReadOnly {
		return err
	}
	s.stateMu.Lock()
	s.removeReleased()
	s.stateMu.Unlock()
	return s.sweepBodies()
}

// Wait returns once a record with a seq greater than after is durable, and
// tells the newest durable seq. It fails with ctx's error.
func (s *Spool) Wait(ctx context.Context, after record.Seq) (record.Seq, error) {
	for {
		s.mu.Lock()
		durable, moved := s.durable, s.moved
		s.mu.Unlock()
		if durable > after {
			return durable, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return durable, ctx.Err()
		}
	}
}

// Sync returns once everything that was appended before is durable, and what
// was settled before too.
func (s *Spool) Sync() error {
	s.mu.Lock()
	s.drain()
	s.mu.Unlock()
	if s.opts.ReadOnly {
		return nil
	}
	return errors.Join(s.syncJournal(), s.saveState())
}

// drain waits until nothing is on its way to the disk. The caller holds s.mu.
func (s *Spool) drain() {
	for s.writing || s.syncing != nil || len(s.queue) > 0 {
		s.idle.Wait()
	}
}

// Close ends the spool in order: appends that wait for the disk are finished,
// those that wait for room and later ones fail with record.ErrClosed. What was acked is
// durable whatever Close returns.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.freed)
	s.freed = make(chan struct{})
	s.drain()
	s.mu.Unlock()
	var errs []error
	if !s.opts.ReadOnly {
		errs = append(errs, s.sealForGood(), s.syncJournal(), s.closeJournal(), s.saveState())
	}
	s.waitForSeal()
	s.files.close()
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
