package recorder

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"indelible/internal/capture"
)

// ReceiptHeader names the receipt of the close record: in the header of a short
// answer that came whole, else in the trailer.
const ReceiptHeader = "X-Indelible-Receipt"

// shortAnswer is an answer of known length that is read to its end before any of it is
// given out. Answers of unknown length may be streams: nothing of them waits.
const shortAnswer = 64 << 10

// RoundTrip implements http.RoundTripper. The request's body is read to its end before
// it is sent. Errors of its own are *RefusedError, *TooLargeError and *RequestError: then the call was not made.
// The answer's body must be closed, and read to its end by whoever wants its record to say "complete".
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := r.flights.enter(); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip must; it was not read
		}
		return nil, &RefusedError{err}
	}
	x := r.begin(req)
	if err := x.readRequest(req); err != nil {
		x.request.free()
		r.flights.leave(x)
		if _, ok := errors.AsType[*RequestError](err); !ok {
			r.lost("open", err)
		}
		return nil, err
	}
	x.link()
	if !r.o.Relaxed && !x.skipped {
		if err := x.openOrPass(req.Context()); err != nil {
			x.request.free()
			r.flights.leave(x)
			return nil, err
		}
	}
	client := req.Context()
	ctx, cancel := r.upstreamContext(client)
	tries := &tries{cancel: cancel}
	out := req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: tries.count}))
	if x.passing != nil {
		out.Body, out.GetBody, out.Trailer = x.passing, nil, req.Trailer // filled as the body is read
	} else if x.reqBody.Size > 0 || out.ContentLength != 0 {
		out.Body = x.reader()
		out.GetBody = func() (io.ReadCloser, error) { return x.reader(), nil }
	}
	resp, err := r.o.Base.RoundTrip(out)
	if err = x.masked(tries.explain(err)); err != nil {
		cancel()
		how := capture.ProxyError
		if client.Err() != nil {
			how = capture.ClientAbort
		} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
			how = capture.UpstreamAbort
		}
		if _, ferr := x.finish(how, err.Error(), nil); ferr != nil {
			return nil, &RefusedError{errors.Join(ferr, err)}
		}
		return nil, err
	}
	x.answered(resp)
	resp.Header.Del(ReceiptHeader) // of another log, or made up: only this one's is given out
	a := &answer{x: x, src: resp.Body, resp: resp, client: client, cancel: cancel, length: resp.ContentLength}
	if req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		a.length = 0
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		conn, ok := resp.Body.(io.ReadWriteCloser)
		asked := req.Header.Get("Upgrade")
		if !ok || asked == "" || !strings.EqualFold(asked, resp.Header.Get("Upgrade")) {
			return nil, a.refuse(errUpgrade)
		}
		d := newDuplex(a, conn, asked)
		resp.Body = d
		r.flights.opened(x, d.stop)
		return resp, nil
	}
	resp.Body = a
	if a.length >= 0 && a.length <= shortAnswer {
		x.response.atOnce = true
		if err := a.whole(); err != nil {
			return nil, err
		}
		return resp, nil
	}
	r.flights.opened(x, a.stop)
	if a.length < 0 && !r.o.Relaxed && resp.ProtoAtLeast(1, 1) {
		if resp.Trailer == nil {
			resp.Trailer = http.Header{}
		}
		resp.Trailer[ReceiptHeader] = nil
	}
	return resp, nil
}

// tries bounds how often a transport sends one request. net/http tries again where a connection that it had kept is closed, which is
// right; but a request to which an HTTP/2 server answers with a reset for a violation of the protocol it sends again for ever.
type tries struct {
	n      atomic.Int32
	cancel context.CancelFunc
}

const maxTries = 4

// count is httptrace.ClientTrace's GotConn.
func (t *tries) count(httptrace.GotConnInfo) {
	if t.n.Add(1) > maxTries {
		t.cancel()
	}
}

// explain is the error of a request, which is not the client's where the tries were too many.
func (t *tries) explain(err error) error {
	if err != nil && t.n.Load() > maxTries {
		return errTries
	}
	return err
}

var errTries = errors.New("the upstream refused the request on each of 4 connections, as HTTP does not provide for")

// errUpgrade says that nobody can use the connection.
var errUpgrade = errors.New("the upstream switched to a protocol that was not asked for")

// openOrPass makes the open record durable, or notes that the call is passed without.
func (x *exchange) openOrPass(ctx context.Context) error {
	r := x.r
	err := r.flushGap(ctx)
	if err == nil {
		err = x.openRecord()
	}
	if err == nil {
		return nil
	}
	if !r.o.PassFull {
		r.lost("open", err)
		return &RefusedError{err}
	}
	x.skip(err)
	return nil
}

// upstreamContext is the context of the call to the upstream: the client's, or one that
// outlives the client by Drain.
func (r *Recorder) upstreamContext(client context.Context) (context.Context, context.CancelFunc) {
	if r.o.Drain <= 0 {
		return context.WithCancel(client)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() {
		timer := time.AfterFunc(r.o.Drain, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		stop()
		cancel()
	}
}
