package spool

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	askFreeEvery = 250 * time.Millisecond // the disk is asked again how much is free
	askFreeSlack = 16 << 20               // within so many bytes of the reserve it is asked each time
	pollSpace    = 100 * time.Millisecond // others may free space as well
)

// ballastFile takes up space that is given back when the disk is full, so that
// what delivers and releases records can still write its small files.
const (
	ballastFile  = "ballast"
	ballastBytes = 8 << 20
)

// space keeps the books on the disk's space: what the spool takes, what was
// promised, what is left. Nobody waits for space while holding some. It is safe for concurrent use.
type space struct {
	fs      disk.FS
	max     int64 // the spool may take; 0: the disk, less the reserve
	reserve int64 // left free on the disk
	keep    int64 // of max kept for one more segment: no long body takes it
	log     *slog.Logger
	reclaim func() // gives back what is kept ready for later

	mu       sync.Mutex
	used     int64         // by segments, body files and copies; guarded by mu
	promised int64         // to bodies that are being written; guarded by mu
	free     int64         // on the disk when it was asked; guarded by mu
	usedThen int64         // used and promised when it was asked; guarded by mu
	asked    time.Time     // guarded by mu
	refused  time.Time     // the disk refused a write for want of space; guarded by mu
	holding  int           // appends that wait for space; guarded by mu
	freed    chan struct{} // closed and replaced when there may be space again; guarded by mu
	closed   bool          // guarded by mu
	ballast  bool          // the file is there; guarded by mu
}

func newSpace(fs disk.FS, o Options) *space {
	return &space{fs: fs, max: o.MaxBytes, reserve: o.ReserveBytes, keep: o.SegmentBytes, log: o.Logger, freed: make(chan struct{})}
}

// fits reports whether n more bytes can be taken. The caller holds s.mu.
func (s *space) fits(n int64) bool {
	if time.Since(s.refused) < pollSpace {
		return false
	}
	taken := s.used + s.promised
	if s.max > 0 && taken+n > s.max {
		return false
	}
	left := s.free - (taken - s.usedThen) - s.reserve - n
	if now := time.Now(); left < askFreeSlack || now.Sub(s.asked) > askFreeEvery {
		free, err := s.fs.Free()
		if err != nil {
			s.log.Warn("ask the disk how much is free", "error", err)
			return true // a write will tell
		}
		s.free, s.usedThen, s.asked = int64(min(free, 1<<62)), taken, now
		left = s.free - s.reserve - n
	}
	return left >= 0
}

// take takes n bytes if they are there, for segments.
func (s *space) take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fits(n) {
		return false
	}
	s.used += n
	return true
}

// room reports whether n more bytes could be taken.
func (s *space) room(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fits(n)
}

// add counts bytes that were written without asking, or, below 0, gives some back.
func (s *space) add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used += n
	if n < 0 {
		s.wake()
	}
}

// promise reserves n bytes of the disk for a body, waiting until they are
// there or ctx ends; wait false: only if they are there now. What can never fit is refused at once.
func (s *space) promise(ctx context.Context, n int64, wait bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.max > 0 && n > s.max-2*s.keep {
		return fmt.Errorf("%w: a body of %d bytes can never fit into a spool of %d (spool.max_bytes): raise it", record.ErrInvalid, n, s.max)
	}
	if s.closed {
		return record.ErrClosed
	}
	if s.fits(n + s.kept()) {
		s.promised += n
		return nil
	}
	s.mu.Unlock()
	s.reclaim() // what is kept ready is worth less than a record
	s.mu.Lock()
	if s.fits(n + s.kept()) {
		s.promised += n
		return nil
	}
	if !wait {
		return fmt.Errorf("%w: the spool is full", record.ErrPushback)
	}
	s.holding++
	defer func() { s.holding-- }()
	timer := time.NewTicker(pollSpace)
	defer timer.Stop()
	for {
		freed := s.freed
		s.mu.Unlock()
		var err error
		select {
		case <-freed:
		case <-timer.C:
		case <-ctx.Done():
			err = fmt.Errorf("%w: the spool is full: %w", record.ErrPushback, ctx.Err())
		}
		s.mu.Lock()
		switch {
		case err != nil:
			return err
		case s.closed:
			return record.ErrClosed
		case s.fits(n + s.kept()):
			s.promised += n
			return nil
		}
	}
}

// kept is what a long body has to leave for segments. The caller holds s.mu.
func (s *space) kept() int64 {
	if s.max == 0 {
		return 0
	}
	return s.keep
}

// settle ends a promise of n bytes of which used were taken.
func (s *space) settle(n, used int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised -= n
	s.used += used
	if used < n {
		s.wake()
	}
}

// full notes that the disk refused a write, whatever it said was free, and
// gives the ballast back.
func (s *space) full() {
	s.mu.Lock()
	s.refused = time.Now()
	drop := s.ballast
	s.ballast = false
	s.mu.Unlock()
	if !drop {
		return
	}
	s.log.Warn("the disk is full: the space that was kept for delivery is given back; make room on it")
	if err := s.fs.Remove(ballastFile); err != nil && !isNotExist(err) {
		s.log.Warn("give back the space that was kept", "file", ballastFile, "error", err)
	}
}

// fillBallast takes the ballast up where the disk has room for it.
func (s *space) fillBallast() {
	s.mu.Lock()
	free, err := s.fs.Free()
	have := s.ballast
	s.mu.Unlock()
	if have || err != nil || int64(min(free, 1<<62)) < s.reserve+2*ballastBytes || s.max > 0 && s.max < 16*ballastBytes {
		return
	}
	file, err := s.fs.Create(ballastFile)
	if err == nil {
		err = file.Allocate(ballastBytes)
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		_ = s.fs.Remove(ballastFile) // the next try makes it again
		return
	}
	s.mu.Lock()
	s.ballast = true
	s.mu.Unlock()
}

// hold returns a channel that is closed when there may be space again. The caller calls unhold.
func (s *space) hold() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding++
	return s.freed
}

func (s *space) unhold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding--
}

// wake tells whoever waits for space to look again. The caller holds s.mu.
func (s *space) wake() {
	close(s.freed)
	s.freed = make(chan struct{})
}

// close ends all waiting.
func (s *space) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake()
}

func (s *space) stats() (used int64, holding int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.holding
}
