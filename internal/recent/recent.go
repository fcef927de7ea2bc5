// Package recent remembers which records were acknowledged last, and who sent them: what a dashboard shows.
package recent

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/record"
)

// recentMost is how many records the dashboard shows as the newest ones.
const recentMost = 50

// Records is an engine's Append that remembers what was acknowledged last. It is safe for
// concurrent use.
type Records struct {
	*engine.Engine

	mu   sync.Mutex
	last []record.Info // a ring, full or not; guarded by mu
	at   int           // where the next one goes; guarded by mu
	from senders       // guarded by mu

	parked parkedStates
}

// Of remembers what e acknowledges from now on.
func Of(e *engine.Engine) *Records { return &Records{Engine: e} }

// Append is ingest.Appender's.
func (r *Records) Append(ctx context.Context, rec record.Record) (record.Receipt, error) {
	receipt, err := r.Engine.Append(ctx, rec)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.note(&rec, receipt)
	}
	return receipt, err
}

// AppendAll is jsonapi.Appender's.
func (r *Records) AppendAll(ctx context.Context, recs []record.Record) ([]record.Receipt, error) {
	receipts, err := r.Engine.AppendAll(ctx, recs)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i := range receipts {
			r.note(&recs[i], receipts[i])
		}
	}
	return receipts, err
}

// note remembers one. Callers hold mu.
func (r *Records) note(rec *record.Record, receipt record.Receipt) {
	r.from.note(rec.Door, rec.Source, time.Now())
	if receipt.Resent {
		return // an earlier record, not a new one
	}
	info := record.Info{
		Seq: receipt.Seq, Time: receipt.Time, Digest: receipt.Digest, Size: receipt.Size,
		Door: rec.Door, Source: rec.Source, Bucket: rec.Bucket, Key: rec.Key,
	}
	if len(r.last) < recentMost {
		r.last = append(r.last, info)
		return
	}
	r.last[r.at] = info
	r.at = (r.at + 1) % recentMost
}

// Expect has the sender of that source counted from now on, however long it is silent.
func (r *Records) Expect(door, source string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from.expect(door, source)
}

// Sender is what was counted of one that is expected.
func (r *Records) Sender(door, source string) control.Sender {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from.get(door, source)
}

// Senders are those whose records were acknowledged since the daemon started.
func (r *Records) Senders() []control.Sender {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from.list()
}

// Recent is control.Views's.
func (r *Records) Recent() []catalog.Row {
	r.mu.Lock()
	infos := slices.Clone(r.last)
	r.mu.Unlock()
	slices.SortFunc(infos, func(a, b record.Info) int { return cmp.Compare(b.Seq, a.Seq) })
	stats := r.Stats()
	parked := r.parked.get(r.Engine, stats.Spool.Quarantined, stats.Spool.Deferred)
	rows := make([]catalog.Row, 0, len(infos))
	for _, i := range infos {
		row := catalog.RowOf(i)
		if parked, ok := parked[i.Seq]; ok {
			row.State = parked
		} else if i.Seq <= stats.Log.Proven {
			row.State = record.Proven
		}
		rows = append(rows, row)
	}
	return rows
}

// parkedStates are the states of the records that were parked, read again when their
// number changes and every parkedFor. It is safe for concurrent use.
type parkedStates struct {
	mu                    sync.Mutex
	states                map[record.Seq]record.State // never changed once it is here; guarded by mu
	quarantined, deferred uint64                      // how many there were; guarded by mu
	read                  time.Time                   // guarded by mu
}

const parkedFor = 5 * time.Second

func (a *parkedStates) get(e *engine.Engine, quarantined, deferred uint64) map[record.Seq]record.State {
	if quarantined+deferred == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.states != nil && a.quarantined == quarantined && a.deferred == deferred && time.Since(a.read) < parkedFor {
		return a.states
	}
	states := map[record.Seq]record.State{}
	for parked, err := range e.Parked(context.Background()) {
		if err != nil {
			break // the disk watch tells of it
		}
		states[parked.Seq] = parked.State
	}
	a.states, a.quarantined, a.deferred, a.read = states, quarantined, deferred, time.Now()
	return states
}
