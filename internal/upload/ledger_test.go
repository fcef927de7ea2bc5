package upload_test

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"indelible/internal/record"
)

// ledger is a Ledger in memory that insists on the order. Its checkpoints
// survive a restart; what was only added does not. What they say is stored it
// passes over when it comes again, as the log does.
type ledger struct {
	mu      sync.Mutex
	next    record.Seq // the seq that must come next
	covered record.Seq
	added   map[record.Seq]record.State
	proven  map[record.Seq]record.State
	before  map[record.Seq]record.State // proven when the run began
	fault   func(op string) error
	lies    []string
	points  int
}

func newLedger() *ledger {
	return &ledger{next: 1, added: map[record.Seq]record.State{}, proven: map[record.Seq]record.State{}}
}

func (l *ledger) Ready(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return l.fault("ready")
	}
	return nil
}

func (l *ledger) Add(_ context.Context, outcomes ...record.Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		if err := l.fault("add"); err != nil {
			return err
		}
	}
	for _, o := range outcomes {
		switch was := l.added[o.Seq]; {
		case o.Seq == l.next:
			l.next++
		case o.Seq > l.next:
			l.lies = append(l.lies, fmt.Sprintf("record %d was added, and %d should come", o.Seq, l.next))
		case l.before[o.Seq] == record.Stored: // a power loss can have the source forget that it was settled
			continue
		case was == record.Stored && o.State != record.Stored:
			l.lies = append(l.lies, fmt.Sprintf("record %d was stored and is %s now", o.Seq, o.State))
		}
		l.added[o.Seq] = o.State
	}
	return nil
}

func (l *ledger) Gap(_ context.Context, gap record.GapError) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if gap.First != l.next && gap.Last >= l.next {
		l.lies = append(l.lies, fmt.Sprintf("gap %d to %d was added, and %d should come", gap.First, gap.Last, l.next))
	}
	l.next = max(l.next, gap.Last+1)
	return nil
}

func (l *ledger) Checkpoint(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		if err := l.fault("checkpoint"); err != nil {
			return err
		}
	}
	l.points++
	l.covered = l.next - 1
	maps.Copy(l.proven, l.added)
	return nil
}

// checkpoints is how many there were.
func (l *ledger) checkpoints() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.points
}

// crash forgets what no checkpoint covers.
func (l *ledger) crash() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = l.covered + 1
	l.added, l.before = maps.Clone(l.proven), maps.Clone(l.proven)
}

func (l *ledger) upto() record.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.covered
}
