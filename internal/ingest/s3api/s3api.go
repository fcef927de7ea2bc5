// Package s3api is the S3 door: an http.Handler that speaks as much of S3 as
// its senders need to write records and to read them back, and refuses the rest
// in S3's words.
//
// A PUT is answered 200 after the record is fsynced, and not before. What
// cannot be taken now is held, then answered 503 SlowDown; no answer is a
// redirect, and none makes a client throw away a record that is worth keeping.
package s3api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/query"
	"indelible/internal/record"
)

// Records is where the door reads from: what is stored, and what was acked and
// is still on its way. Whatever was acked before a call is in its answer.
// *query.Reader is one.
type Records interface {
	// Find returns the newest record that was sent under bucket and key.
	Find(ctx context.Context, bucket, key string) (record.Entry, bool, error)
	// List yields one item per key of a bucket, in the byte order of the names.
	List(ctx context.Context, bucket string, o query.ListOptions) iter.Seq2[query.Item, error]
	// Buckets yields the names of the buckets that senders used, sorted.
	Buckets(ctx context.Context) iter.Seq2[record.Bucket, error]
}

// Options are what a Door is made of.
type Options struct {
	Spool   ingest.Appender
	Records Records
	// Verifier checks who sends and that the body is what was announced.
	Verifier *sigv4.Verifier

	Bucket   string        // of requests that name none; "" is "default"
	Domains  []string      // a host "<bucket>.<domain>" names the bucket; "localhost" is always one
	BasePath string        // what stands before the bucket in every path, such as "/s3"; usually ""
	MaxHold  time.Duration // how long a record waits for the spool before 503; 0 is 20 s

	// A body must come with at least MinRate bytes a second after Patience, and
	// never pause for longer than Patience; 0 is 1 KiB/s and 30 s.
	MinRate  int64
	Patience time.Duration

	Events Events
	Log    *slog.Logger // nil discards
}

// Defaults of Options.
const (
	DefaultBucket   = "default"
	DefaultMaxHold  = 20 * time.Second
	defaultMinRate  = 1 << 10
	defaultPatience = 30 * time.Second
)

// errHeld ends an append that the spool held for MaxHold.
var errHeld = errors.New("held for as long as a sender waits")

// Door answers S3 requests. It is safe for concurrent use.
type Door struct {
	spool    ingest.Appender
	records  Records
	verifier *sigv4.Verifier
	where    addressing
	maxHold  time.Duration
	minRate  int64
	patience time.Duration
	events   Events
	log      *slog.Logger

	writers keyLocks
	stats   counters
	ids     requestIDs
}

// New makes a door. It fails only on options that cannot work.
func New(o Options) (*Door, error) {
	if o.Spool == nil || o.Records == nil || o.Verifier == nil {
		return nil, errors.New("make S3 door: the spool, the records and the verifier must be set")
	}
	base := strings.TrimRight(o.BasePath, "/")
	if base != "" && base[0] != '/' {
		return nil, fmt.Errorf("make S3 door: the base path %q does not begin with a slash", o.BasePath)
	}
	d := &Door{
		spool:    o.Spool,
		records:  o.Records,
		verifier: o.Verifier,
		where:    addressing{basePath: base, domains: []string{"localhost"}, bucket: cmp.Or(o.Bucket, DefaultBucket)},
		maxHold:  cmp.Or(o.MaxHold, DefaultMaxHold),
		minRate:  cmp.Or(o.MinRate, defaultMinRate),
		patience: cmp.Or(o.Patience, defaultPatience),
		events:   o.Events,
		log:      cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		ids:      newRequestIDs(),
	}
	for _, domain := range o.Domains {
		d.where.domains = append(d.where.domains, strings.ToLower(strings.Trim(domain, ".")))
	}
	return d, nil
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.stats.requests.Add(1)
	q := &request{Request: r, w: w, id: d.ids.next()}
	q.body = newBody(d, w, r)
	r.Body = q.body
	setHeader(w, "x-amz-request-id", q.id)
	if err := d.answer(q); err != nil {
		d.refuse(q, refusalOf(err))
	}
}

// request is one request on its way through the door.
type request struct {
	*http.Request
	w    http.ResponseWriter
	id   string
	body *body
	address
	auth *sigv4.Auth
}

// answer does what is asked, or returns an error before anything was written.
func (d *Door) answer(q *request) error {
	var ok bool
	if q.address, ok = d.where.of(q.Request); !ok {
		return refuse(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	var err error
	if q.auth, err = d.verifier.Verify(q.Request); err != nil {
		return err
	}
	return d.route(q)
}

// refuse answers with an error. The rest of the body is read where that is
// cheap, because many clients read no answer before they have sent all.
func (d *Door) refuse(q *request, e *refusal) {
	if q.Method == http.MethodPut && q.key != "" {
		d.stats.refuse(e.code)
		if d.events.Refused != nil {
			d.events.Refused(e.code)
		}
	}
	if e.status >= 500 && e.status != http.StatusNotImplemented || e.cause != nil {
		d.log.LogAttrs(q.Context(), slog.LevelWarn, "refused", slog.String("door", "s3"), slog.String("request", q.id),
			slog.String("method", q.Method), slog.String("code", e.code), slog.Any("cause", e.cause))
	}
	if !q.body.settle() {
		setHeader(q.w, "Connection", "close")
	}
	maps.Copy(q.w.Header(), e.header)
	if e.status == http.StatusNotModified {
		q.w.WriteHeader(e.status)
		return
	}
	resource, _ := sigv4.Target(q.Request)
	writeXML(q, e.status, e.document(resource, q.id))
}

// writeXML sends a document, or its head alone to a HEAD.
func writeXML(q *request, status int, doc string) {
	setHeader(q.w, "Content-Type", "application/xml")
	if q.Method == http.MethodHead {
		q.w.WriteHeader(status)
		return
	}
	setHeader(q.w, "Content-Length", itoa(int64(len(doc))))
	q.w.WriteHeader(status)
	_, _ = q.w.Write([]byte(doc)) // the client is gone: nobody is left to tell
}

// setHeader sets a header spelled exactly so: some clients match the case of
// "ETag", and Go's own Set would spell it "Etag".
func setHeader(w http.ResponseWriter, name, value string) {
	w.Header()[name] = []string{value}
}
