package proxy

import (
	"crypto/tls"
	"crypto/x509"
)

// TrustUpstreams has the door trust an upstream's own certificate.
func (d *Door) TrustUpstreams(roots *x509.CertPool) {
	d.base.TLSClientConfig = &tls.Config{RootCAs: roots}
}
