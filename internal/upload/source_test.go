package upload_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"indelible/internal/record"
)

// source is a Source in memory. It is strict: releasing what was not settled,
// or what the ledger does not cover, is an error that the test sees.
type source struct {
	mu       sync.Mutex
	changed  chan struct{}
	entries  []record.Entry // by seq-1
	gaps     []record.GapError
	settled  map[record.Seq]record.Outcome
	parked   map[record.Seq]record.ParkedEntry
	released record.Seq
	lies     []string          // what must never happen
	covered  func() record.Seq // with a ledger: everything up to it is in a checkpoint
	fault    func(op string) error
	lost     map[record.Seq]bool                   // bodies that the disk gives back wrong
	readable func(seq record.Seq, body bool) error // nil: every read succeeds
	reads    int                                   // reads that failed
}

func newSource() *source {
	return &source{changed: make(chan struct{}), settled: map[record.Seq]record.Outcome{}, parked: map[record.Seq]record.ParkedEntry{}, lost: map[record.Seq]bool{}}
}

type seekCloser struct{ *bytes.Reader }

func (seekCloser) Close() error { return nil }

// rotten is a body that fails as it is read.
type rotten struct{ err error }

func (r rotten) Read([]byte) (int, error)     { return 0, r.err }
func (rotten) Seek(int64, int) (int64, error) { return 0, nil }
func (rotten) Close() error                   { return nil }

func (s *source) add(bucket, key, body string) record.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := record.Seq(len(s.entries) + 1)
	s.entries = append(s.entries, record.Entry{
		Info: record.Info{Seq: seq, Time: time.Now(), Door: "s3", Bucket: bucket, Key: key, Size: int64(len(body)), Digest: sha256.Sum256([]byte(body))},
		Open: func() (io.ReadSeekCloser, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			err := s.read(seq, true)
			if s.lost[seq] {
				err = &record.GapError{First: seq, Last: seq, Cause: "checksum mismatch"}
			}
			switch {
			case err != nil && seq%2 == 0:
				return nil, err
			case err != nil:
				return rotten{err}, nil
			}
			return seekCloser{bytes.NewReader([]byte(body))}, nil
		},
	})
	close(s.changed)
	s.changed = make(chan struct{})
	return seq
}

// read is one read of the disk; the caller holds mu.
func (s *source) read(seq record.Seq, body bool) error {
	if s.readable == nil {
		return nil
	}
	if err := s.readable(seq, body); err != nil {
		s.reads++
		return &record.ReadError{Seq: seq, Err: err}
	}
	return nil
}

func (s *source) Entry(ctx context.Context, seq record.Seq) (record.Entry, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gap := s.gapAt(seq); gap != nil {
		return record.Entry{}, false, gap
	}
	if seq <= s.released && s.parked[seq].Seq == 0 || seq > record.Seq(len(s.entries)) {
		return record.Entry{}, false, nil
	}
	if err := s.read(seq, false); err != nil {
		return record.Entry{}, false, err
	}
	return s.entries[seq-1], true, nil
}

// gap fences off a range.
func (s *source) gap(first, last record.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, record.GapError{First: first, Last: last, Cause: "rot"})
}

func (s *source) gapAt(seq record.Seq) *record.GapError {
	for _, g := range s.gaps {
		if g.First <= seq && seq <= g.Last {
			return &g
		}
	}
	return nil
}

func (s *source) Entries(ctx context.Context, from record.Seq) iter.Seq2[record.Entry, error] {
	s.mu.Lock()
	newest := record.Seq(len(s.entries))
	s.mu.Unlock()
	return func(yield func(record.Entry, error) bool) {
		for seq := from; seq <= newest; seq++ {
			s.mu.Lock()
			err := s.failing("entries")
			gap := s.gapAt(seq)
			_, done := s.settled[seq]
			if a, ok := s.parked[seq]; ok && a.Seq == seq {
				done = true
			}
			e := s.entries[seq-1]
			var unread error
			if gap == nil && !done {
				unread = s.read(seq, false)
			}
			s.mu.Unlock()
			switch {
			case ctx.Err() != nil:
				yield(record.Entry{}, ctx.Err())
				return
			case err != nil:
				yield(record.Entry{}, err)
				return
			case gap != nil:
				if !yield(record.Entry{}, gap) {
					return
				}
				seq = gap.Last
			case unread != nil:
				if !yield(record.Entry{}, unread) {
					return
				}
			case !done:
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (s *source) failing(op string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(op)
}

func (s *source) Wait(ctx context.Context, after record.Seq) (record.Seq, error) {
	for {
		s.mu.Lock()
		newest, changed := record.Seq(len(s.entries)), s.changed
		s.mu.Unlock()
		if newest > after {
			return newest, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (s *source) Settle(ctx context.Context, outcomes ...record.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("settle"); err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.State == record.Stored {
			s.settled[o.Seq] = o
			delete(s.parked, o.Seq)
			continue
		}
		if len(outcomes) != 1 {
			return errors.New("parked records come one per call")
		}
		if o.Seq <= s.released && s.parked[o.Seq].Seq == 0 {
			return fmt.Errorf("settle record %d: it is not here", o.Seq) // as the spool says, once its segment is gone
		}
		if s.lost[o.Seq] {
			g := record.GapError{First: o.Seq, Last: o.Seq, Cause: "rot"}
			s.gaps = append(s.gaps, g)
			return &g
		}
		e := s.entries[o.Seq-1]
		if o.Digest != e.Digest {
			e.Info = record.Info{Seq: o.Seq} // it was parked unread
		}
		s.parked[o.Seq] = record.ParkedEntry{Entry: e, State: o.State, Reason: o.Reason, Since: time.Now()}
	}
	return nil
}

func (s *source) Parked(ctx context.Context) iter.Seq2[record.ParkedEntry, error] {
	s.mu.Lock()
	list := slices.SortedFunc(maps.Values(s.parked), func(a, b record.ParkedEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	s.mu.Unlock()
	return func(yield func(record.ParkedEntry, error) bool) {
		for _, a := range list {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (s *source) Release(ctx context.Context, upto record.Seq) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("release"); err != nil {
		return err
	}
	for seq := s.released + 1; seq <= upto; seq++ {
		_, stored := s.settled[seq]
		_, parked := s.parked[seq]
		if !stored && !parked && s.gapAt(seq) == nil {
			s.lies = append(s.lies, fmt.Sprintf("record %d was released and is not settled", seq))
		}
		if s.covered != nil && s.covered() < seq {
			s.lies = append(s.lies, fmt.Sprintf("record %d was released and is not proven", seq))
		}
	}
	s.released = max(s.released, upto)
	return nil
}

func (s *source) Released() record.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.released
}

// powerLoss forgets what needed no fsync: any of the stored outcomes that were not released.
func (s *source) powerLoss(forget func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq := range s.settled {
		if seq > s.released && forget() {
			delete(s.settled, seq)
		}
	}
}

func (s *source) stateOf(seq record.Seq) record.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.settled[seq]; ok {
		return o.State
	}
	if a, ok := s.parked[seq]; ok {
		return a.State
	}
	return record.Pending
}
