package ingest

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// mostConns bounds the connections of a listener, whatever the system allows.
const mostConns = 8192

// connLimit bounds the connections of a server. A new one that is too many
// takes the place of the one that has waited longest for a request, of the
// remote host that has most such connections: a host that holds connections
// without using them shuts out only itself. Where all connections are at work,
// accepting waits.
type connLimit struct {
	max int

	mu     sync.Mutex
	free   *sync.Cond                        // there may be a place, or the limit is closed
	conns  map[net.Conn]*openConn            // guarded by mu
	idle   map[string]map[net.Conn]*openConn // those without a request, by remote host; guarded by mu
	taken  int                               // places: accepted and neither closed nor evicted; guarded by mu
	closed bool                              // guarded by mu
}

// openConn is guarded by connLimit.mu.
type openConn struct {
	host    string
	since   time.Time // of the last change of its state
	evicted bool      // its place was given away
}

func (l *connLimit) init(most int) {
	l.max, l.conns, l.idle = most, make(map[net.Conn]*openConn), make(map[string]map[net.Conn]*openConn)
	l.free = sync.NewCond(&l.mu)
}

// listener is ln, with the limit applied to what it accepts.
func (l *connLimit) listener(ln net.Listener) net.Listener {
	return &limitedListener{Listener: ln, limit: l}
}

type limitedListener struct {
	net.Listener
	limit *connLimit
}

// Accept waits for a connection and then for a place.
func (ln *limitedListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !ln.limit.admit(conn) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return conn, nil
}

// admit takes a place for a new connection. It reports false when the server was closed.
func (l *connLimit) admit(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.taken >= l.max && !l.closed {
		if !l.evict() {
			l.free.Wait()
		}
	}
	if l.closed {
		return false
	}
	l.taken++
	l.conns[c] = &openConn{host: remoteHost(c)}
	return true
}

// evict closes an idle connection, if there is one. Callers hold mu.
func (l *connLimit) evict() bool {
	var worst map[net.Conn]*openConn
	for _, conns := range l.idle {
		if len(conns) > len(worst) {
			worst = conns
		}
	}
	var victim net.Conn
	for c, o := range worst {
		if victim == nil || o.since.Before(worst[victim].since) {
			victim = c
		}
	}
	if victim == nil {
		return false
	}
	o := worst[victim]
	o.evicted = true
	l.taken--
	l.setIdle(victim, o, false)
	if tls, ok := victim.(interface{ NetConn() net.Conn }); ok {
		victim = tls.NetConn() // closing the TLS connection would wait for the peer
	}
	_ = victim.Close()
	return true
}

// setIdle keeps the index of idle connections. Callers hold mu.
func (l *connLimit) setIdle(c net.Conn, o *openConn, idle bool) {
	conns := l.idle[o.host]
	switch {
	case idle && conns == nil:
		l.idle[o.host] = map[net.Conn]*openConn{c: o}
	case idle:
		conns[c] = o
	default:
		delete(conns, c)
	}
}

func remoteHost(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}

// changed is http.Server.ConnState.
func (l *connLimit) changed(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.conns[c]
	if o == nil {
		return
	}
	switch state {
	case http.StateNew, http.StateIdle:
		if !o.evicted {
			o.since = time.Now()
			l.setIdle(c, o, true)
		}
	case http.StateActive:
		l.setIdle(c, o, false)
		return
	case http.StateClosed, http.StateHijacked:
		l.setIdle(c, o, false)
		if delete(l.conns, c); len(l.idle[o.host]) == 0 {
			delete(l.idle, o.host)
		}
		if !o.evicted {
			l.taken--
		}
	}
	l.free.Signal()
}

// close ends a wait in Accept.
func (l *connLimit) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.free.Broadcast()
}
