package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ServerOptions bound what clients can take of a server. Zero values are the defaults.
type ServerOptions struct {
	Guard *Guard // nil guards against browsers alone
	// Refuse answers what the server itself turns away; nil answers as text.
	// A Door's Refuse is one.
	Refuse func(w http.ResponseWriter, r *http.Request, e *Refusal)

	Conns  int           // connections at a time; 0 is DefaultConns
	Header int           // bytes of a request's head; 0 is 64 KiB
	Write  time.Duration // for an answer, from the request's head on; 0 is 2 minutes, less than 0 no bound
	Idle   time.Duration // how long a connection may wait for its next request; 0 is 10 minutes

	Log *slog.Logger // nil discards
}

// Server serves HTTP on one listener, with the limits that keep slow and
// hostile clients from holding its connections.
//
// Idle connections are kept for longer than the clients' pools keep them, so
// that the client is the one who closes: a request sent into a connection that
// we just closed is a record that older LiteLLMs lose.
type Server struct {
	handler http.Handler
	guard   *Guard
	refuse  func(w http.ResponseWriter, r *http.Request, e *Refusal)
	http    http.Server
	conns   connLimit
	closing atomic.Bool
}

// NewServer returns a server for a handler. It listens to nothing yet.
func NewServer(h http.Handler, o ServerOptions) *Server {
	s := &Server{handler: h, guard: o.Guard, refuse: o.Refuse}
	if s.guard == nil {
		s.guard = new(Guard)
	}
	if s.refuse == nil {
		s.refuse = writePlain
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s.conns.init(either(o.Conns, DefaultConns()))
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serveHTTP),
		Protocols:         &protocols,
		ReadHeaderTimeout: 20 * time.Second,
		// No ReadTimeout: Body bounds how slowly a body may come, and moves the
		// write deadline on with long ones.
		WriteTimeout:                 max(0, either(o.Write, 2*time.Minute)),
		IdleTimeout:                  either(o.Idle, 10*time.Minute),
		MaxHeaderBytes:               either(o.Header, 64<<10),
		DisableGeneralOptionsHandler: true,
		ConnState:                    s.conns.changed,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

func either[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if s.closing.Load() {
		s.refuse(w, r, &Refusal{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}, "Connection": {"close"}},
			Message: "This process is being stopped and takes no more records: send the record again."})
		return
	}
	if e := s.guard.Check(r); e != nil {
		s.refuse(w, r, e)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// Serve answers on ln until the server is closed, which is no error.
func (s *Server) Serve(ln net.Listener) error {
	err := s.http.Serve(s.conns.listener(ln))
	if s.closing.Load() || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", ln.Addr(), err)
}

// Shutdown closes the listener, refuses requests that begin from now on, and
// waits until those under way are answered or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.conns.close()
	return s.http.Shutdown(ctx)
}

// Close cuts every connection.
func (s *Server) Close() error {
	s.closing.Store(true)
	s.conns.close()
	return s.http.Close()
}

// ShutdownAll shuts servers down at the same time, and cuts what is still
// under way when ctx ends. From the first moment on, none of them begins a
// request. The errors are in the order of the servers; nil where everything
// was answered.
func ShutdownAll(ctx context.Context, servers ...*Server) []error {
	for _, s := range servers {
		s.closing.Store(true)
	}
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			if errs[i] = s.Shutdown(ctx); errs[i] != nil {
				errs[i] = errors.Join(errs[i], s.Close())
			}
		})
	}
	wg.Wait()
	return errs
}
