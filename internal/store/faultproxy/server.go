package faultproxy

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server serves a proxy on one address, and can refuse connections there.
type Server struct {
	Addr  string // host:port; stays the same over Refuse and Accept
	proxy *Proxy

	mu  sync.Mutex
	srv *http.Server // nil while connections are refused; guarded by mu
}

// Listen serves p on addr ("127.0.0.1:0" takes a free port) until Close.
func Listen(addr string, p *Proxy) (*Server, error) {
	s := &Server{Addr: addr, proxy: p}
	if host, ok := strings.CutSuffix(addr, ":0"); ok {
		s.Addr = net.JoinHostPort(host, freePort(host))
	}
	if err := s.Accept(); err != nil {
		return nil, err
	}
	return s, nil
}

// FreeAddr is an address on loopback that nobody listens on, with a port as freePort chooses them.
func FreeAddr() string { return net.JoinHostPort("127.0.0.1", freePort("127.0.0.1")) }

// freePort is a port below those that systems give out by themselves (from 32768 on
// Linux): while connections are refused nobody else gets it by chance, and takes
// what is meant for the store. "0" if there seems to be none.
func freePort(host string) string {
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if l, err := net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			_ = l.Close() // nothing was written to it
			return port
		}
	}
	return "0"
}

// Accept takes connections (again).
func (s *Server) Accept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.Addr)
	for end := time.Now().Add(listenPatience); err != nil && time.Now().Before(end); {
		// Back after Refuse, a port of the system's choice may be the client's end of somebody's connection.
		time.Sleep(50 * time.Millisecond)
		l, err = net.Listen("tcp", s.Addr)
	}
	if err != nil {
		return err
	}
	s.Addr = l.Addr().String()
	srv := &http.Server{Handler: s.proxy, ErrorLog: log.New(io.Discard, "", 0)}
	s.srv = srv
	go srv.Serve(l) // ends with srv.Close
	return nil
}

// listenPatience is how long a port may be somebody else's.
const listenPatience = 30 * time.Second

// Refuse closes the listener and every connection.
func (s *Server) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv != nil {
		s.srv.Close()
		s.srv = nil
	}
}

// Close ends the server.
func (s *Server) Close() {
	s.Refuse()
	s.proxy.Close()
}

// Run opens and closes the listener as the rules for Refused say, until ctx ends.
func (s *Server) Run(ctx context.Context, rules ...Rule) error {
	defer s.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	refusing := false
	for {
		refuse := false
		for _, r := range rules {
			refuse = refuse || r.Fault == Refused && r.during(time.Since(s.proxy.born))
		}
		switch {
		case refuse && !refusing:
			s.Refuse()
			s.proxy.count(Refused)
		case !refuse && refusing:
			if err := s.Accept(); err != nil {
				return errors.New("listen again: " + err.Error())
			}
		}
		refusing = refuse
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *Proxy) count(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.injected[f]++
}
