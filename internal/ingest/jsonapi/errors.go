package jsonapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"indelible/internal/ingest"
	"indelible/internal/record"
)

// The constructors below are the list of what this door says no with. Messages
// say what to do.

// document is the JSON of an answer.
func document(e *ingest.Refusal) []byte {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	doc, _ := json.Marshal(struct { // of two strings: cannot fail
		Error fault `json:"error"`
	}{fault{e.Code, e.Message}})
	return append(doc, '\n')
}

func notFound(path string) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusNotFound, Code: "not_found",
		Message: fmt.Sprintf("There is nothing at %.200q. Send records by POST to %s.", path, Path)}
}

func notAllowed(method string) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Header: http.Header{"Allow": {http.MethodPost}},
		Message: fmt.Sprintf("%.20s is not allowed here. Send records by POST; read them with indelible get, or at the S3 door.", method)}
}

func unauthorized() ingest.Refusal {
	return ingest.Refusal{Status: http.StatusUnauthorized, Code: "unauthorized", Header: http.Header{"WWW-Authenticate": {`Bearer realm="indelible"`}},
		Message: "Send one of the tokens that the door was given (INDELIBLE_HTTP_TOKENS, doors.http.tokens) as the header Authorization: Bearer <token>."}
}

func unsupportedEncoding(name string) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding", Header: http.Header{"Accept-Encoding": {"gzip, deflate, zstd, identity"}},
		Message: fmt.Sprintf("The Content-Encoding %.60q is not known here. Send the records as they are, or compressed with gzip, deflate or zstd.", name)}
}

func empty() *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "empty",
		Message: "The body is empty. Send a JSON object, a JSON array of records, or one record a line (NDJSON)."}
}

func cutOff(e *cutOffError) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "cut_off", Cause: e,
		Message: fmt.Sprintf("The JSON array is cut off: the body ends at byte %d, within element %d, which begins at byte %d. Nothing was taken; send the whole array again.",
			e.end, e.element, e.begins)}
}

func badEncoding(name string, cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "bad_encoding", Cause: cause,
		Message: fmt.Sprintf("The body is no whole %s stream (%v). Nothing was taken; send it again.", name, cause)}
}

func wideWindow(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "bad_encoding", Cause: cause,
		Message: fmt.Sprintf("The zstd stream wants a window of more than %s. Compress with a level up to 19 and without --long, or use gzip.", size(ingest.MaxWindow))}
}

// broken refuses a body that did not come to its end.
func broken(cause error) *ingest.Refusal {
	if errors.Is(cause, ingest.ErrTooSlow) {
		return tooSlow(cause)
	}
	return incomplete(cause)
}

func incomplete(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "incomplete", Cause: cause,
		Message: "The body ended before its announced length. Nothing was taken; send it again."}
}

func tooSlow(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusRequestTimeout, Code: "too_slow", Cause: cause, Header: http.Header{"Connection": {"close"}},
		Message: "The body did not come within the time allowed. Nothing was taken; send it again."}
}

func (d *Door) tooLarge() *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Message: fmt.Sprintf("The request is over the limit of %s (%d bytes, after decoding). Send fewer records at a time, or raise doors.http.max_request.",
			size(d.bodies.Max()), d.bodies.Max())}
}

func (d *Door) tooMany() *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "too_many",
		Message: fmt.Sprintf("The request has more than the limit of %d records. Send fewer records at a time.", d.maxRecords)}
}

// busy tells the sender to keep the records and to come back.
func busy(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusServiceUnavailable, Code: "busy", Header: http.Header{"Retry-After": {"1"}}, Cause: cause,
		Message: "There is no room for the records now. None of them was acknowledged; send them again in a moment."}
}

func internal(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusInternalServerError, Code: "internal", Cause: cause,
		Message: "The records could not be made durable. None of them was acknowledged; send them again."}
}

// refusalOf says with which answer an error reaches the sender. It is the one
// place where errors of other packages become answers.
func refusalOf(err error) *ingest.Refusal {
	if e, ok := errors.AsType[*ingest.Refusal](err); ok {
		return e
	}
	if e, ok := errors.AsType[*cutOffError](err); ok {
		return cutOff(e)
	}
	if errors.Is(err, record.ErrPushback) || errors.Is(err, record.ErrClosed) || errors.Is(err, ingest.ErrHeld) {
		return busy(err)
	}
	return internal(err)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
