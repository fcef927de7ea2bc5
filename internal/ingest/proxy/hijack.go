package proxy

import (
	"bufio"
	"net"
)

// Hijack implements http.Hijacker. A client may have sent bytes of the new protocol right behind its request; the server has read
// them already, and httputil.ReverseProxy (Go 1.26) would lose them, because it reads nothing but the connection.
func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.control.Hijack()
	if err != nil || rw.Reader.Buffered() == 0 {
		return conn, rw, err
	}
	return &begunConn{Conn: conn, begun: rw.Reader}, rw, nil
}

// begunConn is a connection of which some bytes were read before.
type begunConn struct {
	net.Conn
	begun *bufio.Reader // used for what it holds already
}

// Read implements io.Reader.
func (c *begunConn) Read(p []byte) (int, error) {
	if n := c.begun.Buffered(); n > 0 {
		return c.begun.Read(p[:min(n, len(p))])
	}
	return c.Conn.Read(p)
}

// CloseWrite passes a half-close on.
func (c *begunConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
