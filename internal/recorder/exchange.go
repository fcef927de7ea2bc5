package recorder

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"indelible/internal/capture"
	"indelible/internal/layout"
	"indelible/internal/record"
)

// exchange is one call on its way. It belongs to the goroutine that makes the call and
// reads its answer, one after the other; another one may close the answer meanwhile.
type exchange struct {
	r       *Recorder
	mu      sync.Mutex // guards c once there is an answer
	c       capture.Exchange
	record  capture.Exchange // what is recorded of it: of the open record, and then of the last one
	source  string
	secrets []string
	open    bool // the open record is durable
	skipped bool // there was no room, and the call is passed: see PassFull

	request  *tape
	response *tape
	sent     *tape // by the client after an upgrade
	reqBody  capture.Body
	passing  io.ReadCloser // the request's body, where there is no room for it and it passes all the same

	once    sync.Once // finish
	outcome record.Receipt
	failed  error
}

// begin notes what the request's head says.
func (r *Recorder) begin(req *http.Request) *exchange {
	now := time.Now()
	call, _ := req.Context().Value(callKey{}).(Call)
	h, query := call.Header, call.Query
	if h == nil {
		h, query = req.Header, req.URL.RawQuery
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	x := &exchange{r: r, source: call.Source, secrets: slices.Concat(call.Secrets, capture.Secrets(h, query))}
	x.sortSecrets()
	x.c = capture.Exchange{
		ID: hex.EncodeToString(id[:]), Upstream: call.Upstream, Provider: call.Provider, Client: call.Client,
		Start: now, Retry: h.Get("X-Stainless-Retry-Count"), Credential: r.credential(h, query),
		Method: req.Method, URL: capture.RedactURL(req.URL), Derive: true,
	}
	if x.c.Upstream == "" {
		x.c.Upstream = req.URL.Host
	}
	if x.source == "" {
		x.source = call.Client
	}
	x.c.Request.Proto = req.Proto
	x.c.Request.Headers, x.c.Request.Withheld = capture.KeepHeaders(h)
	return x
}

// credential describes the credential of a request.
func (r *Recorder) credential(h http.Header, query string) *capture.Credential {
	m, ok := r.macs.Get().(hash.Hash)
	if !ok {
		m = hmac.New(sha256.New, r.key)
	}
	defer r.macs.Put(m)
	return capture.DescribeCredential(m, h, query)
}

// readRequest reads the request's body to its end: it is recorded before it is sent.
func (x *exchange) readRequest(req *http.Request) error {
	x.request = x.r.newTape(x.c.ID+".request", 4*spillBytes)
	x.request.limit = x.r.o.MaxRequest
	if req.Body != nil && req.Body != http.NoBody {
		err := x.copyRequest(req.Body, req.ContentLength)
		if _, full := errors.AsType[*RefusedError](err); full && x.r.o.PassFull {
			x.pass(req.Body, err)
			return nil
		}
		if cerr := req.Body.Close(); err == nil && cerr != nil {
			err = &RequestError{cerr}
		}
		if err != nil {
			return err
		}
	}
	var err error
	x.reqBody, err = x.request.body()
	x.c.Request.Body = x.reqBody
	if len(req.Trailer) > 0 {
		var withheld []string
		x.c.Request.Trailers, withheld = capture.KeepHeaders(req.Trailer)
		x.c.Request.Withheld = append(x.c.Request.Withheld, withheld...)
		x.secrets = append(x.secrets, capture.Secrets(req.Trailer, "")...)
		x.sortSecrets()
	}
	return err
}

// sortSecrets has the longest first: one may begin with another.
func (x *exchange) sortSecrets() {
	slices.SortFunc(x.secrets, func(a, b string) int { return len(b) - len(a) })
}

// pass has a request sent of which there is no record: there was no room for err.
func (x *exchange) pass(body io.ReadCloser, err error) {
	rest := &limitedBody{ReadCloser: body, left: x.r.o.MaxRequest - x.request.size, limit: x.r.o.MaxRequest}
	x.passing = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(x.request.passed(), rest), body}
	x.skip(err)
}

// skip notes that a call is passed without a record.
func (x *exchange) skip(err error) {
	x.r.lost("open", err)
	x.skipped = true
	c := x.c
	x.r.gap.note(&c)
}

// limitedBody fails with a *TooLargeError where MaxRequest is exceeded.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &TooLargeError{b.limit}
	}
	return n, err
}

func (x *exchange) copyRequest(body io.Reader, length int64) error {
	if length > x.r.o.MaxRequest {
		return &TooLargeError{x.r.o.MaxRequest}
	}
	if length > 0 && length <= x.request.most {
		return x.takeRequest(body, length)
	}
	buf := make([]byte, 32<<10)
	if length < 0 {
		buf = buf[:8<<10]
	}
	for {
		n, err := body.Read(buf)
		if x.request.size+int64(n) > x.r.o.MaxRequest {
			return &TooLargeError{x.r.o.MaxRequest}
		}
		if n > 0 {
			if werr := x.request.write(buf[:n], time.Now()); werr != nil {
				return &RefusedError{werr}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &RequestError{err}
		}
	}
}

// takeRequest reads a body of known length at once.
func (x *exchange) takeRequest(body io.Reader, length int64) error {
	b := make([]byte, length)
	if _, err := io.ReadFull(body, b); err != nil {
		return &RequestError{err}
	}
	var more [1]byte
	if _, err := io.ReadFull(body, more[:]); !errors.Is(err, io.EOF) { // as HTTP ends every body
		return &RequestError{errors.Join(errors.New("it is longer than announced"), err)}
	}
	x.request.take(b)
	return nil
}

// reader reads the request's body from its start, to be sent.
func (x *exchange) reader() io.ReadCloser { return io.NopCloser(x.reqBody.Reader()) }

// link notes retries: what is asked is the same in every attempt.
func (x *exchange) link() {
	if x.c.Retry == "" {
		return
	}
	what := x.c.Method + " " + x.c.URL + " " + x.reqBody.Digest.String()
	if x.c.Credential != nil {
		what += " " + x.c.Credential.HMAC
	}
	before := x.r.retries.link(what, x.c.ID, x.c.Start)
	if n, err := strconv.Atoi(x.c.Retry); err == nil && n > 0 {
		x.c.RetryOf = before
	}
}

// openRecord makes the open record durable.
func (x *exchange) openRecord() error {
	c := &x.record
	*c = x.c
	c.Kind = capture.Open
	receipt, err := x.r.append(c, x.source, "-open", x.secrets)
	asked := c.Asked
	*c = capture.Exchange{} // it may hold a copy of the body
	if err != nil {
		return err
	}
	x.open, x.c.Open, x.c.Asked = true, receipt.String(), asked
	return nil
}

// answered notes the head of the answer.
func (x *exchange) answered(resp *http.Response) {
	x.c.Status = resp.StatusCode
	x.c.Response.Proto = resp.Proto
	x.c.Response.Headers, x.c.Response.Withheld = capture.KeepHeaders(resp.Header)
	// A new list: the open record's may still be read.
	x.secrets = slices.Concat(x.secrets, capture.Spellings(x.secrets), capture.AnswerSecrets(resp.Header))
	x.sortSecrets()
	x.response = x.r.newTape(x.c.ID+answerSuffix, spillBytes)
	x.response.private = x.c.Issues()
	x.response.head, x.response.guard, x.response.secrets = x.unfinished, &x.mu, x.secrets
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.sent = x.r.newTape(x.c.ID+sentSuffix, spillBytes)
		x.sent.secrets = x.response.secrets
		x.sent.head = func() []byte { // another goroutine reads the answer meanwhile
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.unfinished()
		}
	}
}

// final is the exchange as its last record has it.
func (x *exchange) final() capture.Exchange {
	c := x.c
	c.Kind = capture.Close
	c.Request.Absent = true
	if !x.open {
		c.Kind, c.Request.Absent = capture.Whole, false
	}
	return c
}

// unfinished stands before the bytes of an answer in its file: the record as it will be
// if this process dies now.
func (x *exchange) unfinished() []byte {
	c := x.final()
	c.Transport, c.Fault, c.Derive = capture.Unknown, "the recorder ended before the answer did", false
	c.Request.Body = x.reqBody
	c.Scrub(x.secrets)
	var b bytes.Buffer
	if err := c.Encode(&b); err != nil {
		return []byte("\n") // the request cannot be read back: Recover drops the file
	}
	return b.Bytes() // one line
}

// got notes bytes of the answer.
func (x *exchange) got(p []byte) error {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.c.FirstByte.IsZero() {
		x.c.FirstByte = now
	}
	err := x.response.write(p, now)
	if len(x.c.Arrivals) < maxArrivals {
		x.c.Arrivals = append(x.c.Arrivals, capture.Arrival{End: x.response.size, At: now})
	}
	return err
}

// masked is an error without secrets: the errors of a transport quote what they could not read.
func (x *exchange) masked(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	text := err.Error()
	if masked := capture.Mask(text, x.secrets); masked != text {
		return &maskedError{masked, err}
	}
	return err
}

// maskedError is an error under another text.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }

// Unwrap is the error itself; it still holds the secret.
func (e *maskedError) Unwrap() error { return e.err }

// mustKeep says that bytes which cannot be kept must not go out either.
func (x *exchange) mustKeep() bool {
	return !x.r.o.Relaxed && !x.r.o.PassFull
}

// maxArrivals bounds the chunks whose arrival is noted: the first token is in one of them.
const maxArrivals = 16

// finish writes the last record of the exchange, once. Strict, it returns after the
// record is durable, and its error says that it is not.
func (x *exchange) finish(how capture.Transport, fault string, trailer http.Header) (record.Receipt, error) {
	x.once.Do(func() {
		x.mu.Lock()
		x.c.End, x.c.Transport, x.c.Fault = time.Now(), how, fault
		x.c.Response.Trailers, _ = capture.KeepHeaders(trailer)
		x.mu.Unlock()
		if !x.r.o.Relaxed {
			defer x.r.flights.leave(x)
			x.outcome, x.failed = x.closeRecord()
			return
		}
		select {
		case x.r.late <- struct{}{}:
			go func() {
				defer x.r.flights.leave(x)
				_, _ = x.closeRecord() // logged and counted there
				<-x.r.late
			}()
		default: // too many wait already
			defer x.r.flights.leave(x)
			_, _ = x.closeRecord()
		}
	})
	return x.outcome, x.failed
}

// closeRecord appends the last record. Where it cannot be written, files with the
// answer and what the client sent are left to Recover.
func (x *exchange) closeRecord() (record.Receipt, error) {
	defer x.request.free()
	if x.skipped {
		x.drop()
		return record.Receipt{}, nil
	}
	c := &x.record
	x.mu.Lock()
	*c = x.final()
	x.mu.Unlock()
	c.Request.Body = x.reqBody
	var bad error
	if x.response != nil {
		c.Response.Body, bad = x.response.body()
	}
	if x.sent != nil {
		b, err := x.sent.body()
		c.ClientStream, bad = &b, errors.Join(bad, err)
	}
	if bad != nil {
		x.r.log.Warn("an answer could not be kept whole while it passed; its record says how much of it is there", "exchange", c.ID, "error", bad)
	}
	receipt, err := x.r.append(c, x.source, "", x.secrets)
	if err != nil {
		x.r.lost("close", err)
		if x.r.o.PassFull {
			x.r.gap.note(c)
			err = nil
		}
		if x.response != nil {
			x.response.leave()
		}
		if x.sent != nil {
			x.sent.leave()
		}
		return receipt, err
	}
	x.drop()
	return receipt, nil
}

// drop frees what was kept of the answer.
func (x *exchange) drop() {
	if x.response != nil {
		x.response.free()
	}
	if x.sent != nil {
		x.sent.free()
	}
}

// append makes a record of an exchange durable. It is not given up when the client
// leaves: what was sent is recorded.
func (r *Recorder) append(c *capture.Exchange, source, suffix string, secrets []string) (record.Receipt, error) {
	begun := time.Now()
	release := func() {}
	if !c.InMemory() {
		r.long <- struct{}{}
		release = sync.OnceFunc(func() { <-r.long })
		defer release()
		c.Request.Body.Load(loadBytes)
		c.Response.Body.Load(loadBytes)
	}
	ctx := r.holds.begin(r.hold(), begun)
	c.Scrub(secrets)
	rec := record.Record{
		Door: r.o.Door, Source: source, Key: r.keyOf(c, suffix),
		Attrs: record.Attrs{{Name: "content-type", Value: capture.ContentType}}, Size: -1,
	}
	var receipt record.Receipt
	var err error
	if c.InMemory() {
		guess := recordBytes(c)
		pool := &r.short
		if guess > shortRecord {
			pool = &r.buffers
		}
		b, ok := pool.Get().(*bytes.Buffer)
		if !ok {
			b = new(bytes.Buffer)
		}
		b.Reset()
		b.Grow(guess)
		_, _ = b.Write(c.Append(b.AvailableBuffer())) // in place, where the guess was enough
		release()                                     // the next may be made while this one is waited for
		rec.Body, rec.Size = b, int64(b.Len())
		receipt, err = r.o.Log.Append(ctx, rec)
		if err == nil && b.Cap() <= pooledBytes { // after an error the spool may still read it
			pool.Put(b)
		}
	} else {
		pr, pw := io.Pipe()
		encoded := make(chan struct{})
		go func() {
			defer close(encoded)
			_ = pw.CloseWithError(c.Encode(pw)) // never fails
		}()
		rec.Body = pr
		receipt, err = r.o.Log.Append(ctx, rec)
		_ = pr.CloseWithError(errors.New("not wanted")) // ends Encode where Append did not read to the end
		<-encoded                                       // files and memory of the bodies are used otherwise from now on
	}
	if err != nil {
		return receipt, fmt.Errorf("record the exchange %s: %w", c.ID, err)
	}
	if r.o.Acked != nil {
		r.o.Acked(receipt, time.Since(begun))
	}
	return receipt, nil
}

// keyOf is the key of a record of an exchange.
func (r *Recorder) keyOf(c *capture.Exchange, suffix string) string {
	return layout.DoorKey(r.o.Door, c.Start.UTC(), c.ID+suffix)
}

// recordBytes is about how long the record of an exchange is.
func recordBytes(c *capture.Exchange) int {
	length := len(c.Response.Body.Bytes)
	if !c.Request.Absent {
		length += len(c.Request.Body.Bytes)
	}
	return 2<<10 + length + length/2 // events are a quarter escapes, and the text in them stands there twice
}

// hold is how long an append waits for room.
func (r *Recorder) hold() time.Duration {
	if r.o.PassFull {
		return min(r.o.MaxHold, passHold)
	}
	return r.o.MaxHold
}

// loadBytes is how long a body in a file may be to be read at once.
const loadBytes = 256 << 10

// pooledBytes bounds the buffers that are used again. Those of up to shortRecord have a pool of their own,
// or each record of a long prompt would make a short one grow.
const (
	pooledBytes = 512 << 10
	shortRecord = 16 << 10
)

// passHold is how long a call waits for room that is passed without.
const passHold = time.Second

// lost counts and logs a record that could not be written.
func (r *Recorder) lost(reason string, err error) {
	if r.o.Lost != nil {
		r.o.Lost(reason)
	}
	r.log.LogAttrs(context.Background(), slog.LevelError, "a record of an exchange could not be written", slog.String("record", reason), slog.Any("error", err))
}
