package s3api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"indelible/internal/ingest"
)

// body stands in front of a request's body. It ends senders that are too slow,
// and keeps the clock of the hold from running while it waits for the sender.
// It belongs to the goroutine that serves the request.
type body struct {
	src     io.ReadCloser
	conn    *http.ResponseController
	expects bool // the sender waits for 100 Continue before it sends
	none    bool // the request has no body

	patience ingest.Patience
	hold     *hold // nil outside of an append

	n      int64 // bytes read
	ended  bool  // read to io.EOF
	failed bool  // an error came instead: nothing more will
}

func newBody(d *Door, w http.ResponseWriter, r *http.Request) *body {
	conn := http.NewResponseController(w)
	return &body{
		src: r.Body, conn: conn,
		expects: r.Header.Get("Expect") != "", none: r.ContentLength == 0,
		patience: ingest.Patience{Conn: conn, Pause: d.patience, Rate: d.minRate},
	}
}

// Read implements io.Reader. A sender that pauses for longer than patience, or
// is slower than its rate after it, gets a RequestTimeout.
func (b *body) Read(p []byte) (int, error) {
	if b.hold != nil {
		b.hold.pause()
		defer b.hold.resume()
	}
	if !b.none {
		b.patience.Extend(b.n)
	}
	n, err := b.src.Read(p)
	b.n += int64(n)
	switch {
	case err == io.EOF:
		b.ended = true
		b.patience.Clear()
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.failed = true
		err = requestTimeout(err)
	case err != nil:
		b.failed = true
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error { return b.src.Close() }

// Bounds of what is read of a body that was refused.
const (
	maxDrain   = 1 << 20
	drainTime  = 3 * time.Second
	lingerTime = 100 * time.Millisecond
)

// settle brings the connection of a refused request in order: it reads what is
// left of the body, if that is little and comes soon. It reports whether the
// connection can serve another request.
func (b *body) settle() bool {
	b.hold = nil
	switch {
	case b.none || b.ended:
		return true
	case b.failed || b.expects && b.n == 0:
		// Reading now would ask for the body. net/http waits for it all the same
		// when it closes the connection; this is how long.
		_ = b.conn.SetReadDeadline(time.Now().Add(lingerTime))
		return false
	}
	_ = b.conn.SetReadDeadline(time.Now().Add(drainTime))
	_, err := io.CopyN(io.Discard, b.src, maxDrain)
	if err != io.EOF {
		return false
	}
	_ = b.conn.SetReadDeadline(time.Time{})
	return true
}

// hold is the clock of one append: it ends the append's context when the spool
// has held the record for as long as a sender waits.
type hold struct {
	timer *time.Timer
	max   time.Duration
	stop  context.CancelCauseFunc
}

// newHold starts the clock. The context does not end with the client: a
// record that is whole is kept, also when nobody waits for the answer.
func newHold(ctx context.Context, most time.Duration) (context.Context, *hold) {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	h := &hold{max: most, stop: stop}
	h.timer = time.AfterFunc(most, func() { stop(errHeld) })
	return ctx, h
}

func (h *hold) pause()  { h.timer.Stop() }
func (h *hold) resume() { h.timer.Reset(h.max) }

func (h *hold) end() {
	h.timer.Stop()
	h.stop(nil)
}
