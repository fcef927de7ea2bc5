package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"indelible/internal/capture"
	"indelible/internal/layout"
	"indelible/internal/record"
)

// gap counts calls that were passed without a record. The zero value is ready.
type gap struct {
	mu    sync.Mutex
	calls int64     // guarded by mu
	since time.Time // guarded by mu
	until time.Time // guarded by mu
	ids   []string  // of the first ones; guarded by mu
}

// maxGapIDs bounds the exchange ids that a gap names.
const maxGapIDs = 1000

// note counts a call.
func (g *gap) note(c *capture.Exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls == 0 {
		g.since = c.Start
	}
	g.calls++
	g.until = time.Now()
	if len(g.ids) < maxGapIDs {
		g.ids = append(g.ids, c.ID)
	}
}

// gapRecord is the body of a gap record.
type gapRecord struct {
	V     int          `json:"v"`
	Kind  capture.Kind `json:"kind"`
	Calls int64        `json:"calls"`
	Since time.Time    `json:"since"`
	Until time.Time    `json:"until"`
	IDs   []string     `json:"ids"` // of the exchanges, the first 1,000
	Cause string       `json:"cause"`
}

// flushGap writes the record of a gap, where there is one.
func (r *Recorder) flushGap(ctx context.Context) error {
	r.gap.mu.Lock()
	defer r.gap.mu.Unlock()
	g := &r.gap
	if g.calls == 0 {
		return nil
	}
	b, err := json.Marshal(gapRecord{capture.Version, capture.Gap, g.calls, g.since.UTC(), g.until.UTC(), g.ids, "there was no room on the disk"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.hold())
	defer cancel()
	receipt, err := r.o.Log.Append(ctx, record.Record{
		Door: r.o.Door, Key: layout.DoorKey(r.o.Door, g.since.UTC(), fmt.Sprintf("gap-%d", g.calls)),
		Attrs: record.Attrs{{Name: "content-type", Value: capture.ContentType}}, Body: bytes.NewBuffer(b), Size: int64(len(b)),
	})
	if err != nil {
		return fmt.Errorf("record a gap of %d calls: %w", g.calls, err)
	}
	if r.o.Acked != nil {
		r.o.Acked(receipt, 0)
	}
	r.log.Warn("calls were passed without a record while the disk was full; a record says how many", "calls", g.calls, "since", g.since, "seq", receipt.Seq)
	g.calls, g.ids = 0, nil
	return nil
}
