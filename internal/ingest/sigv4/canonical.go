package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// scratch is the memory of one verification, kept for the next.
type scratch struct {
	canonical []byte
	toSign    []byte
	path      []byte
	query     []byte
	mac       []byte
}

// matches tells whether the signature that c claims is that of r under key, in
// any canonical form of its path and query. Each comparison takes the same time
// whatever the signatures are.
//
// Of a presigned URL only the exact forms count: who holds it must not reach
// another key by writing the path in another way.
func (s *scratch) matches(r *http.Request, path, query string, c *claim, key *signingKey) bool {
	pathForms, queryForms := readPathForms, queryForms
	switch {
	case c.presigned:
		pathForms, queryForms = exactPathForms, exactQueryForms
	case r.Method == http.MethodPut:
		pathForms = writePathForms
	}
	for q := range queryForms {
		var ok bool
		if s.query, ok = appendQuery(s.query[:0], query, q); !ok {
			continue
		}
		for p := range pathForms {
			if s.path, ok = appendPath(s.path[:0], path, p); !ok {
				continue
			}
			s.appendCanonical(r, c)
			s.appendToSign(c)
			s.mac = key.appendMAC(s.mac[:0], s.toSign)
			if equalHex(s.mac, c.signature) {
				return true
			}
		}
	}
	return false
}

// appendCanonical builds the canonical request with s.path and s.query.
func (s *scratch) appendCanonical(r *http.Request, c *claim) {
	b := append(s.canonical[:0], r.Method...)
	b = append(b, '\n')
	b = append(b, s.path...)
	b = append(b, '\n')
	b = append(b, s.query...)
	b = append(b, '\n')
	for rest := c.signed; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.signed...)
	b = append(b, '\n')
	s.canonical = append(b, c.hashed...)
}

// appendToSign builds what is signed from s.canonical.
func (s *scratch) appendToSign(c *claim) {
	sum := sha256.Sum256(s.canonical)
	b := append(s.toSign[:0], algorithm+"\n"...)
	b = append(b, c.date...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	s.toSign = hex.AppendEncode(b, sum[:])
}

// appendHeader appends the value of the header name, lower case, as it is
// signed: trimmed, runs of blanks made one, several values joined by commas.
func appendHeader(dst []byte, r *http.Request, name string) []byte {
	if name == "host" {
		return appendTrimmed(dst, r.Host)
	}
	var buf [64]byte
	values := r.Header[string(appendCanonicalName(buf[:0], name))]
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTrimmed(dst, v)
	}
	if values != nil {
		return dst
	}
	switch name { // what net/http takes out of the header
	case "content-length":
		return strconv.AppendInt(dst, max(0, r.ContentLength), 10)
	case "transfer-encoding":
		return append(dst, strings.Join(r.TransferEncoding, ",")...)
	}
	return dst
}

// appendCanonicalName appends name as net/http spells header names.
func appendCanonicalName(dst []byte, name string) []byte {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
		upper = c == '-'
	}
	return dst
}

func appendTrimmed(dst []byte, value string) []byte {
	start, blank := len(dst), false
	for i := range len(value) {
		if c := value[i]; c == ' ' || c == '\t' {
			blank = len(dst) > start
			continue
		}
		if blank {
			dst = append(dst, ' ')
			blank = false
		}
		dst = append(dst, value[i])
	}
	return dst
}

// equalHex tells in constant time whether sig is mac in lower-case hexadecimal.
func equalHex(mac []byte, sig string) bool {
	var want, got [2 * sha256.Size]byte
	hex.Encode(want[:], mac)
	return copy(got[:], sig) == len(sig) && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
