package spool

import (
	"context"
	"fmt"
	"time"

	"indelible/internal/record"
)

const (
	freeEvery = 250 * time.Millisecond // the disk is asked again how much is free
	freeSlack = 16 << 20               // within so many bytes of the reserve it is asked each time
	pollRoom  = 100 * time.Millisecond // others may free space as well
)

// roomState is what is known about the room on the disk. Guarded by Spool.mu.
type roomState struct {
	used    int64 // by segments, body files and set-aside copies
	free    int64 // on the disk when it was asked, less what was written since
	usedAt  int64 // used when it was asked
	asked   time.Time
	refused time.Time // the disk refused a write for want of space
	holding int       // appends that wait for room
}

// hasRoom says whether n more bytes fit. The caller holds s.mu.
func (s *Spool) hasRoom(n int64) bool {
	r := &s.room
	if time.Since(r.refused) < pollRoom {
		return false
	}
	if s.opts.MaxBytes > 0 && r.used+n > s.opts.MaxBytes {
		// What is allocated and not yet written is room of the active segment.
		if g := s.active; g == nil || n > g.alloc-g.synced || r.used > s.opts.MaxBytes {
			return false
		}
	}
	left := r.free - (r.used - r.usedAt) - s.opts.ReserveBytes - n
	if now := time.Now(); left < freeSlack || now.Sub(r.asked) > freeEvery {
		free, err := s.fs.Free()
		if err != nil {
			s.log.Warn("ask the disk how much is free", "error", err)
			return true // a write will tell
		}
		r.free, r.usedAt, r.asked = int64(min(free, 1<<62)), r.used, now
		left = r.free - s.opts.ReserveBytes - n
	}
	return left >= 0
}

// waitForRoom returns once n more bytes fit, or with ErrPushback when ctx ends before.
func (s *Spool) waitForRoom(ctx context.Context, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.hasRoom(n) {
		return nil
	}
	s.room.holding++
	defer func() { s.room.holding-- }()
	timer := time.NewTicker(pollRoom)
	defer timer.Stop()
	for {
		if s.closed {
			return record.ErrClosed
		}
		if s.hasRoom(n) {
			return nil
		}
		freed := s.freed
		s.mu.Unlock()
		s.makeRoom()
		var err error
		select {
		case <-freed:
		case <-timer.C:
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", record.ErrPushback, ctx.Err())
		}
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// noSpace notes that the disk refused a write, whatever it said was free.
func (s *Spool) noSpace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.refused = time.Now()
}

// makeRoom lets go of the active segment where everything in it was released.
func (s *Spool) makeRoom() {
	s.mu.Lock()
	g := s.active
	free := g != nil && !s.closed && !s.writing && s.syncing == nil && g.last == s.released && g.last >= g.first
	if free {
		s.writing = true
	}
	s.mu.Unlock()
	if !free {
		return
	}
	s.seal(g)
	s.stateMu.Lock()
	s.removeReleased()
	s.stateMu.Unlock()
	s.mu.Lock()
	s.passOn()
	s.mu.Unlock()
}
