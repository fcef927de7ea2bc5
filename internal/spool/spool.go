package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
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
	MemoryBytes  int64  // for bodies on their way in, together; beyond it they wait, or go to files: 24 MiB
	KnownRecords int    // how many of the newest records are known again when they are sent again: 512 Ki, 24 bytes each
	FilterBytes  int64  // for the filters of the newest sealed segments, which look-ups of unknown keys ask: 16 MiB
	ReadOnly     bool   // look at a directory that another process may use: no lock, no write
	Events       Events
	Logger       *slog.Logger // nil: discarded

	// ReleasedAtMost is how far records can have been released, where somebody else knows: it counts
	// where the spool's own state is gone. Records behind it that no segment holds are a gap then; nil: they
	// are taken for released.
	ReleasedAtMost *record.Seq
}

// Events are called as things happen, from the goroutine they happen in: keep
// them short. Any may be nil.
type Events struct {
	Acked  func(door string, took time.Duration)                         // from the last byte of the body to the ack
	Synced func(records int, bytes int64, took time.Duration, err error) // one batch was fsynced, or not
	Gap    func(gap record.GapError)                                     // damage was found
}

// Spool is a durable queue of records. Its methods may be called concurrently,
// and fail with record.ErrClosed once Close was called. It satisfies ingest.Appender, upload.Source and query.Pending.
//
// It puts the parts together; each has its own file and guards itself:
//
//	admit ─▶ queue ─▶ writer ─▶ segments      known: what was sent before
//	                               ▲          settled, parked, gaps: what became of records
//	Entries, Lookup, Keys ─────────┘          space, budget: the bounds of disk and memory
type Spool struct {
	fs       disk.FS
	opts     Options
	log      *slog.Logger
	ids      secret
	lock     io.Closer // nil: read-only
	owner    *owner
	health   *readHealth
	writes   *writeHealth
	files    *files
	space    *space
	bodies   *bodyFiles
	admitter *admitter
	known    *known
	queue    *queue
	writer   *writer
	spare    *spareSegments
	segs     *segments
	gaps     *gaps
	settled  *settlement
	parked   *parkedSet
	buckets  *buckets

	windows windowBufs
	oldest  oldest
	resent  atomic.Uint64
	life    sync.RWMutex // held for reading by whatever is under way, for writing by Close
	closing atomic.Bool
	closed  chan struct{} // closed by Close
}

// Open opens the spool in fs, the root of which is the spool's own directory,
// making what is missing. It reads the last segment, not the backlog, and believes nothing that it has not
// made durable. It fails with a *disk.LockedError when another process has it, with a
// *VersionError when another version wrote it, and whenever the disk fails a read or a sync:
// nothing is concluded from that.
func Open(fs disk.FS, opts Options) (*Spool, error) {
	s := newSpool(fs, opts.withDefaults())
	if err := s.open(); err != nil {
		s.files.close()
		errs := []error{fmt.Errorf("open spool: %w", err)}
		s.owner.close()
		if s.lock != nil {
			errs = append(errs, s.settled.close(), s.writer.high.close(), s.lock.Close())
		}
		return nil, errors.Join(errs...)
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
	if o.KnownRecords <= 0 {
		o.KnownRecords = 512 << 10
	}
	if o.FilterBytes <= 0 {
		o.FilterBytes = 16 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// newSpool makes the parts and ties them together; it does no I/O.
func newSpool(fs disk.FS, o Options) *Spool {
	s := &Spool{fs: fs, opts: o, log: o.Logger, closed: make(chan struct{})}
	s.health = newReadHealth(o.Logger)
	s.owner = &owner{fs: fs, log: o.Logger}
	s.files = newFiles(fs, s.health)
	s.space = newSpace(fs, o)
	s.bodies = &bodyFiles{fs: fs, files: s.files}
	s.admitter = &admitter{inline: o.InlineBytes, budget: newBudget(o.MemoryBytes), space: s.space, bodies: s.bodies}
	s.spare = newSpareSegments(fs, s.space, o)
	s.gaps = &gaps{log: o.Logger, event: o.Events.Gap, opening: true}
	s.segs = &segments{
		fs: fs, files: s.files, log: o.Logger, space: s.space, spare: s.spare, bodies: s.bodies, gaps: s.gaps,
		readOnly: o.ReadOnly, filterLimit: o.FilterBytes,
	}
	s.segs.saved.L = &s.segs.sealMu
	s.writes = &writeHealth{fs: fs}
	s.writer = &writer{
		spare: s.spare, segs: s.segs, space: s.space, fs: fs, log: o.Logger, events: o.Events, clock: &syncClock{}, health: s.writes, owner: s.owner,
		high: &highWater{fs: fs, log: o.Logger}, moved: make(chan struct{}),
	}
	s.settled = &settlement{
		segs: s.segs, state: stateWriter{fs: fs}, journal: &journal{fs: fs, files: s.files, log: o.Logger},
	}
	s.parked = newParkedSet(fs, s.files, o.Logger)
	s.segs.pinned = s.parked.pins
	s.space.reclaim = func() {
		s.spare.drop()
		if s.queue.wantYield() {
			s.writer.start()
		}
	}
	s.buckets = &buckets{fs: fs, log: o.Logger}
	s.segs.names = s.buckets.save
	if !o.ReadOnly {
		s.gaps.fs = fs
	}
	return s
}

// begin notes that something is under way, for Close to wait for. The caller ends it with s.life.RUnlock.
//
// It never waits: what is under way may begin something else (a Seal that looks a key up), and
// would wait for the Close that waits for it.
func (s *Spool) begin() error {
	if s.closing.Load() || !s.life.TryRLock() {
		return record.ErrClosed
	}
	if s.closing.Load() {
		s.life.RUnlock()
		return record.ErrClosed
	}
	return nil
}

// beginChange is begin for what changes the spool.
func (s *Spool) beginChange() error {
	if s.opts.ReadOnly {
		return fmt.Errorf("%w: the spool is open for reading only", record.ErrClosed)
	}
	if err := s.owner.check(); err != nil {
		return err
	}
	return s.begin()
}

// Wait returns once a record with a seq greater than after is durable, and
// tells the newest durable seq. It fails with ctx's error, and with record.ErrClosed once Close was called.
func (s *Spool) Wait(ctx context.Context, after record.Seq) (record.Seq, error) {
	for {
		durable, moved := s.writer.wait()
		if durable > after {
			return durable, nil
		}
		select {
		case <-moved:
		case <-s.closed:
			return durable, record.ErrClosed
		case <-ctx.Done():
			return durable, ctx.Err()
		}
	}
}

// Sync returns once everything that was appended before is durable, and what
// was settled before too. It does not wait for what comes meanwhile.
func (s *Spool) Sync() error {
	if s.opts.ReadOnly {
		return nil
	}
	if err := s.begin(); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	defer s.life.RUnlock()
	<-s.queue.position().done
	return errors.Join(s.settled.journal.sync(), s.settled.save(s.snapshot))
}

// Close ends the spool in order: appends that wait for the disk are finished,
// those that wait for room and later calls fail with record.ErrClosed, and what is under way is waited
// for. What was acked is durable whatever Close returns.
func (s *Spool) Close() error {
	if s.closing.Swap(true) {
		return nil
	}
	close(s.closed)
	if s.queue != nil {
		s.queue.close()
	}
	s.space.close()
	s.life.Lock()
	defer s.life.Unlock()
	s.writer.wg.Wait()
	var errs []error
	switch {
	case s.opts.ReadOnly:
	case errors.Is(s.owner.check(), errOwned): // nothing is written any more to what another process has
		s.segs.close()
		s.spare.abandon()
		errs = append(errs, s.settled.journal.close(), s.settled.close(), s.writer.high.close())
	default:
		if s.writer.seg != nil {
			s.writer.seal()
		}
		s.segs.close()
		s.spare.close()
		errs = append(errs, s.buckets.save(), s.settled.journal.sync(), s.settled.journal.close(), s.settled.save(s.snapshot), s.settled.close(), s.writer.high.close())
	}
	s.files.close()
	s.owner.close()
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
