package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"indelible/internal/proof"
)

// Scrub says how often the destination is looked at in the background, and how closely: the log's
// tree whole, and a sample of the objects. A store that loses what it took is found without anybody asking.
type Scrub struct {
	Every  time.Duration // 0: never
	Sample float64       // percentage of the objects that are read; 0 is 1
}

// ScrubStats is what the scrubs since the start have found.
type ScrubStats struct {
	Ended   time.Time // when the last one that could look ended; zero: none yet
	Took    time.Duration
	Records int64  // that the log told of
	Checked int64  // objects read
	Faults  int64  // found by all of them: a later sample need not meet the same one
	First   string // the first fault
	Problem string // why the last one could not look; "" if it could
}

const (
	scrubParallel = 4 // requests at once: delivery goes first
	scrubTold     = 5 // faults that are written to the log each time
)

// scrubber verifies now and then. It is safe for concurrent use.
type scrubber struct {
	engine *Engine
	opts   Scrub

	mu    sync.Mutex
	stats ScrubStats // guarded by mu
}

// run scrubs until ctx ends, the first time after a tenth of Every, and with pauses that keep many daemons apart.
func (s *scrubber) run(ctx context.Context) {
	for wait := s.opts.Every / 10; ; wait = s.opts.Every {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait + rand.N(wait/10+1)):
		}
		s.scrub(ctx)
	}
}

// scrub verifies once.
func (s *scrubber) scrub(ctx context.Context) {
	log := s.engine.component("scrub")
	report, err := s.verify(ctx)
	if ctx.Err() != nil {
		return
	}
	s.note(report, err)
	if err != nil {
		log.Warn("the destination could not be looked at; the next scrub tries again", "error", err)
		return
	}
	for i, f := range report.Faults {
		if i == scrubTold {
			break
		}
		log.Error("the destination has lost or changed what it had taken", "fault", f.String())
	}
	if report.FaultCount > 0 {
		log.Error("scrub: run \"indelible verify\" to see all that is missing or changed; what can be brought back the store's versions or a copy of the bucket have", "faults", report.FaultCount, "checked", report.Checked)
		return
	}
	log.Info("scrub: nothing is missing or changed", "records", report.Records, "checked", report.Checked, "took", time.Duration(report.Seconds*float64(time.Second)).Round(time.Millisecond))
}

func (s *scrubber) verify(ctx context.Context) (proof.Report, error) {
	ledger := s.engine.ledger.log.Load()
	if ledger == nil {
		return proof.Report{}, errors.New("the log is not open yet")
	}
	o := proof.VerifyOptions{Sample: s.opts.Sample, Parallel: scrubParallel, NoExtras: true, Packs: PackReader{}}
	if o.Sample == 0 {
		o.Sample = 1
	}
	// Before the store is read: a log that grows meanwhile is never older than this.
	checkpoint, _, err := proof.LastPublished(s.engine.data)
	if err != nil {
		return proof.Report{}, err
	}
	if checkpoint == nil {
		return proof.Report{}, errors.New("the log has no checkpoint yet")
	}
	o.Kept = []proof.KeptCheckpoint{{Name: "data directory " + s.engine.opts.Dir, Checkpoint: checkpoint}}
	return proof.Verify(ctx, s.engine.Store(), s.engine.Layout().Base(), ledger.Public(), o)
}

// note takes what a scrub came to.
func (s *scrubber) note(r proof.Report, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Problem = err.Error()
		return
	}
	st := &s.stats
	st.Problem, st.Ended, st.Records, st.Checked = "", time.Now(), r.Records, r.Checked
	st.Took = time.Duration(r.Seconds * float64(time.Second))
	if st.First == "" && len(r.Faults) > 0 {
		st.First = r.Faults[0].String()
	}
	st.Faults += r.FaultCount
}

func (s *scrubber) snapshot() *ScrubStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	return &st
}
