package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"net/url"
	"strings"
)

// Credential says that a credential was sent, and tells equal ones from others
// without telling what it was.
type Credential struct {
	In     string `json:"in"`               // the header's name, or "query key"
	Scheme string `json:"scheme,omitempty"` // of Authorization
	HMAC   string `json:"hmac_sha256"`      // under the log's own key, hex
}

// credentialHeaders hold credentials of providers, in the order in which they are looked at.
var credentialHeaders = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key"}

// FindCredential is the first credential of a request: its place and its value.
func FindCredential(h http.Header, rawQuery string) (in, scheme, value string) {
	for _, name := range credentialHeaders {
		v := strings.TrimSpace(h.Get(name))
		if v == "" {
			continue
		}
		if name == "Authorization" {
			scheme, v = splitScheme(v)
		}
		return strings.ToLower(name), scheme, v
	}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if name, v, _ := strings.Cut(pair, "="); IsKey(name) && v != "" {
			if text, err := url.QueryUnescape(v); err == nil {
				v = text
			}
			return "query key", "", v
		}
	}
	return "", "", ""
}

// IsKey says whether a query parameter, by its name as sent, is the one that FindCredential looks at.
func IsKey(name string) bool {
	plain, err := url.QueryUnescape(name)
	return err == nil && strings.EqualFold(plain, "key")
}

// splitScheme takes the credential out of an Authorization header. Of an AWS signature, which
// differs with each request, the credential is the access key id.
func splitScheme(v string) (scheme, value string) {
	scheme, value, ok := strings.Cut(v, " ")
	if !ok {
		return "", v
	}
	value = strings.TrimSpace(value)
	if _, rest, ok := strings.Cut(value, "Credential="); ok && strings.HasPrefix(scheme, "AWS4-") {
		value, _, _ = strings.Cut(rest, "/")
	}
	for _, known := range []string{"Bearer", "Basic", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"} {
		if strings.EqualFold(scheme, known) {
			return known, value
		}
	}
	return "other", v // the scheme may be a part of the secret
}

// NewCredential describes a request's credential; nil where it has none.
func NewCredential(key []byte, h http.Header, rawQuery string) *Credential {
	return DescribeCredential(hmac.New(sha256.New, key), h, rawQuery)
}

// DescribeCredential is NewCredential with an HMAC-SHA256 that was used before: making one takes as long as everything else of a credential.
func DescribeCredential(m hash.Hash, h http.Header, rawQuery string) *Credential {
	in, scheme, value := FindCredential(h, rawQuery)
	if in == "" {
		if value = protocolKey(h); value == "" {
			return nil
		}
		in = "sec-websocket-protocol"
	}
	m.Reset()
	m.Write([]byte(value))
	var sum [sha256.Size]byte
	return &Credential{In: in, Scheme: scheme, HMAC: hex.EncodeToString(m.Sum(sum[:0]))}
}
