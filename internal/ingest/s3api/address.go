package s3api

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"indelible/internal/ingest/sigv4"
)

// address is what a request is about. A key is data: the percent-decoded bytes
// of the rest of the path, of any length and any content.
type address struct {
	bucket string // "" is the service
	key    string // "" is the bucket
	query  url.Values
}

// maxBucket bounds the bucket names that records may name. S3's own bound is 63;
// an unknown or odd bucket is no reason to refuse a record.
const maxBucket = 255

// addressing says how a request target is read.
type addressing struct {
	basePath string   // "" or "/…" without a slash at its end; stripped where it is there
	domains  []string // lower case; "<bucket>.<domain>" is the bucket's host
	bucket   string   // of requests that name none
}

// of reads the address from the raw request target. It reports false for a
// target that is no valid percent-encoding.
func (a addressing) of(r *http.Request) (address, bool) {
	path, rawQuery := sigv4.Target(r)
	ad := address{query: parseQuery(rawQuery)}
	if rest, ok := strings.CutPrefix(path, a.basePath); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	if bucket := a.hostBucket(r.Host); bucket != "" {
		key, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
		ad.bucket, ad.key = bucket, key
		return ad, err == nil
	}
	// An endpoint that was configured with a slash at its end makes "//bucket/key".
	path = strings.TrimLeft(path, "/")
	first, rest, _ := strings.Cut(path, "/")
	if isDay(first) {
		key, err := url.PathUnescape(path)
		ad.bucket, ad.key = a.bucket, key
		return ad, err == nil
	}
	bucket, err1 := url.PathUnescape(first)
	key, err2 := url.PathUnescape(rest)
	ad.bucket, ad.key = bucket, key
	return ad, err1 == nil && err2 == nil
}

// hostBucket is the bucket that a Host header names, or "".
func (a addressing) hostBucket(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if net.ParseIP(host) != nil {
		return ""
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	best := ""
	for _, domain := range a.domains {
		// The longest domain wins: with example.com and s3.example.com both
		// configured, s3 is no bucket.
		if host == domain {
			return ""
		}
		if strings.HasSuffix(host, "."+domain) && len(domain) > len(best) {
			best = domain
		}
	}
	if best == "" {
		return ""
	}
	return host[:len(host)-len(best)-1]
}

// parseQuery is url.ParseQuery that keeps what it can: a stray "%" or ";" in
// the query of a PUT is no reason to refuse a record.
func parseQuery(raw string) url.Values {
	if raw == "" {
		return nil
	}
	q, _ := url.ParseQuery(raw)
	return q
}

// isDay tells whether s has the form YYYY-MM-DD: LiteLLM up to 1.76 leaves the
// bucket out of the path, so that a key begins where a bucket should.
func isDay(s string) bool {
	if len(s) != len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return false
	}
	for i := range len(s) {
		if i != 4 && i != 7 && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// validBucket tells whether S3 would allow a bucket of this name. Only
// who asks for a bucket itself is held to it, not who reads what was put there.
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 || net.ParseIP(name) != nil {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (c != '-' && c != '.' || i == 0 || i == len(name)-1) {
			return false
		}
	}
	return !strings.Contains(name, "..") && !strings.Contains(name, ".-") && !strings.Contains(name, "-.")
}
