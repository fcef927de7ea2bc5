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
	// Senders are those whose access key has a name, by its id.
	Senders map[string]ingest.Sender

	Bucket   string        // of requests that name none; "" is "default"
	Domains  []string      // a host "<bucket>.<domain>" names the bucket; "localhost" is always one
	BasePath string        // what stands before the bucket in every path, such as "/s3"; usually ""
	MaxHold  time.Duration // how long a record waits for the spool before 503; 0 is 20 s

	LogName string      // the log's name: requests that its own uploader sent are refused; "" refuses none
	Pace    ingest.Pace // how slowly a body may come; the zero Pace is ingest.DefaultPace

	Meter *ingest.Meter // counts what the door does; nil makes one
	Log   *slog.Logger  // nil discards
}

// Defaults of Options.
const (
	DefaultBucket  = "default"
	DefaultMaxHold = 20 * time.Second
)

// MaxHeader is how long the head of a request may be: a key takes three bytes
// of the request line for each of its own.
const MaxHeader = 4*record.MaxKey + record.MaxAttrs

// Door answers S3 requests. It is safe for concurrent use.
type Door struct {
	spool    ingest.Appender
	records  Records
	verifier *sigv4.Verifier
	senders  map[string]ingest.Sender
	where    addressing
	maxHold  time.Duration
	logName  string
	pace     ingest.Pace
	meter    *ingest.Meter
	log      *slog.Logger

	writers keyLocks
	notices ingest.Notices
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
		senders:  o.Senders,
		where:    addressing{basePath: base, domains: []string{"localhost"}, bucket: cmp.Or(o.Bucket, DefaultBucket)},
		maxHold:  cmp.Or(o.MaxHold, DefaultMaxHold),
		logName:  o.LogName,
		pace:     cmp.Or(o.Pace, ingest.DefaultPace),
		meter:    cmp.Or(o.Meter, new(ingest.Meter)),
		log:      cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		ids:      newRequestIDs(),
	}
	for _, domain := range o.Domains {
		d.where.domains = append(d.where.domains, strings.ToLower(strings.Trim(domain, ".")))
	}
	for id, secret := range o.Verifier.Keys {
		if ingest.Quoted(id) || ingest.Quoted(secret) {
			d.log.Warn("an access key begins or ends with a quotation mark: if the sender's does not, its signatures are refused; "+
				"take the marks out of the environment or the file", "setting", "doors.s3.keys", "id", id)
		}
	}
	return d, nil
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.meter.Request()
	q := d.begin(w, r)
	if err := d.answer(q); err != nil {
		d.refuse(q, refusalOf(err))
	}
}

// Refuse implements ingest.Door.
func (d *Door) Refuse(w http.ResponseWriter, r *http.Request, e *ingest.Refusal) {
	d.meter.Request()
	q := d.begin(w, r)
	q.address, _ = d.where.of(r)
	d.refuse(q, e.WithCode("AccessDenied", "SlowDown"))
}

// begin takes a request in.
func (d *Door) begin(w http.ResponseWriter, r *http.Request) *request {
	q := &request{Request: r, w: w, id: d.ids.next()}
	q.body.Init(w, r, d.pace)
	setHeader(w, "x-amz-request-id", q.id)
	return q
}

// request is one request on its way through the door.
type request struct {
	*http.Request
	w    http.ResponseWriter
	id   string
	body ingest.Body
	hold ingest.Hold
	address
	auth *sigv4.Auth
}

// uploaderHeader names the log whose uploader sent a request.
const uploaderHeader = "X-Indelible-Uploader"

// answer does what is asked, or returns an error before anything was written.
func (d *Door) answer(q *request) error {
	if sentBy := q.Header[uploaderHeader]; d.logName != "" && len(sentBy) > 0 && sentBy[0] == d.logName {
		return ownUploader(d.logName)
	}
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

// maxDrain is how much of the body of a refused request is read.
const maxDrain = 1 << 20

// refuse answers with an error.
func (d *Door) refuse(q *request, e *ingest.Refusal) {
	if q.Method == http.MethodPut && q.key != "" {
		d.meter.Refuse(e.Code)
	}
	d.logRefusal(q, e)
	if !q.body.Settle(maxDrain) {
		setHeader(q.w, "Connection", "close")
	}
	maps.Copy(q.w.Header(), e.Header)
	if e.Status == http.StatusNotModified {
		q.w.WriteHeader(e.Status)
		return
	}
	resource, _ := sigv4.Target(q.Request)
	writeXML(q, e.Status, document(e, resource, q.id))
}

// logRefusal logs what an operator can do something about, once a minute for
// each sender and code: a sender must not be able to fill the log.
func (d *Door) logRefusal(q *request, e *ingest.Refusal) {
	if (e.Status < 500 || e.Status == http.StatusNotImplemented) && e.Cause == nil {
		return
	}
	host := ingest.Host(q.Request)
	log, missed := d.notices.Note(host + " " + e.Code)
	if !log {
		return
	}
	attrs := []slog.Attr{slog.String("door", "s3"), slog.String("from", host), slog.String("request", q.id),
		slog.String("method", q.Method), slog.String("code", e.Code), slog.Any("cause", e.Cause)}
	if id := sigv4.ClaimedKeyID(q.Request); id != "" {
		attrs = append(attrs, slog.String("key_id", id))
	}
	if missed > 0 {
		attrs = append(attrs, slog.Uint64("more_in_the_minute_before", missed))
	}
	d.log.LogAttrs(q.Context(), slog.LevelWarn, "refused", attrs...)
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
