package s3

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
)

// exchange is one attempt: what it sends that the SDK has no field for, and
// what came back, as it came. It belongs to the goroutine of the call.
type exchange struct {
	payload string // x-amz-content-sha256, so that the SDK does not hash the body

	signed string // X-Amz-Date of the request
	status int    // 0: there was no answer
	answer http.Header
	body   []byte // of an answer other than 2xx; bounded
}

type exchangeKey struct{}

// emptyPayload is the SHA-256 of nothing.
const emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// payloadMiddleware hands the exchange's payload hash and headers to the SDK, which keeps a hash that is set.
type payloadMiddleware struct{}

func (payloadMiddleware) ID() string { return "IndeliblePayload" }

func (payloadMiddleware) HandleInitialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok && x.payload != "" {
		ctx = v4.SetPayloadHash(ctx, x.payload)
	}
	return next.HandleInitialize(ctx, in)
}

// maxErrorBody is how much of an answer other than 2xx is read.
const maxErrorBody = 64 << 10

// wire is the SDK's HTTP client: it keeps the answer's status, headers and
// error body in the exchange, and follows no redirect.
type wire struct {
	transport http.RoundTripper
	uploader  string // Config.Uploader
}

// uploaderHeader tells whose records a request is about. It is not signed: whoever
// takes it away gets the loop that it is there to prevent, and nothing else.
const uploaderHeader = "X-Indelible-Uploader"

func (w wire) Do(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if w.uploader != "" {
		req.Header.Set(uploaderHeader, w.uploader)
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil || !ok {
		return resp, err
	}
	x.signed, x.status, x.answer = req.Header.Get("X-Amz-Date"), resp.StatusCode, resp.Header
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	// The connection is reusable only when the answer was read to its end.
	// When it was cut short, the status still says enough.
	x.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(x.body))
	return resp, nil
}

// errSilent ends an attempt in which nothing moved for the attempt timeout.
var errSilent = errors.New("no answer in time")

// watch bounds one attempt: it ends when nothing moved for idle, or when the
// whole took longer than its size allows. The caller calls stop when it is done.
type watch struct {
	idle          time.Duration
	silent, whole *time.Timer // whole is nil for a small body: idle covers it
	cancel        context.CancelCauseFunc
}

func newWatch(ctx context.Context, idle time.Duration, size int64) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	end := func() { cancel(errSilent) }
	w := &watch{idle: idle, cancel: cancel, silent: time.AfterFunc(idle, end)}
	if seconds := size / slowest; seconds > 0 {
		w.whole = time.AfterFunc(idle+time.Duration(seconds)*time.Second, end)
	}
	return ctx, w
}

// moved says that the attempt is alive.
func (w *watch) moved() { w.silent.Reset(w.idle) }

func (w *watch) stop() {
	w.silent.Stop()
	if w.whole != nil {
		w.whole.Stop()
	}
	w.cancel(context.Canceled)
}

// errDetached ends reads of a body whose attempt is over.
var errDetached = errors.New("the attempt is over")

// body is an object's body for one attempt. It keeps apart the errors of reading it from
// those of sending it, and is out of the transport's reach once the attempt is
// over: a transport may still be sending when the answer has come.
type body struct {
	mu     sync.Mutex
	r      io.ReadSeeker // nil when detached
	watch  *watch
	size   int64
	pos    int64
	sum    hash.Hash // MD5 of the first summed bytes; nil where nobody wants it
	summed int64
	err    error // of r, or that it is not as long as announced
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errDetached
	}
	n, err := b.r.Read(p)
	b.add(p[:n])
	b.pos += int64(n)
	b.watch.moved()
	switch {
	case err != nil && err != io.EOF:
		b.err = err
	case err == io.EOF && b.pos < b.size, b.pos > b.size:
		b.err = errBodySize
		return n, b.err
	}
	return n, err
}

// add takes what was read at pos into the sum, if it is what comes next. The SDK
// seeks about before it reads, and reads again from the begin when it must. The caller holds mu.
func (b *body) add(p []byte) {
	if b.sum == nil {
		return
	}
	if b.pos == 0 {
		b.sum.Reset()
		b.summed = 0
	}
	if b.pos == b.summed {
		b.sum.Write(p)
		b.summed += int64(len(p))
	}
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errDetached
	}
	pos, err := b.r.Seek(offset, whence)
	if err != nil {
		b.err = err
		return pos, err
	}
	b.pos = pos
	return pos, nil
}

var errBodySize = errors.New("body is not as long as announced")

// detach takes the body away from the transport and returns what went wrong with reading it.
func (b *body) detach() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
	return b.err
}
