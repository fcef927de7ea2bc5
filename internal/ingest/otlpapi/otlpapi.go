// Package otlpapi is the OTLP door: POST /v1/traces and /v1/logs take what
// OpenTelemetry exporters send, in protobuf or JSON, and make a record of each
// span and log record that has to do with a call to a model.
//
// A request is acknowledged as a whole, after all of its records are fsynced.
// It is refused only where it could not be made durable: exporters drop
// what is refused for any other reason, and many do so without a word. What
// cannot be taken apart is kept raw and flagged.
package otlpapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/otlp"
	"indelible/internal/record"
)

// Appender makes the records of one request durable. *spool.Spool is one.
type Appender interface {
	// Append is what ingest.Appender says.
	Append(ctx context.Context, r record.Record) (record.Receipt, error)
	// AppendAll returns once all records are fsynced, with a receipt for each, in
	// their order. After any error none is acked; some may be delivered all the same, and are
	// known when they are sent again.
	AppendAll(ctx context.Context, rs []record.Record) ([]record.Receipt, error)
}

// Options are what a Door is made of.
type Options struct {
	Spool  Appender
	Bodies *ingest.Bodies // shared with the doors of the same listener

	Tokens []ingest.Token // who may send; none: everybody
	Bucket string         // of the records: as if it had been sent to this bucket of the S3 door; usually ""

	KeepOther bool          // make records also of what has nothing to do with a model
	MaxHold   time.Duration // how long a request waits for memory and for the spool before 503; 0 is DefaultMaxHold

	Pace ingest.Pace // how slowly a body may come; the zero Pace is ingest.DefaultPace

	Meter *ingest.Meter // counts what the door does; nil makes one
	Log   *slog.Logger  // nil discards
}

// DefaultMaxHold leaves an exporter that is held time to try again: many give all tries of a batch ten seconds together.
const DefaultMaxHold = 4 * time.Second

// door is this door's name in records.
const door = "otlp"

// paths are where the signals are sent to.
var paths = map[string]otlp.Signal{"/v1/traces": otlp.Traces, "/v1/logs": otlp.Logs}

// Serves reports whether a request is this door's.
func Serves(r *http.Request) bool {
	_, ok := paths[strings.TrimSuffix(r.URL.Path, "/")]
	return ok
}

// Door answers OTLP requests. It is safe for concurrent use.
type Door struct {
	spool   Appender
	bodies  *ingest.Bodies
	senders ingest.Authenticator
	bucket  string
	other   bool
	maxHold time.Duration
	pace    ingest.Pace
	links   links
	first   *ingest.Arrivals
	attrs   record.Attrs // of every record but the flagged ones
	buffers sync.Pool    // of *[]byte, for the bodies of the next request

	notices ingest.Notices
	meter   *ingest.Meter
	log     *slog.Logger
}

// New makes a door. It fails only on options that cannot work.
func New(o Options) (*Door, error) {
	if o.Spool == nil || o.Bodies == nil {
		return nil, errors.New("make OTLP door: spool and bodies must be set")
	}
	return &Door{
		spool: o.Spool, bodies: o.Bodies, senders: ingest.NewTokens(o.Tokens, unauthorized()), bucket: o.Bucket, other: o.KeepOther,
		maxHold: cmp.Or(o.MaxHold, DefaultMaxHold), pace: cmp.Or(o.Pace, ingest.DefaultPace), first: ingest.NewArrivals(),
		attrs: record.Attrs{{Name: "content-type", Value: "application/json"}},
		meter: cmp.Or(o.Meter, new(ingest.Meter)), log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
	}, nil
}

// Stats returns what the door's meter counted.
func (d *Door) Stats() ingest.Stats { return d.meter.Stats() }

// request is one request on its way through the door.
type request struct {
	*http.Request
	w       http.ResponseWriter
	start   time.Time
	signal  otlp.Signal
	sender  ingest.Sender
	body    ingest.Body
	reading ingest.Reading
}

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

func (d *Door) begin(w http.ResponseWriter, r *http.Request) *request {
	q := &request{Request: r, w: w, start: time.Now(), signal: paths[strings.TrimSuffix(r.URL.Path, "/")]}
	q.body.Init(w, r, d.pace)
	return q
}

// answer does what is asked, or returns an error before anything was written.
func (d *Door) answer(q *request) error {
	if q.signal == "" {
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
	if err := d.post(q); err != nil {
		return err
	}
	d.acknowledge(q)
	return nil
}

// acknowledge answers that everything is durable: an export response without a partial success.
func (d *Door) acknowledge(q *request) {
	h := q.w.Header()
	if mediaType(q.Request) == otlp.JSON {
		h["Content-Type"] = []string{"application/json"}
		write(q.w, http.StatusOK, []byte("{}"))
		return
	}
	h["Content-Type"] = []string{"application/x-protobuf"}
	write(q.w, http.StatusOK, nil)
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
	if mediaType(q.Request) == otlp.Protobuf {
		q.w.Header()["Content-Type"] = []string{"application/x-protobuf"}
	} else {
		q.w.Header()["Content-Type"] = []string{"application/json"}
	}
	write(q.w, e.Status, status(mediaType(q.Request), e))
}

// logRefusal logs every kind of refusal once a minute for each sender: it is loss, unless the sender tries again.
func (d *Door) logRefusal(q *request, e *ingest.Refusal) {
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

// write sends a document.
func write(w http.ResponseWriter, status int, doc []byte) {
	h := w.Header()
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	w.WriteHeader(status)
	_, _ = w.Write(doc) // the client is gone: nobody is left to tell
}
