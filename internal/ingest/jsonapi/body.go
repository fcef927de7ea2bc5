package jsonapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"indelible/internal/ingest"
)

// body stands in front of a request's body and ends senders that are too slow.
// It belongs to the goroutine that serves the request.
type body struct {
	src     io.ReadCloser
	conn    *http.ResponseController
	expects bool // the sender waits for 100 Continue before it sends
	none    bool // the request has no body

	patience ingest.Patience

	n      int64 // bytes read
	ended  bool  // read to io.EOF
	failed error // came instead: nothing more will
}

func newBody(d *Door, w http.ResponseWriter, r *http.Request) *body {
	conn := http.NewResponseController(w)
	return &body{
		src: r.Body, conn: conn,
		expects: r.Header.Get("Expect") != "", none: r.ContentLength == 0,
		patience: ingest.Patience{Conn: conn, Pause: d.patience, Rate: d.minRate},
	}
}

// Read implements io.Reader. What ends it other than io.EOF is a refusal.
func (b *body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	if b.failed != nil {
		return 0, b.failed
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
		b.failed = tooSlow(err)
		err = b.failed
	case err != nil:
		b.failed = incomplete(err)
		err = b.failed
	}
	return n, err
}

// finish reads on to the end, where a decoder stopped before it, and says
// whether the body was whole: a compressed stream can end earlier.
func (b *body) finish() error {
	for !b.ended {
		var rest [512]byte
		if _, err := b.Read(rest[:]); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// Close implements io.Closer.
func (b *body) Close() error { return b.src.Close() }

// Bounds of what is read of a body that was refused.
const (
	drainTime  = 5 * time.Second
	lingerTime = 100 * time.Millisecond
)

// settle brings the connection of a refused request in order: it reads what is
// left of the body, if that is at most so many bytes and comes soon. It reports
// whether the connection can serve another request.
func (b *body) settle(most int64) bool {
	switch {
	case b.none || b.ended:
		return true
	case b.failed != nil || b.expects && b.n == 0:
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
