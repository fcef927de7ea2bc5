package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"

	"indelible/internal/ingest"
	"indelible/internal/recorder"
)

// The constructors below are the list of what this door says itself. An answer of
// an upstream, also an error, is never changed.

func (d *Door) notFound(path string) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusNotFound, Code: "no_upstream", Cause: errNotFound,
		Message: fmt.Sprintf("There is no upstream for %.200q. Known are %s; add others under doors.proxy.upstreams.", path, d.names)}
}

// badPath keeps callers below the path of an upstream's URL.
func badPath() *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "bad_path",
		Message: "The path leads out of the upstream's with \"..\". Send it without."}
}

func unauthorized() ingest.Refusal {
	return ingest.Refusal{Status: http.StatusUnauthorized, Code: "unauthorized",
		Message: "Send one of the proxy's tokens (INDELIBLE_PROXY_TOKENS, doors.proxy.tokens) as the header " + TokenHeader +
			", or, for an upstream whose key the proxy has, as the API key."}
}

// noCredentials: the caller's are of no use, its signature is over this door's host.
func noCredentials(err error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusServiceUnavailable, Code: "no_credentials", Cause: err, Header: http.Header{"Retry-After": {"1"}},
		Message: "The proxy signs calls to this upstream, and finds no AWS credentials. Give them to its process (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role)."}
}

// refusalOf says with which answer an error of a call to the upstream of this name reaches the
// client. The error itself is for the log: it tells addresses that are no business of a client.
func refusalOf(upstream string, err error) *ingest.Refusal {
	if e, ok := errors.AsType[*recorder.TooLargeError](err); ok {
		return &ingest.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Message: fmt.Sprintf("The request is over the proxy's limit of %d bytes (doors.proxy.max_request). It was not sent.", e.Limit)}
	}
	if _, ok := errors.AsType[*recorder.RefusedError](err); ok {
		return &ingest.Refusal{Status: http.StatusServiceUnavailable, Code: "not_recorded", Cause: err, Header: http.Header{"Retry-After": {"1"}},
			Message: "The call could not be recorded, so its answer is not given out (doors.proxy.on_full: fail_closed). Free space on the proxy's disk, and send it again."}
	}
	if e, ok := errors.AsType[*recorder.RequestError](err); ok {
		if errors.Is(err, ingest.ErrTooSlow) {
			return &ingest.Refusal{Status: http.StatusRequestTimeout, Code: "too_slow", Cause: e, Header: http.Header{"Connection": {"close"}},
				Message: "The request's body did not come within the time allowed. It was not sent."}
		}
		return &ingest.Refusal{Status: http.StatusBadRequest, Code: "incomplete", Cause: e, Header: http.Header{"Connection": {"close"}},
			Message: "The request's body ended before its announced length. It was not sent."}
	}
	if errors.Is(err, context.Canceled) {
		return &ingest.Refusal{Status: 499, Code: "client_left", Message: "The client left before there was an answer."}
	}
	return &ingest.Refusal{Status: http.StatusBadGateway, Code: "upstream_unreachable", Cause: err,
		Message: fmt.Sprintf("The upstream %[1]q cannot be reached, or broke off without an answer. Check doors.proxy.upstreams.%[1]s.url and the network between the proxy and it; the proxy's log has the cause.", upstream)}
}

// writeRefusal answers in the form of OpenAI's errors, which SDKs show.
func writeRefusal(w http.ResponseWriter, e *ingest.Refusal) {
	type fault struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    string `json:"code"`
	}
	doc, _ := json.Marshal(struct { // of three texts: cannot fail
		Error fault `json:"error"`
	}{fault{e.Message, "indelible_proxy", e.Code}})
	maps.Copy(w.Header(), e.Header)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(doc, '\n')) // the client is gone: nobody is left to tell
}

// buffers are those that answers are copied through. They are short: each open stream holds one.
type buffers struct{ pool sync.Pool }

const bufferBytes = 4 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return p[:]
	}
	return new([bufferBytes]byte)[:]
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferBytes]byte)(p)) }
