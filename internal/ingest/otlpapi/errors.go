package otlpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"

	"indelible/internal/ingest"
	"indelible/internal/otlp"
	"indelible/internal/record"
)

// The constructors below are the list of what this door says no with. An exporter
// tries again after 503 alone of these, and only where Retry-After is short.

func notFound(path string) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusNotFound, Code: "not_found",
		Message: fmt.Sprintf("There is nothing at %.200q. Send traces to /v1/traces and logs to /v1/logs.", path)}
}

func notAllowed(method string) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Header: http.Header{"Allow": {http.MethodPost}},
		Message: fmt.Sprintf("%.20s is not allowed here. Send telemetry by POST.", method)}
}

func unauthorized() ingest.Refusal {
	return ingest.Refusal{Status: http.StatusUnauthorized, Code: "unauthorized", Header: http.Header{"WWW-Authenticate": {`Bearer realm="indelible"`}},
		Message: "Send one of the tokens that the door was given (INDELIBLE_HTTP_TOKENS, doors.http.tokens): OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>."}
}

func tooLarge() *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Message: fmt.Sprintf("The request has more than the %d bytes that a record can hold. Send fewer items at a time.", int64(record.MaxBody))}
}

// again tells the sender to keep the batch and to come back soon.
func again(code, message string, cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusServiceUnavailable, Code: code, Header: http.Header{"Retry-After": {"1"}}, Cause: cause, Message: message}
}

// refusalOf says with which answer an error reaches the sender. It is the one
// place where errors of other packages become answers.
func refusalOf(err error) *ingest.Refusal {
	if e, ok := errors.AsType[*ingest.Refusal](err); ok {
		return e
	}
	switch {
	case errors.Is(err, ingest.ErrTooSlow):
		return again("too_slow", "The body did not come within the time allowed. Nothing was taken; send it again.", err)
	case errors.Is(err, errBody):
		return again("incomplete", "The body ended before its announced length. Nothing was taken; send it again.", err)
	case errors.Is(err, record.ErrPushback), errors.Is(err, record.ErrClosed), errors.Is(err, ingest.ErrHeld):
		return again("busy", "There is no room for the records now. None of them was acknowledged; send them again in a moment.", err)
	}
	// Exporters drop what is answered with 500.
	return again("internal", "The records could not be made durable. None of them was acknowledged; send them again.", err)
}

// status is the google.rpc.Status of a refusal.
func status(encoding otlp.Encoding, e *ingest.Refusal) []byte {
	code := 14 // UNAVAILABLE
	switch e.Status {
	case http.StatusUnauthorized:
		code = 16
	case http.StatusForbidden:
		code = 7
	case http.StatusServiceUnavailable:
	default:
		code = 3 // INVALID_ARGUMENT
	}
	if encoding == otlp.Protobuf {
		b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(code))
		return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), e.Message)
	}
	doc, _ := json.Marshal(struct { // of a number and a text: cannot fail
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, e.Message})
	return doc
}
