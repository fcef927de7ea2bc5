package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	isoBasic   = "20060102T150405Z"
	service    = "s3"
	terminator = "aws4_request"
)

// claim is what a request says about its signature, well formed but unproven.
// The zero claim is a request without credentials.
type claim struct {
	keyID     string
	scope     string // day/region/service/terminator
	day       string
	region    string
	signed    string // names of the signed headers, lower case, joined by ";"
	signature string // 64 lower-case hex digits
	date      string // time in isoBasic
	time      time.Time
	presigned bool
	expires   time.Duration // presigned only
	hashed    string        // what stands for the body in the canonical request
	payload   string        // what the body is checked against; "" if nothing was said
}

// parseClaim reads the credentials of r. They are in one place, or nowhere.
func parseClaim(r *http.Request, query string) (claim, error) {
	auth, inHeader := r.Header["Authorization"]
	p, inQuery, err := parsePresigned(query)
	switch {
	case err != nil:
		return claim{}, err
	case inHeader && inQuery:
		return claim{}, headerMalformed("Credentials are both in the Authorization header and in the query: only one of them is allowed.")
	case inHeader && len(auth) > 1:
		return claim{}, headerMalformed("There is more than one Authorization header.")
	case inHeader:
		c, err := parseAuthorization(auth[0])
		if err != nil {
			return claim{}, err
		}
		if err := c.setHeaderTime(r.Header); err != nil {
			return claim{}, err
		}
		return c, c.setPayload(r)
	case inQuery:
		return p, p.setPayload(r)
	}
	return claim{payload: headerValue(r.Header, headerContentSHA256)}, nil
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func parseAuthorization(s string) (claim, error) {
	scheme, fields, _ := strings.Cut(strings.TrimSpace(s), " ")
	if err := checkAlgorithm(scheme, headerMalformed); err != nil {
		return claim{}, err
	}
	var c claim
	var credential string
	for fields != "" {
		var field string
		field, fields, _ = strings.Cut(fields, ",")
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok {
			return claim{}, headerMalformed("The Authorization header has a field without a value.")
		}
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			c.signed = value
		case "Signature":
			c.signature = value
		}
	}
	return c, c.setCredential(credential, headerMalformed)
}

// checkAlgorithm accepts the one algorithm there is and says why not to others.
func checkAlgorithm(name string, malformed func(string) *Error) error {
	switch {
	case name == algorithm:
		return nil
	case name == "AWS":
		return accessDenied("Signature Version 2 is not supported: use " + algorithm + ".")
	case strings.HasPrefix(name, "AWS4-ECDSA-"):
		return notImplemented("Signature Version 4A (asymmetric) is not supported: use " + algorithm + ".")
	}
	return malformed("The algorithm is not supported: use " + algorithm + ".")
}

// setCredential splits id/day/region/service/terminator, from the right
// because an id may hold a slash, and checks what is known already.
func (c *claim) setCredential(s string, malformed func(string) *Error) error {
	i := len(s)
	for range 4 {
		if i = strings.LastIndexByte(s[:i], '/'); i < 0 {
			return malformed("The credential is malformed: it should be <access key id>/YYYYMMDD/<region>/s3/aws4_request.")
		}
	}
	c.keyID, c.scope = s[:i], s[i+1:]
	var rest string
	c.day, rest, _ = strings.Cut(c.scope, "/")
	c.region, rest, _ = strings.Cut(rest, "/")
	switch {
	case c.keyID == "":
		return malformed("The credential names no access key id.")
	case rest != service+"/"+terminator:
		return malformed("The credential is for another service: it should end in /s3/aws4_request.")
	case c.signed == "":
		return malformed("SignedHeaders is missing.")
	case !isHex(c.signature, 64):
		return malformed("The signature is missing or no SHA-256 in lower-case hexadecimal.")
	}
	return nil
}

// setHeaderTime reads X-Amz-Date, or Date where there is none.
func (c *claim) setHeaderTime(h http.Header) error {
	if s := headerValue(h, "X-Amz-Date"); s != "" {
		return c.setTime(s, headerMalformed)
	}
	t, err := http.ParseTime(headerValue(h, "Date"))
	if err != nil {
		return accessDenied("AWS authentication requires a valid Date or x-amz-date header")
	}
	return c.setTime(t.UTC().Format(isoBasic), headerMalformed)
}

func (c *claim) setTime(s string, malformed func(string) *Error) error {
	t, err := time.Parse(isoBasic, s)
	if err != nil {
		return malformed("The date of the signature must be in the ISO 8601 basic format YYYYMMDDTHHMMSSZ.")
	}
	if s[:8] != c.day {
		return malformed("The date of the credential is not that of the request.")
	}
	c.date, c.time = s, t
	return nil
}

// setPayload finds what stands for the body in the canonical request, and what
// the body is to be. In a presigned URL the two may differ: it vouches for the
// header only if it signs it.
func (c *claim) setPayload(r *http.Request) error {
	sent := headerValue(r.Header, headerContentSHA256)
	if c.presigned {
		switch {
		case c.hashed != "": // from the query
		case sent != "" && listed(c.signed, "x-amz-content-sha256"):
			c.hashed = sent
		default:
			c.hashed = unsignedPayload
		}
		if c.payload = sent; sent == "" {
			c.payload = c.hashed
		}
		return nil
	}
	if sent == "" && r.ContentLength != 0 {
		return &Error{Status: http.StatusBadRequest, Code: "MissingSecurityHeader",
			Message: "The header x-amz-content-sha256 is missing."}
	}
	if sent == "" {
		sent = emptySHA256
	}
	c.hashed, c.payload = sent, sent
	return nil
}

// parsePresigned reads the credentials of a presigned URL. It tells whether
// there are any.
func parsePresigned(query string) (c claim, found bool, err error) {
	if !strings.Contains(query, "X-Amz-") && !strings.Contains(query, "Signature=") {
		return claim{}, false, nil
	}
	p := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "AWSAccessKeyId" {
			return claim{}, true, checkAlgorithm("AWS", queryMalformed)
		}
		if !strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		if _, twice := p[name]; twice {
			return claim{}, true, queryMalformed("The parameter " + quote(name) + " is there twice.")
		}
		if p[name], err = url.QueryUnescape(value); err != nil {
			return claim{}, true, queryMalformed("The parameter " + quote(name) + " is not URL-encoded.")
		}
	}
	if p["X-Amz-Algorithm"] == "" && p["X-Amz-Signature"] == "" && p["X-Amz-Credential"] == "" {
		return claim{}, false, nil
	}
	c, err = presignedClaim(p)
	return c, true, err
}

func presignedClaim(p map[string]string) (claim, error) {
	if err := checkAlgorithm(p["X-Amz-Algorithm"], queryMalformed); err != nil {
		return claim{}, err
	}
	c := claim{
		presigned: true,
		signed:    p["X-Amz-SignedHeaders"],
		signature: p["X-Amz-Signature"],
		hashed:    p["X-Amz-Content-Sha256"],
	}
	if err := c.setCredential(p["X-Amz-Credential"], queryMalformed); err != nil {
		return claim{}, err
	}
	if err := c.setTime(p["X-Amz-Date"], queryMalformed); err != nil {
		return claim{}, err
	}
	seconds, err := strconv.ParseUint(p["X-Amz-Expires"], 10, 32)
	if err != nil || seconds < 1 || seconds > uint64(maxExpires/time.Second) {
		return claim{}, queryMalformed("X-Amz-Expires must be between 1 and 604800 seconds.")
	}
	c.expires = time.Duration(seconds) * time.Second
	return c, nil
}

// maxSigned bounds the list of signed headers.
const maxSigned = 128

// checkSigned refuses a request whose signature leaves out what it must cover:
// the host, and the sender's metadata, which becomes part of the record. A
// header must not be listed twice, so that a canonical request is never longer
// than the request.
func checkSigned(r *http.Request, c *claim) error {
	if strings.Count(c.signed, ";") >= maxSigned {
		return headerMalformed("SignedHeaders names too many headers.")
	}
	for rest := c.signed; rest != ""; {
		var name string
		if name, rest, _ = strings.Cut(rest, ";"); listed(rest, name) {
			return headerMalformed("SignedHeaders names a header twice.")
		}
	}
	if !listed(c.signed, "host") {
		return accessDenied("The signature does not cover the header host.")
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") && !listed(c.signed, strings.ToLower(name)) {
			return accessDenied("There were headers present in the request which were not signed: " + strings.ToLower(name))
		}
	}
	return nil
}

// listed tells whether name is in list, whose elements are joined by ";".
func listed(list, name string) bool {
	for list != "" {
		var first string
		if first, list, _ = strings.Cut(list, ";"); first == name {
			return true
		}
	}
	return false
}

// headerValue is the first value of a header, trimmed. name is canonical.
func headerValue(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return strings.TrimSpace(v[0])
	}
	return ""
}

// isHex tells whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
