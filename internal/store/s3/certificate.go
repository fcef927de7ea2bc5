package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// certificateError says that the store, or a proxy before it, does not prove who it is.
type certificateError struct {
	err    error
	remedy string
}

func (e *certificateError) Error() string { return fmt.Sprintf("%v: %s", e.err, e.remedy) }

// Unwrap is what the handshake said.
func (e *certificateError) Unwrap() error { return e.err }

// aboutCertificate gives an error of a handshake what to do about the certificate, or returns nil for another error.
func aboutCertificate(err error, now time.Time) *certificateError {
	e := &certificateError{err: err, remedy: "look at the certificate that the endpoint shows, and at what is between it and here"}
	if _, ok := errors.AsType[*certificateError](err); ok {
		return nil
	}
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isName := errors.AsType[x509.HostnameError](err)
	_, isOther := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		when := "expired on " + invalid.Cert.NotAfter.UTC().Format(time.DateOnly)
		if now.Before(invalid.Cert.NotBefore) {
			when = "is valid from " + invalid.Cert.NotBefore.UTC().Format(time.DateOnly)
		}
		e.remedy = fmt.Sprintf("a certificate of the store %s, and it is %s here: renew it there, or set this machine's clock; delivery goes on by itself", when, now.UTC().Format(time.DateOnly))
	case isUnknown:
		e.remedy = "this machine does not know the authority that signed the store's certificate: give serve its certificate in AWS_CA_BUNDLE=FILE, or install it on this machine, and start again"
	case isName:
		e.remedy = "the store's certificate is for another name: correct --endpoint, or renew the certificate with this name"
	case isInvalid, isOther:
	default:
		return nil
	}
	return e
}
