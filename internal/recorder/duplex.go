package recorder

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"indelible/internal/capture"
)

// duplex is the connection after an upgrade, recorded in both directions.
type duplex struct {
	*answer
	conn     io.ReadWriteCloser
	mu       sync.Mutex // writes, and the end
	shutDown bool       // guarded by mu

	// frames of a WebSocket; nil of another protocol, whose end nothing announces
	theirs *webSocket // the upstream's; used by Read
	ours   *webSocket // the client's; guarded by mu

	endMu  sync.Mutex // apart from mu, which a Write may hold for long
	ended  bool       // by Close; guarded by endMu
	came   bool       // all of the upstream's direction; guarded by endMu
	first  bool       // that was before the end of the client's; guarded by endMu
	left   bool       // the client's direction has ended; guarded by endMu
	closed bool       // a WebSocket's close frame has passed, either side's; guarded by endMu
	fault  error      // what ended the connection, if not its end; guarded by endMu
}

// newDuplex is for a connection that speaks this protocol now.
func newDuplex(a *answer, conn io.ReadWriteCloser, protocol string) *duplex {
	d := &duplex{answer: a, conn: conn}
	if strings.EqualFold(protocol, "websocket") {
		d.theirs, d.ours = &webSocket{}, &webSocket{}
	}
	return d
}

// frames notes bytes of a WebSocket's direction.
func (d *duplex) frames(w *webSocket, p []byte) {
	if w == nil || w.closed || !w.passed(p) {
		return
	}
	d.endMu.Lock()
	defer d.endMu.Unlock()
	d.closed = true
}

// clientError is an error of the client's side of an upgraded connection.
type clientError struct{ error }

// Unwrap is the error itself.
func (e *clientError) Unwrap() error { return e.error }

// fromClient and toClient are the client's side: their errors say that it left.
type fromClient struct {
	io.Reader
	d *duplex
}

type toClient struct {
	io.Writer
	d *duplex
}

// Read implements io.Reader.
func (c fromClient) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		c.d.endMu.Lock()
		c.d.left = true
		c.d.endMu.Unlock()
	} else if err != nil {
		c.d.clientFailed(err)
	}
	return n, err
}

// Write implements io.Writer.
func (c toClient) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if err != nil {
		c.d.clientFailed(err)
	}
	return n, err
}

// clientFailed notes that the client's connection failed before all that the upstream sent had come.
func (d *duplex) clientFailed(err error) {
	d.endMu.Lock()
	came := d.came
	d.endMu.Unlock()
	if !came {
		d.failed(&clientError{err})
	}
}

// ReadFrom implements io.ReaderFrom: io.Copy then lets the client's errors be seen.
func (d *duplex) ReadFrom(client io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{d}, fromClient{client, d})
}

// WriteTo implements io.WriterTo, likewise.
func (d *duplex) WriteTo(client io.Writer) (int64, error) {
	return io.Copy(toClient{client, d}, struct{ io.Reader }{d})
}

// Read implements io.Reader.
func (d *duplex) Read(p []byte) (int, error) {
	n, err := d.conn.Read(p)
	if n > 0 {
		if kerr := d.keep(p[:n]); kerr != nil {
			d.failed(kerr)
			return 0, kerr
		}
		d.frames(d.theirs, p[:n])
	}
	if err == io.EOF {
		d.endMu.Lock()
		d.came, d.first = true, !d.left
		d.endMu.Unlock()
	} else if err != nil {
		d.failed(err)
	}
	return n, err
}

// failed notes the first error of the connection; those of a connection that we closed are none.
func (d *duplex) failed(err error) {
	d.endMu.Lock()
	defer d.endMu.Unlock()
	if !d.ended && d.fault == nil {
		d.fault = d.x.masked(err)
	}
}

// Write implements io.Writer.
func (d *duplex) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shutDown {
		return 0, io.ErrClosedPipe
	}
	if err := d.x.sent.write(p, time.Now()); err != nil && d.x.mustKeep() {
		err = &keepError{err}
		d.failed(err)
		return 0, err
	}
	d.frames(d.ours, p)
	return d.conn.Write(p)
}

// CloseWrite passes a half-close on.
func (d *duplex) CloseWrite() error {
	if c, ok := d.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// stop ends the connection, which has no end of its own to wait for.
func (d *duplex) stop() {
	d.failed(&keepError{errors.New(errStopped)})
	_ = d.Close() // logged there
}

// Close implements io.Closer.
func (d *duplex) Close() error {
	how, fault := d.outcome()
	err := d.conn.Close() // ends a Write under way, too
	d.cancel()
	d.mu.Lock()
	d.shutDown = true
	d.mu.Unlock()
	_, ferr := d.x.finish(how, fault, nil)
	return errors.Join(err, ferr)
}

// outcome says how the connection ended, which is closed now. A WebSocket that ends without a close frame has ended abnormally (RFC 6455,
// section 7.1.5: code 1006), also where the connection was closed in good order: whoever closed it first has aborted it.
func (d *duplex) outcome() (capture.Transport, string) {
	d.endMu.Lock()
	defer d.endMu.Unlock()
	d.ended = true
	switch {
	case d.fault == nil && (d.closed || d.theirs == nil):
		return capture.Complete, ""
	case d.fault == nil && d.first:
		return capture.UpstreamAbort, "the upstream ended the WebSocket without a close frame"
	case d.fault == nil:
		return capture.ClientAbort, "the client ended the WebSocket without a close frame"
	case isKeepError(d.fault):
		return capture.ProxyError, d.fault.Error()
	}
	if _, left := errors.AsType[*clientError](d.fault); left {
		return capture.ClientAbort, d.fault.Error()
	}
	return capture.UpstreamAbort, d.fault.Error()
}
