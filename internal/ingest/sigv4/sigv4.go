// Package sigv4 verifies that an S3 request is authentic and that its body is
// what was announced.
//
// A Verifier checks the head (Signature Version 4, in the Authorization header
// or presigned) and returns an Auth; Auth.Body decodes and checks the body
// while it is read. Between them no byte of a record is taken for good that its
// sender did not vouch for.
package sigv4

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// DefaultSkew is how far a signature's time may be from ours, as S3 has it.
const DefaultSkew = 15 * time.Minute

// maxExpires is the longest life of a presigned URL, as S3 has it.
const maxExpires = 7 * 24 * time.Hour

// Verifier checks requests against a set of keys. Set its fields before the
// first use and do not change them afterwards; its methods are safe for
// concurrent use. Without keys and without Trust it refuses every request.
type Verifier struct {
	// Keys are the secrets by access key id.
	Keys map[string]string
	// Trust says that whoever can reach the door may use it: signatures are
	// not checked. Bodies are checked against the digests they announce all the same.
	Trust bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Skew is how far a signature's time may be from Now; 0 is DefaultSkew.
	Skew time.Duration

	keys    keyCache
	scratch sync.Pool // of *scratch
}

// Auth is what the head of one request proves. It belongs to that request.
type Auth struct {
	// KeyID is the access key id that the request names. It is proven only if
	// Signed is set, and "" if the request names none.
	KeyID string
	// Signed says that the signature was checked and is right. It is unset only under Trust.
	Signed bool
	// Presigned says that the credentials came in the query.
	Presigned bool

	payload   string      // x-amz-content-sha256 or what stands for it; "" if nothing was said
	signature string      // of the head: the seed of the chain of chunk signatures
	date      string      // ISO 8601 basic, as signed
	scope     string      // date/region/service/aws4_request
	key       *signingKey // nil unless Signed
}

// Verify checks the head of r and reads nothing of its body. The error is an
// *Error. It works on the request target as it was received (r.RequestURI) and
// on r.Host, so r must not have been rewritten.
//
// The signature is accepted if it matches any of the canonical forms of the
// path that clients are known to sign; see appendPath. The headers that are
// signed are the ones the request says, among which host must be.
func (v *Verifier) Verify(r *http.Request) (*Auth, error) {
	path, query := Target(r)
	c, err := parseClaim(r, query)
	if v.Trust {
		if err != nil {
			c = claim{payload: headerValue(r.Header, headerContentSHA256)} // it may be anything
		}
		return &Auth{KeyID: c.keyID, Presigned: c.presigned, payload: c.payload}, nil
	}
	if err != nil {
		return nil, err
	}
	if c.keyID == "" {
		return nil, accessDenied("Anonymous access is forbidden: sign the request with an access key of this log.")
	}
	if err := v.checkTime(&c); err != nil {
		return nil, err
	}
	if err := checkSigned(r, &c); err != nil {
		return nil, err
	}
	return v.checkSignature(r, path, query, &c)
}

// checkSignature compares the signature that c claims with ours. A key id that
// is not known takes the same way, with a secret that nobody has.
func (v *Verifier) checkSignature(r *http.Request, path, query string, c *claim) (*Auth, error) {
	secret, known := v.Keys[c.keyID]
	key, cached := v.keys.get(c.keyID, c.day, c.region)
	if !cached {
		key = newSigningKey(secret, c.day, c.region)
	}
	s, _ := v.scratch.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer v.scratch.Put(s)

	match := s.matches(r, path, query, c, key)
	if !known {
		return nil, &Error{Status: http.StatusForbidden, Code: "InvalidAccessKeyId",
			Message: "The access key id is not one of this log's."}
	}
	if !match {
		return nil, signatureMismatch("The signature does not match the request: check the secret key, and that nothing between you and this log rewrites the request.")
	}
	if !cached {
		v.keys.put(c.keyID, c.day, c.region, key)
	}
	return &Auth{
		KeyID: c.keyID, Signed: true, Presigned: c.presigned,
		payload: c.payload, signature: c.signature, date: c.date, scope: c.scope, key: key,
	}, nil
}

// checkTime refuses signatures that are too old or from the future.
func (v *Verifier) checkTime(c *claim) error {
	now, skew := time.Now(), v.Skew
	if v.Now != nil {
		now = v.Now()
	}
	if skew == 0 {
		skew = DefaultSkew
	}
	switch off := now.Sub(c.time); {
	case c.presigned && off > c.expires:
		return accessDenied("Request has expired")
	case c.presigned && off < -skew:
		return accessDenied("Request is not yet valid")
	case !c.presigned && (off > skew || off < -skew):
		return &Error{Status: http.StatusForbidden, Code: "RequestTimeTooSkewed",
			Message: "The difference between the request time and the current time is too large: the request says " +
				c.date + ", it is " + now.UTC().Format(isoBasic) + " here."}
	}
	return nil
}

// ClaimedKeyID is the access key id that r names, proven or not, fit for a log
// line; "" if it names none.
func ClaimedKeyID(r *http.Request) string {
	_, query := Target(r)
	c, _ := parseClaim(r, query)
	id := strings.ToValidUTF8(c.keyID, "?")
	return id[:min(len(id), 128)]
}
