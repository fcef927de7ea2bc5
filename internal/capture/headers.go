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
	for name, values := range h {
		lower := strings.ToLower(name)
		if !keepHeader(lower) {
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
