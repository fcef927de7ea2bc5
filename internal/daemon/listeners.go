package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"

	"indelible/internal/config"
)

// listen opens a listener's address. The error names it and says what to do.
func listen(l config.Listener) (net.Listener, error) {
	var certs []tls.Certificate
	if l.TLS.Cert != "" {
		cert, err := tls.LoadX509KeyPair(l.TLS.Cert, l.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of %s.tls: %w", l.Path, err)
		}
		certs = append(certs, cert)
	}
	ln, err := net.Listen("tcp", l.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s.listen: %s is taken by another process: stop it, or choose another address with --%s", l.Path, l.Addr, l.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s.listen: %w (choose another address with --%s)", l.Path, err, l.Name)
	}
	if certs != nil {
		return tls.NewListener(ln, &tls.Config{Certificates: certs, NextProtos: []string{"http/1.1"}}), nil
	}
	return ln, nil
}
