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
	"time"

	"golang.org/x/sync/semaphore"

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

	Tokens []string // bearer tokens; none: everybody may send
	Bucket string   // of the records: as if it had been sent to this bucket of the S3 door; usually ""
	Keys   Keys     // how keys are made for LiteLLM's payloads

	MaxRequest int64 // bytes of a request, decoded; 0 is 64 MiB
	MaxRecords int   // records of a request; 0 is 100,000
	MaxMemory  int64 // for the bodies of all requests together, at least 2×MaxRequest; 0 is twice that

	MaxHold time.Duration // how long a request waits for memory and for the spool before 503; 0 is 20 s

	// A body must come with at least MinRate bytes a second after Patience, and
	// never pause for longer than Patience; 0 is 1 KiB/s and 30 s.
	MinRate  int64
	Patience time.Duration

	Events Events
	Log    *slog.Logger // nil discards
}

// Defaults of Options.
const (
	DefaultMaxRequest = 64 << 20
	DefaultMaxRecords = 100_000
	DefaultMaxHold    = 20 * time.Second
	defaultMinRate    = 1 << 10
	defaultPatience   = 30 * time.Second
)

// Path is where records are sent to.
const Path = "/v1/records"

// Door answers requests with JSON records. It is safe for concurrent use.
type Door struct {
	spool    Appender
	logName  string
	tokens   tokens
	bucket   string
	keys     Keys
	arrivals *arrivals

	maxRequest int64
	maxRecords int
	memory     *semaphore.Weighted
	maxHold    time.Duration
	minRate    int64
	patience   time.Duration

	parsed, unparsed, null record.Attrs // of records; shared, never changed
	decoders               decoders
	stats                  counters
	events                 Events
	log                    *slog.Logger
}

// New makes a door. It fails only on options that cannot work.
func New(o Options) (*Door, error) {
	d := &Door{
		spool:      o.Spool,
		logName:    o.LogName,
		tokens:     newTokens(o.Tokens),
		bucket:     o.Bucket,
		keys:       o.Keys,
		arrivals:   newArrivals(),
		maxRequest: cmp.Or(o.MaxRequest, DefaultMaxRequest),
		maxRecords: cmp.Or(o.MaxRecords, DefaultMaxRecords),
		maxHold:    cmp.Or(o.MaxHold, DefaultMaxHold),
		minRate:    cmp.Or(o.MinRate, defaultMinRate),
		patience:   cmp.Or(o.Patience, defaultPatience),
		parsed:     record.Attrs{{Name: "content-type", Value: "application/json"}},
		null:       record.Attrs{{Name: "content-type", Value: "application/json"}, {Name: record.AttrFlag, Value: flagNull}},
		unparsed:   record.Attrs{{Name: "content-type", Value: "application/octet-stream"}, {Name: record.AttrFlag, Value: flagUnparsed}},
		events:     o.Events,
		log:        cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
	}
	memory := cmp.Or(o.MaxMemory, 4*d.maxRequest)
	switch {
	case o.Spool == nil:
		return nil, errors.New("make JSON door: the spool must be set")
	case d.maxRequest < 1 || d.maxRequest > record.MaxBody:
		return nil, fmt.Errorf("make JSON door: a request limit of %d bytes is not between 1 and %d", d.maxRequest, record.MaxBody)
	case memory < 2*d.maxRequest:
		return nil, fmt.Errorf("make JSON door: %d bytes of memory are less than twice the request limit of %d", memory, d.maxRequest)
	}
	d.memory = semaphore.NewWeighted(memory + decoderMemory)
	if d.keys.Location == nil {
		d.keys.Location = time.Local
	}
	return d, nil
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.stats.requests.Add(1)
	q := &request{Request: r, w: w, start: time.Now(), patience: d.maxHold}
	q.body = newBody(d, w, r)
	r.Body = q.body
	err := d.answer(q)
	d.give(q, q.taken)
	if err != nil {
		d.refuse(q, refusalOf(err))
	}
}

// answer does what is asked, or returns an error before anything was written.
func (d *Door) answer(q *request) error {
	if q.URL.Path != Path && q.URL.Path != Path+"/" {
		return notFound(q.URL.Path)
	}
	if q.Method != http.MethodPost {
		return notAllowed(q.Method)
	}
	if !d.tokens.allow(q.Header.Get("Authorization")) {
		return unauthorized()
	}
	return d.post(q)
}

// refuse answers with an error. The rest of the body is read where it comes
// soon, because many clients read no answer before they have sent all.
func (d *Door) refuse(q *request, e *refusal) {
	if q.Method == http.MethodPost {
		d.stats.refuse(e.code)
		if d.events.Refused != nil {
			d.events.Refused(e.code)
		}
	}
	if e.status >= 500 || e.cause != nil {
		d.log.LogAttrs(q.Context(), slog.LevelWarn, "refused", slog.String("door", door), slog.String("from", source(q.Request)),
			slog.String("code", e.code), slog.Any("cause", e.cause))
	}
	if !q.body.settle(2 * d.maxRequest) { // a sender that is let finish reads what is wrong
		q.w.Header().Set("Connection", "close")
	}
	maps.Copy(q.w.Header(), e.header)
	writeJSON(q.w, e.status, e.document())
}

// writeJSON sends a document.
func writeJSON(w http.ResponseWriter, status int, doc []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{itoa(len(doc))}
	w.WriteHeader(status)
	_, _ = w.Write(doc) // the client is gone: nobody is left to tell
}
