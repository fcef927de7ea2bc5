package ingest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"indelible/internal/config"
)

// Listen opens a listener's address, with TLS where it has a certificate. The error names it and says what to do.
func Listen(l config.Listener, log *slog.Logger) (net.Listener, error) {
	var cert *certificate
	if l.TLS.Cert != "" {
		var err error
		if cert, err = readCertificate(l.TLS, l.Path, log); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("tcp", l.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s.listen: %s is taken by another process: stop it, or choose another address with --%s", l.Path, l.Addr, l.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s.listen: %w (choose another address with --%s)", l.Path, err, l.Name)
	}
	if cert != nil {
		return tls.NewListener(ln, &tls.Config{GetCertificate: cert.get, NextProtos: []string{"http/1.1"}}), nil
	}
	return ln, nil
}
