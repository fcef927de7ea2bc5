package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listener is a door's place in the file, with where and how it listens.
type listener struct {
	name, path, addr string
	tls              TLS
}

// listeners are all that can be configured.
func (c *Config) listeners() []listener {
	return []listener{
		{"s3", "doors.s3", c.Doors.S3.Listen, c.Doors.S3.TLS},
		{"http", "doors.http", c.Doors.HTTP.Listen, c.Doors.HTTP.TLS},
		{"proxy", "doors.proxy", c.Doors.Proxy.Listen, c.Doors.Proxy.TLS},
		{"admin", "admin", c.Admin.Listen, c.Admin.TLS},
	}
}

// open are the listeners that serve opens: those that are not off, and that
// there is something behind.
func (c *Config) open() []listener {
	var open []listener
	for _, l := range c.listeners() {
		if l.addr != off && l.name != "proxy" {
			open = append(open, l)
		}
	}
	return open
}

// listen opens the address. The error names it and says what to do.
func (l listener) listen() (net.Listener, error) {
	var certs []tls.Certificate
	if l.tls.Cert != "" {
		cert, err := tls.LoadX509KeyPair(l.tls.Cert, l.tls.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of %s.tls: %w", l.path, err)
		}
		certs = append(certs, cert)
	}
	ln, err := net.Listen("tcp", l.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s.listen: %s is taken by another process: stop it, or choose another address with --%s", l.path, l.addr, l.name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s.listen: %w (choose another address with --%s)", l.path, err, l.name)
	}
	if certs != nil {
		return tls.NewListener(ln, &tls.Config{Certificates: certs, NextProtos: []string{"http/1.1"}}), nil
	}
	return ln, nil
}

// url is where clients reach what listens on ln.
func (l listener) url(ln net.Listener) string {
	scheme := "http"
	if l.tls.Cert != "" {
		scheme = "https"
	}
	return scheme + "://" + reachable(ln.Addr().String())
}

// reachable is an address that this machine can use for one that means all of its own.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
