package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"indelible/internal/capture"
)

// answer is an answer's body, recorded as it is read. Strict, the close record is
// durable before the reader sees the end: the bytes that tell it that the
// answer is whole are given out after it. Like every body, it is read by one goroutine; Close may come from another.
type answer struct {
	x      *exchange
	src    io.ReadCloser
	resp   *http.Response
	client context.Context // of who reads
	cancel context.CancelFunc
	length int64 // -1: unknown

	tail   [markBytes - 1]byte // the end of the read before,
	tailed int                 // so many bytes of it

	ready []byte     // recorded, given out first
	err   error      // behind ready
	next  chan chunk // a read under way
	ahead chunk      // what is left of one: not recorded yet

	closing sync.Once
}

// chunk is what a read that went on elsewhere got.
type chunk struct {
	b   []byte
	err error
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	if len(a.ready) > 0 {
		n := copy(p, a.ready)
		if a.ready = a.ready[n:]; len(a.ready) > 0 {
			return n, nil
		}
		return n, a.err
	}
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.read(p)
	if n > 0 {
		if kerr := a.keep(p[:n]); kerr != nil {
			return a.end(0, kerr) // what cannot be recorded does not go out
		}
	}
	switch {
	case err != nil:
	case a.length >= 0 && a.x.response.size >= a.length:
		// These bytes are the last: wait for the end that follows them.
		n, err = a.seeEnd(p, n)
	case a.length < 0 && !a.x.r.o.Relaxed && a.endsStream(p[:n]):
		n, err = a.holdBriefly(p, n)
	}
	if err != nil {
		return a.end(n, err)
	}
	return n, nil
}

// keepError says that an answer ends because it cannot be recorded.
type keepError struct{ err error }

func (e *keepError) Error() string { return "the answer could not be recorded: " + e.err.Error() }

// Unwrap is the cause.
func (e *keepError) Unwrap() error { return e.err }

// keep notes bytes; its error says that they must not go out.
func (a *answer) keep(p []byte) error {
	if err := a.x.got(p); err != nil && a.x.mustKeep() {
		return &keepError{err}
	}
	return nil
}

// refuse ends an exchange whose answer nobody can be given, with an error.
func (a *answer) refuse(err error) error {
	cerr := a.src.Close()
	a.cancel()
	if _, ferr := a.x.finish(capture.ProxyError, err.Error(), nil); ferr != nil {
		return &RefusedError{errors.Join(ferr, err)}
	}
	return errors.Join(err, cerr)
}

// read is the source's, or that of the read that went on elsewhere.
func (a *answer) read(p []byte) (int, error) {
	if a.next != nil {
		a.ahead = <-a.next
		a.next = nil
	}
	if len(a.ahead.b) == 0 && a.ahead.err == nil {
		return a.src.Read(p)
	}
	n := copy(p, a.ahead.b)
	if a.ahead.b = a.ahead.b[n:]; len(a.ahead.b) > 0 {
		return n, nil
	}
	err := a.ahead.err
	a.ahead.err = nil
	return n, err
}

// seeEnd reads the end behind the last byte of an answer of known length.
func (a *answer) seeEnd(p []byte, n int) (int, error) {
	var one [1]byte
	for range 3 {
		m, err := a.src.Read(one[:])
		if m > 0 {
			return n, errors.New("the answer is longer than announced")
		}
		if err != nil {
			return n, err
		}
	}
	return n, io.EOF
}

// Marks that readers take for the end of a stream without waiting for that of the body.
var endMarks = [][]byte{[]byte("data: [DONE]"), []byte("data:[DONE]"), []byte("message_stop")}

// markBytes is how long the longest mark is, and tailBytes how far from the end of a read it is looked for.
const (
	markBytes = 12
	tailBytes = 256
)

// endsStream says whether a mark ends near the end of what was read, also one that began in the read before.
func (a *answer) endsStream(p []byte) bool {
	var buf [markBytes - 1 + tailBytes]byte
	tail := append(append(buf[:0], a.tail[:a.tailed]...), p[max(0, len(p)-tailBytes):]...)
	a.tailed = copy(a.tail[:], tail[max(0, len(tail)-len(a.tail)):])
	if !bytes.Contains(tail, []byte("DONE]")) && !bytes.Contains(tail, []byte("_stop")) {
		return false // most events: what the marks begin with stands in each of them
	}
	for _, mark := range endMarks {
		if bytes.Contains(tail, mark) {
			return true
		}
	}
	return false
}

// holdTime is how long a chunk with such a mark waits for the end of the body, which comes with it
// from every upstream that is known.
const holdTime = 250 * time.Millisecond

// aheadBytes is how much is read meanwhile.
const aheadBytes = 512

// holdBriefly gives the last chunk of a stream out with its end, if that comes soon: then the
// close record is durable before the reader may believe that it has everything.
func (a *answer) holdBriefly(p []byte, n int) (int, error) {
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	for len(p)-n >= aheadBytes {
		next := make(chan chunk, 1)
		go func() {
			b := make([]byte, aheadBytes)
			m, err := a.src.Read(b)
			next <- chunk{b[:m], err}
		}()
		select {
		case c := <-next:
			if len(c.b) > 0 {
				if err := a.keep(c.b); err != nil {
					return 0, err
				}
			}
			n += copy(p[n:], c.b)
			if c.err != nil {
				return n, c.err
			}
		case <-timer.C:
			a.next = next
			return n, nil
		}
	}
	return n, nil
}

// end closes the exchange, and gives the last n bytes out with the source's error.
func (a *answer) end(n int, err error) (int, error) {
	err = a.x.masked(err)
	how, fault := a.outcome(err)
	receipt, ferr := a.x.finish(how, fault, a.resp.Trailer)
	if ferr != nil {
		a.err = ferr
		return 0, a.err // the end is withheld
	}
	if err == io.EOF && a.x.c.Fault == errStopped {
		err = &keepError{errEnded} // the record says that it is cut
	}
	a.err = err
	if _, announced := a.resp.Trailer[ReceiptHeader]; announced {
		a.resp.Trailer[ReceiptHeader] = nil // the upstream's own is none of this log
		if err == io.EOF && receipt.Seq > 0 {
			a.resp.Trailer.Set(ReceiptHeader, receipt.String())
		}
	}
	return n, a.err
}

// outcome says how the transport ended with the error of a read.
func (a *answer) outcome(err error) (capture.Transport, string) {
	switch {
	case err == io.EOF && a.client.Err() != nil:
		return capture.ClientAbort, "the client left before the end of the answer, which came"
	case err == io.EOF:
		return capture.Complete, ""
	case isKeepError(err):
		return capture.ProxyError, err.Error()
	case a.client.Err() != nil:
		return capture.ClientAbort, "the client left: " + err.Error()
	}
	return capture.UpstreamAbort, err.Error()
}

func isKeepError(err error) bool {
	_, ok := errors.AsType[*keepError](err)
	return ok
}

// whole reads a short answer to its end, and puts the receipt into its header.
func (a *answer) whole() error {
	b := make([]byte, 0, a.length+aheadBytes)
	for a.err == nil {
		n, err := a.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == nil && len(b) == cap(b) {
			break // cannot be: the transport gives no more than was announced
		}
	}
	if err := a.x.failed; err != nil && a.err != nil {
		_ = a.Close() // the error is in err
		return &RefusedError{err}
	}
	a.ready = b
	if a.x.outcome.Seq > 0 {
		a.resp.Header.Set(ReceiptHeader, a.x.outcome.String())
	}
	return nil
}

// Close implements io.Closer. An answer that was not read to its end was left by its
// reader; with Drain it is read on.
func (a *answer) Close() error {
	var err error
	a.closing.Do(func() {
		if a.err == nil && a.x.r.o.Drain > 0 {
			go a.drain() // Recorder.Close ends it, and waits for its record
			return
		}
		err = a.shut(capture.ClientAbort, "the reader closed the answer before its end")
	})
	return err
}

// drain reads on until the end, the upstream's or that of Drain.
func (a *answer) drain() {
	timer := time.AfterFunc(a.x.r.o.Drain, a.cancel)
	defer timer.Stop()
	buf := make([]byte, 8<<10)
	for {
		n, err := a.read(buf)
		if n > 0 {
			_ = a.x.got(buf[:n]) // kept as far as possible
		}
		if err != nil {
			fault := "the client left; the answer was read to its end"
			if err != io.EOF {
				fault = "the client left; the answer was read on until: " + err.Error()
			}
			_ = a.shut(capture.ClientAbort, fault) // nobody waits
			return
		}
	}
}

// errStopped is why an answer ends that Recorder.Close finds under way.
const errStopped = "the recorder was closed before the answer ended"

// stop ends an exchange that somebody may be reading, with what has passed: whoever reads on gets an error.
func (a *answer) stop() {
	_, _ = a.x.finish(capture.ProxyError, errStopped, nil) // logged there
	a.cancel()
}

// shut closes the source, and then the exchange where it is open.
func (a *answer) shut(how capture.Transport, fault string) error {
	err := a.src.Close()
	a.cancel()
	if a.next != nil {
		<-a.next // its read has ended with the source
		a.next = nil
	}
	_, ferr := a.x.finish(how, fault, a.resp.Trailer)
	return errors.Join(err, ferr)
}

// isReset says whether the peer cut the connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
