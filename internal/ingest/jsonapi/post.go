package jsonapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/record"
)

// door is this door's name in records.
const door = "http"

// batchRecords are appended with one call: it bounds what the spool holds of a
// request at a time.
const batchRecords = 4096

// request is one request on its way through the door.
type request struct {
	*http.Request
	w       http.ResponseWriter
	start   time.Time
	sender  ingest.Sender
	body    ingest.Body
	data    []byte         // the body, decoded
	reading ingest.Reading // of the body: its memory, and how long it may still be held
}

// post takes the records of one request. It answers after the spool has
// fsynced them all.
func (d *Door) post(q *request) error {
	if err := d.read(q); err != nil {
		return err
	}
	elements, err := split(q.data, d.maxRecords)
	switch {
	case err != nil:
		return err
	case elements == nil:
		return empty()
	case len(elements) > d.maxRecords:
		return d.tooMany()
	}
	receipts, err := d.append(q, elements)
	if err != nil {
		return err
	}
	return d.acknowledge(q, elements, receipts)
}

// append makes records of the elements and has them fsynced.
func (d *Door) append(q *request, elements []element) ([]record.Receipt, error) {
	// The context does not end with the client: records that are whole are kept,
	// also when nobody waits for the answer.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(q.Context()), q.reading.Hold, ingest.ErrHeld)
	defer cancel()
	names := naming{door: d, now: q.start, idempotency: q.Header.Get("Idempotency-Key"), body: q.data}
	all := make([]record.Record, 0, min(len(elements), batchRecords))
	var receipts []record.Receipt
	for i, e := range elements {
		all = append(all, record.Record{
			Door: door, Source: q.sender.Source(), Bucket: d.bucket, Key: names.key(i, e), Attrs: d.attrs(e),
			Body: bytes.NewBuffer(e.raw), Size: int64(len(e.raw)),
		})
		if len(all) < batchRecords && i < len(elements)-1 {
			continue
		}
		got, err := d.spool.AppendAll(ctx, all)
		if err != nil && errors.Is(context.Cause(ctx), ingest.ErrHeld) {
			err = fmt.Errorf("%w: %w", ingest.ErrHeld, err)
		}
		if err != nil {
			return nil, err
		}
		if receipts == nil {
			receipts = got
		} else {
			receipts = append(receipts, got...)
		}
		all = all[:0]
	}
	return receipts, nil
}

// attrs are the attributes of an element, shared by all that are alike.
func (d *Door) attrs(e element) record.Attrs {
	switch e.flag {
	case "":
		return d.parsed
	case flagNull:
		return d.null
	case flagNonStandard:
		return d.nonStandard
	}
	return d.unparsed
}

// answer is what a sender gets for its records.
type answer struct {
	Log   string     `json:"log"`
	First record.Seq `json:"first"` // seq of the first one
	Count int        `json:"count"`
	// Resent is how many were known already. Without it, the records have the
	// numbers from First on, in their order.
	Resent int `json:"resent,omitempty"`
}

// acknowledge answers with the receipts: everything is durable.
func (d *Door) acknowledge(q *request, elements []element, receipts []record.Receipt) error {
	a := answer{Log: d.logName, Count: len(receipts), Resent: d.count(elements, receipts, time.Since(q.start))}
	if len(receipts) > 0 {
		a.Log, a.First = receipts[0].Log, receipts[0].Seq
	}
	if len(receipts) == 1 {
		q.w.Header()["X-Indelible-Receipt"] = []string{receipts[0].String()}
	}
	doc, err := json.Marshal(a)
	if err != nil {
		return err
	}
	writeJSON(q.w, http.StatusOK, append(doc, '\n'))
	return nil
}

// count counts the records of a request, and says how many were known.
func (d *Door) count(elements []element, receipts []record.Receipt, took time.Duration) (resent int) {
	flagged := 0
	for i, r := range receipts {
		d.meter.Ack(r, took)
		if r.Resent {
			resent++
		}
		if elements[i].flag != "" {
			flagged++
		}
	}
	d.meter.Flag(flagged)
	return resent
}
