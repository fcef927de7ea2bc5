package capture

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// knownHeader says which headers are recorded with their values. Everything else is named only: what is not known to
// hold no secret may hold one.
func knownHeader(lower string) bool {
	switch lower {
	case "accept", "accept-encoding", "accept-language", "cache-control", "cf-ray", "content-encoding", "content-language", "content-length",
		"content-type", "date", "etag", "expect", "idempotency-key", "model", "request-id", "retry-after", "server", "te", "traceparent", "trailer",
		"upgrade", "user-agent", "via", "x-cloud-trace-context", "x-client-request-id", "x-correlation-id", "x-goog-api-client", "x-goog-request-params",
		"x-goog-user-project", "x-request-id", "x-session-id", "x-should-retry", "apim-request-id", "azureml-model-session",
		"x-envoy-upstream-service-time", "anthropic-version", "anthropic-beta", "anthropic-organization-id", "openai-beta", "openai-organization",
		"openai-project", "openai-processing-ms", "openai-version", "openai-model", "x-ms-region", "x-ms-client-request-id", "x-ms-rai-invoked",
		"x-amzn-requestid", "x-amzn-errortype", "x-amz-date", "x-amz-content-sha256", "x-api-warning", "x-trial-endpoint-call-remaining",
		"x-endpoint-monthly-call-limit", "sec-websocket-version", "sec-websocket-extensions":
		return true
	}
	return false
}

// keptPrefixes are families of such headers.
var keptPrefixes = []string{"x-stainless-", "x-ratelimit-", "ratelimit-", "anthropic-ratelimit-", "x-amzn-bedrock-", "x-envoy-ratelimited", "x-litellm-call-id", "x-litellm-model-", "x-litellm-response-cost", "x-litellm-version"}

// KeepHeaders splits headers into those that are recorded and the names of the others.
func KeepHeaders(h http.Header) (kept []Field, withheld []string) {
	if len(h) == 0 {
		return nil, nil
	}
	kept = make([]Field, 0, len(h))
	for name, values := range h {
		usual, ok := usualHeaders[name]
		lower := usual.lower
		if !ok {
			lower = strings.ToLower(name)
			usual.kept = keepHeader(lower)
		}
		if !usual.kept {
			withheld = append(withheld, lower)
			continue
		}
		for _, v := range values {
			kept = append(kept, Field{lower, strings.ToValidUTF8(v, "\uFFFD")})
		}
	}
	slices.SortStableFunc(kept, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(withheld)
	return kept, withheld
}

// usualHeader is what is known of a header that is in many requests and answers.
type usualHeader struct {
	lower  string // its name
	kept   bool
	secret bool // it holds a credential
}

// usualHeaders are such headers by their canonical names.
var usualHeaders = func() map[string]usualHeader {
	table := map[string]usualHeader{}
	for _, lower := range []string{
		"accept", "accept-encoding", "accept-language", "alt-svc", "anthropic-organization-id", "anthropic-version", "api-key", "authorization", "cache-control", "cf-cache-status", "cf-ray", "connection",
		"content-encoding", "content-length", "content-type", "date", "openai-organization", "openai-processing-ms", "openai-project", "openai-version", "request-id", "server", "set-cookie",
		"strict-transport-security", "traceparent", "transfer-encoding", "user-agent", "vary", "via", "x-api-key", "x-content-type-options", "x-goog-api-key", "x-request-id", "x-should-retry",
		"x-stainless-arch", "x-stainless-async", "x-stainless-lang", "x-stainless-os", "x-stainless-package-version", "x-stainless-read-timeout", "x-stainless-retry-count", "x-stainless-runtime",
		"x-stainless-runtime-version", "x-stainless-timeout", "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens",
		"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
	} {
		name := http.CanonicalHeaderKey(lower)
		table[name] = usualHeader{lower, keepHeader(lower), slices.Contains(credentialHeaders, name)}
	}
	return table
}()

func keepHeader(lower string) bool {
	return knownHeader(lower) || slices.ContainsFunc(keptPrefixes, func(p string) bool { return strings.HasPrefix(lower, p) })
}

// redacted stands for the value of a query parameter that may be a secret.
const redacted = "REDACTED"

// secretWords are parts of the names of query parameters whose values are not recorded.
var secretWords = []string{"key", "token", "secret", "sig", "auth", "password", "passwd", "credential", "session", "code", "jwt"}

// RedactURL is a URL without secrets: no user, no fragment, and no value of a
// parameter whose name speaks of one. It changes nothing else.
func RedactURL(u *url.URL) string {
	c := *u
	c.User, c.Fragment, c.RawFragment = nil, "", ""
	c.RawQuery = redactQuery(u.RawQuery)
	if c.Opaque != "" && c.Host != "" { // the path as it is sent
		c.Opaque = "//" + c.Host + c.Opaque
	}
	return strings.ToValidUTF8(c.String(), "\uFFFD")
}

func redactQuery(raw string) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	for i, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			pairs[i] = redacted
			continue
		}
		lower := strings.ToLower(plain)
		if ok && value != "" && slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(lower, w) }) {
			pairs[i] = name + "=" + redacted
		}
	}
	return strings.Join(pairs, "&")
}
