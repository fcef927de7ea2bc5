// Package jsonapi is the JSON door: POST /v1/records takes one JSON object, an
// array or NDJSON, and makes a record of each element, byte for byte.
//
// A request is acknowledged as a whole, after all of its records are fsynced.
// Nothing is appended before the request was read, decoded and split to its
// end; what does not parse is kept raw and flagged, because the sender of an
// audit record seldom gets to send it again.
package jsonapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/record"
)

// Appender makes the records of one request durable. *spool.Spool is one.
type Appender interface {
	// AppendAll returns once all records are fsynced, with a receipt for each, in
	// their order. What it says of one record is what ingest.Appender says of it.
	// After any error none is acked; some may be delivered all the same, and are
	// known when they are sent again.
	AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error)
}

// Options are what a Door is made of.
type Options struct {
	Spool   Appender
	LogName string // the log's name, for the answer to an empty array

	Tokens []ingest.Token // who may send; none: everybody
	Bucket string         // of the records: as if it had been sent to this bucket of the S3 door; usually ""
	Keys   Keys           // how keys are made for LiteLLM's payloads

	MaxRequest int64 // bytes of a request, decoded; 0 is 64 MiB
	MaxRecords int   // records of a request; 0 is 100,000
	MaxMemory  int64 // for the long bodies of all requests together, at least 2×MaxRequest; 0 is twice that

	Bodies *ingest.Bodies // shared with other doors, in place of MaxRequest and MaxMemory; nil makes one

	MaxHold time.Duration // how long a request waits for memory and for the spool before 503; 0 is 20 s

	Pace ingest.Pace // how slowly a body may come; the zero Pace is ingest.DefaultPace

	Meter *ingest.Meter // counts what the door does; nil makes one
	Log   *slog.Logger  // nil discards
}

// Defaults of Options.
const (
	DefaultMaxRequest = 64 << 20
	DefaultMaxRecords = 100_000
	DefaultMaxHold    = 20 * time.Second
)

// MaxHeader is how long the head of a request may be.
const MaxHeader = 64 << 10

// Path is where records are sent to.
const Path = "/v1/records"

// Door answers requests with JSON records. It is safe for concurrent use.
type Door struct {
	spool    Appender
	logName  string
	senders  ingest.Authenticator
	bucket   string
	keys     Keys
	arrivals *ingest.Arrivals

	bodies     *ingest.Bodies
	maxRecords int
	maxHold    time.Duration
	pace       ingest.Pace

	parsed, unparsed, null, nonStandard record.Attrs // of records; shared, never changed

	notices ingest.Notices
	meter   *ingest.Meter
	log     *slog.Logger
}

// New makes a door. It fails only on options that cannot work.
func New(o Options) (*Door, error) {
	d := &Door{
		spool:       o.Spool,
		logName:     o.LogName,
		senders:     ingest.NewTokens(o.Tokens, unauthorized()),
		bucket:      o.Bucket,
		keys:        o.Keys,
		arrivals:    ingest.NewArrivals(),
		bodies:      o.Bodies,
		maxRecords:  cmp.Or(o.MaxRecords, DefaultMaxRecords),
		maxHold:     cmp.Or(o.MaxHold, DefaultMaxHold),
		pace:        cmp.Or(o.Pace, ingest.DefaultPace),
		parsed:      record.Attrs{{Name: "content-type", Value: "application/json"}},
		null:        record.Attrs{{Name: "content-type", Value: "application/json"}, {Name: record.AttrFlag, Value: flagNull}},
		nonStandard: record.Attrs{{Name: "content-type", Value: "application/json"}, {Name: record.AttrFlag, Value: flagNonStandard}},
		unparsed:    record.Attrs{{Name: "content-type", Value: "application/octet-stream"}, {Name: record.AttrFlag, Value: flagUnparsed}},
		meter:       cmp.Or(o.Meter, new(ingest.Meter)),
		log:         cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
	}
	if o.Spool == nil {
		return nil, errors.New("make JSON door: the spool must be set")
	}
	if d.bodies == nil {
		most := cmp.Or(o.MaxRequest, DefaultMaxRequest)
		memory := cmp.Or(o.MaxMemory, 4*most)
		switch {
		case most < 1 || most > record.MaxBody:
			return nil, fmt.Errorf("make JSON door: a request limit of %d bytes is not between 1 and %d", most, record.MaxBody)
		case memory < 2*most:
			return nil, fmt.Errorf("make JSON door: %d bytes of memory are less than twice the request limit of %d", memory, most)
		}
		d.bodies = ingest.NewBodies(most, memory)
	}
	for _, token := range o.Tokens {
		if ingest.Quoted(token.Secret) {
			d.log.Warn("a token begins or ends with a quotation mark: if the sender's does not, its requests are refused; "+
				"take the marks out of the environment or the file", "setting", "doors.http.tokens")
		}
	}
	if d.keys.Location == nil {
		d.keys.Location = time.Local
	}
	return d, nil
}

// Stats returns what the door's meter counted.
func (d *Door) Stats() ingest.Stats { return d.meter.Stats() }

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.meter.Request()
	q := d.begin(w, r)
	err := d.answer(q)
	q.reading.Release()
	if err != nil {
		d.refuse(q, refusalOf(err))
	}
}

// Refuse implements ingest.Door.
func (d *Door) Refuse(w http.ResponseWriter, r *http.Request, e *ingest.Refusal) {
	d.meter.Request()
	d.refuse(d.begin(w, r), e.WithCode("forbidden", "busy"))
}

// begin takes a request in.
func (d *Door) begin(w http.ResponseWriter, r *http.Request) *request {
	q := &request{Request: r, w: w, start: time.Now()}
	q.body.Init(w, r, d.pace)
	return q
}

// answer does what is asked, or returns an error before anything was written.
func (d *Door) answer(q *request) error {
	if q.URL.Path != Path && q.URL.Path != Path+"/" {
		return notFound(q.URL.Path)
	}
	if q.Method != http.MethodPost {
		return notAllowed(q.Method)
	}
	var refusal *ingest.Refusal
	if q.sender, refusal = d.senders.Authenticate(q.Request); refusal != nil {
		return refusal
	}
	q.reading = d.bodies.Begin(q.sender.Source(), d.maxHold)
	return d.post(q)
}

// refuse answers with an error.
func (d *Door) refuse(q *request, e *ingest.Refusal) {
	if q.Method == http.MethodPost {
		d.meter.Refuse(e.Code)
	}
	d.logRefusal(q, e)
	if !q.body.Settle(2 * d.bodies.Max()) { // a sender that is let finish reads what is wrong
		q.w.Header().Set("Connection", "close")
	}
	maps.Copy(q.w.Header(), e.Header)
	writeJSON(q.w, e.Status, document(e))
}

// logRefusal logs what an operator can do something about, once a minute for
// each sender and code: a sender must not be able to fill the log.
func (d *Door) logRefusal(q *request, e *ingest.Refusal) {
	if e.Status < 500 && e.Cause == nil && e.Status != http.StatusUnauthorized {
		return
	}
	host := ingest.Host(q.Request)
	log, missed := d.notices.Note(host + " " + e.Code)
	if !log {
		return
	}
	attrs := []slog.Attr{slog.String("door", door), slog.String("from", host), slog.String("code", e.Code)}
	if e.Cause != nil {
		attrs = append(attrs, slog.Any("cause", e.Cause))
	}
	if missed > 0 {
		attrs = append(attrs, slog.Uint64("more_in_the_minute_before", missed))
	}
	d.log.LogAttrs(q.Context(), slog.LevelWarn, "refused", attrs...)
}

// writeJSON sends a document.
func writeJSON(w http.ResponseWriter, status int, doc []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	w.WriteHeader(status)
	_, _ = w.Write(doc) // the client is gone: nobody is left to tell
}
