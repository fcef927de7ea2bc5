package ingest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// Pace bounds how slowly a sender may send a body: it must not pause for longer
// than Pause, and come with Rate bytes a second after the first Pause.
type Pace struct {
	Pause time.Duration
	Rate  int64 // bytes a second
}

// DefaultPace is what doors ask of senders.
var DefaultPace = Pace{Pause: 30 * time.Second, Rate: 1 << 10}

// ErrTooSlow is in the error of a body whose sender was slower than its Pace.
var ErrTooSlow = errors.New("the body came too slowly")

// Body stands in front of a request's body and ends senders that are too slow.
// It belongs to the goroutine that serves the request, except that a Hold may
// look how long it waited.
type Body struct {
	src     io.ReadCloser
	conn    *http.ResponseController
	expects bool // the sender waits for 100 Continue before it sends
	none    bool // the request has no body
	pace    Pace

	started  time.Time // of the first read
	deadline time.Time // set on the connection; zero for none
	n        int64     // bytes read
	ended    bool      // read to io.EOF
	err      error     // came instead: nothing more will

	reading atomic.Int64 // Unix nanoseconds since when a read waits for the sender; 0 for none
	waited  atomic.Int64 // nanoseconds of the reads that ended
}

// Init puts b in front of r.Body. A b that was used before is ready for another request.
func (b *Body) Init(w http.ResponseWriter, r *http.Request, p Pace) {
	b.src, b.conn = r.Body, http.NewResponseController(w)
	b.expects, b.none, b.pace = len(r.Header["Expect"]) > 0, r.ContentLength == 0, p
	r.Body = b
}

// Read implements io.Reader. The error of a sender that is too slow is ErrTooSlow.
func (b *Body) Read(p []byte) (int, error) {
	switch {
	case b.ended:
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	}
	begun := time.Now()
	if !b.none {
		b.extend(begun)
	}
	b.reading.Store(begun.UnixNano())
	n, err := b.src.Read(p)
	b.waited.Add(int64(time.Since(begun)))
	b.reading.Store(0)
	b.n += int64(n)
	switch {
	case err == io.EOF:
		b.ended = true
		b.clear()
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = fmt.Errorf("%w: %w", ErrTooSlow, err)
		err = b.err
	case err != nil:
		b.err = err
	}
	return n, err
}

// extend moves the deadlines of the connection on, before a read. Both are
// absolute: what is allowed follows from how much has come, so a sender cannot
// buy time with single bytes.
func (b *Body) extend(now time.Time) {
	if b.started.IsZero() {
		b.started = now
	}
	limit := b.started.Add(b.pace.Pause + time.Duration(float64(b.n)/float64(b.pace.Rate)*float64(time.Second)))
	if pause := now.Add(b.pace.Pause); pause.Before(limit) {
		limit = pause
	}
	if late := limit.Sub(b.deadline); late < time.Second && late > -time.Second {
		return
	}
	if !b.deadline.IsZero() {
		// A long body: the time to write the answer begins when it ends.
		_ = b.conn.SetWriteDeadline(limit.Add(time.Minute)) // not supported: no server, no slow sender
	}
	b.deadline = limit
	_ = b.conn.SetReadDeadline(limit)
}

// clear takes the deadline back: from now on a read of the connection only
// waits for the next request.
func (b *Body) clear() {
	if !b.deadline.IsZero() {
		b.deadline = time.Time{}
		_ = b.conn.SetReadDeadline(time.Time{})
	}
}

// Err is what ended the body before its end, or nil.
func (b *Body) Err() error { return b.err }

// Finish reads on to the end, where a decoder stopped before it: a compressed
// stream can end earlier.
func (b *Body) Finish() error {
	for !b.ended {
		var rest [512]byte
		if _, err := b.Read(rest[:]); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// Close implements io.Closer.
func (b *Body) Close() error { return b.src.Close() }

// Bounds of what is read of a body that was refused.
const (
	drainTime  = 3 * time.Second
	lingerTime = 100 * time.Millisecond
)

// Settle brings the connection of a refused request in order: it reads what is
// left of the body, if that is at most so many bytes and comes soon, because
// many clients read no answer before they have sent all. It reports whether
// the connection can serve another request.
func (b *Body) Settle(most int64) bool {
	switch {
	case b.none || b.ended:
		return true
	case b.err != nil || b.expects && b.n == 0:
		// Reading now would ask for the body. net/http waits for it all the same
		// when it closes the connection; this is how long.
		_ = b.conn.SetReadDeadline(time.Now().Add(lingerTime))
		return false
	}
	_ = b.conn.SetReadDeadline(time.Now().Add(drainTime))
	_, err := io.CopyN(io.Discard, b.src, most)
	if err != io.EOF {
		return false
	}
	_ = b.conn.SetReadDeadline(time.Time{})
	return true
}

// wait is how long reads have waited for the sender, up to now.
func (b *Body) wait(now time.Time) time.Duration {
	d := time.Duration(b.waited.Load())
	if since := b.reading.Load(); since != 0 {
		d += now.Sub(time.Unix(0, since))
	}
	return d
}
