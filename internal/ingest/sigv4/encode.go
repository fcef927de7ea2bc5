package sigv4

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Target is the path and the query of r as they were received, still encoded.
// The path starts with a slash; the query is without its question mark.
func Target(r *http.Request) (path, query string) {
	if r.RequestURI == "" { // a request that no server has read
		return cmp.Or(r.URL.EscapedPath(), "/"), r.URL.RawQuery
	}
	path, query, _ = strings.Cut(r.RequestURI, "?")
	if i := strings.Index(path, "://"); i > 0 && path[0] != '/' { // absolute form, as to a proxy
		_, path, _ = strings.Cut(path[i+len("://"):], "/")
		path = "/" + path
	}
	return cmp.Or(path, "/"), query
}

// How many canonical forms of a path count, from the first on.
const (
	exactPathForms = 2 // one signature over them fits the paths of one key only
	readPathForms  = 4 // what clients that sign the head of a request are known to sign
	writePathForms = 5 // the last one is what LiteLLM up to 1.82 signs when it writes
)

// appendPath appends the n-th canonical form of path to dst. It reports false
// if path has no such form or the form is path itself, except for form 0.
//
// Clients disagree on what they sign for the path they send. The forms from
// exactPathForms on are for clients that sign the request they are about to
// send, in its head: a signature over one of them fits the path of another key
// too, which is of use only to somebody who has the head.
func appendPath(dst []byte, path string, n int) ([]byte, bool) {
	ok := true
	switch n {
	case 0: // as received: a client that sends what it signs
		return append(dst, path...), true
	case 1: // S3's encoding: a client whose HTTP library encodes otherwise than its signer
		dst, ok = appendReencoded(dst, path, inPath)
	case 2: // encoded twice, as for all services but S3: LiteLLM up to 1.82
		dst = appendTwice(dst, path)
	case 3: // the same with one slash in front, as that rule has it: an endpoint with a slash at its end
		if !strings.HasPrefix(path, "//") {
			return dst, false
		}
		dst = appendTwice(dst, "/"+strings.TrimLeft(path, "/"))
	case 4: // the same with one slash for each run of them: a prefix that was configured with a slash at its end
		if !strings.Contains(path, "//") {
			return dst, false
		}
		dst = appendTwice(dst, collapse(path))
	}
	return dst, ok && string(dst) != path
}

// queryForms is how many canonical forms of a query there are; the exact ones
// come first.
const (
	queryForms      = 3
	exactQueryForms = 2
)

// appendQuery appends the n-th canonical form of query to dst: pairs sorted,
// without the signature. It reports false if there is no such form.
func appendQuery(dst []byte, query string, n int) ([]byte, bool) {
	if query == "" {
		return dst, n == 0
	}
	type pair struct{ name, value string }
	var pairs []pair
	for field := range strings.SplitSeq(query, "&") {
		if field == "" || strings.HasPrefix(field, "X-Amz-Signature=") {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		for _, s := range []*string{&name, &value} {
			b, ok := appendQueryPart(nil, *s, n)
			if !ok {
				return dst, false
			}
			*s = string(b)
		}
		pairs = append(pairs, pair{name, value})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, p.name...)
		dst = append(dst, '=')
		dst = append(dst, p.value...)
	}
	return dst, true
}

func appendQueryPart(dst []byte, s string, n int) ([]byte, bool) {
	switch n {
	case 0: // S3's encoding, a plus being a space
		return appendReencoded(dst, strings.ReplaceAll(s, "+", "%20"), inQuery)
	case 1: // as received: botocore signs a query that came in the URL so, as in a key cut at its question mark
		return append(dst, s...), true
	default: // S3's encoding, a plus being a plus
		return appendReencoded(dst, s, inQuery)
	}
}

// place is where in a URL a text stands.
type place bool

const (
	inPath  place = false // slashes stay
	inQuery place = true  // slashes are encoded
)

const upperHex = "0123456789ABCDEF"

// appendTwice appends path encoded twice: once as it should have been sent,
// where an HTTP library left a bracket or a bar as it is, and once as S3 says.
func appendTwice(dst []byte, path string) []byte {
	for i := range len(path) {
		switch c := path[i]; c {
		case '[', ']', '|', '\\', '^':
			dst = append(dst, '%', '2', '5', upperHex[c>>4], upperHex[c&15])
		default:
			dst = appendByte(dst, c, inPath)
		}
	}
	return dst
}

// appendByte appends c in S3's encoding: all but A-Z a-z 0-9 - . _ ~ and, in a
// path, the slash, becomes %XX.
func appendByte(dst []byte, c byte, in place) []byte {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~' || c == '/' && in == inPath {
		return append(dst, c)
	}
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

// appendReencoded decodes s and appends it to dst in S3's encoding. It reports
// false if s holds a percent sign that starts no code.
func appendReencoded(dst []byte, s string, in place) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return dst, false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return dst, false
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		dst = appendByte(dst, c, in)
	}
	return dst, true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// collapse makes one slash of each run of slashes.
func collapse(path string) string {
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, path[i])
		}
	}
	return string(b)
}
