package jsonapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"indelible/internal/record"
)

// refusal is an answer other than success. Only the constructors below make
// one, so they are the list of what this door says no with. Messages say what
// to do.
type refusal struct {
	status  int
	code    string
	message string
	header  http.Header // further headers; may be nil
	cause   error       // for the log
}

func (e *refusal) Error() string {
	if e.cause != nil {
		return e.code + ": " + e.cause.Error()
	}
	return e.code + ": " + e.message
}

func (e *refusal) Unwrap() error { return e.cause }

// document is the JSON of the answer.
func (e *refusal) document() []byte {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	doc, _ := json.Marshal(struct { // of two strings: cannot fail
		Error fault `json:"error"`
	}{fault{e.code, e.message}})
	return append(doc, '\n')
}

func notFound(path string) *refusal {
	return &refusal{status: http.StatusNotFound, code: "not_found",
		message: fmt.Sprintf("There is nothing at %.200q. Send records by POST to %s.", path, Path)}
}

func notAllowed(method string) *refusal {
	return &refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", header: http.Header{"Allow": {http.MethodPost}},
		message: fmt.Sprintf("%.20s is not allowed here. Send records by POST; read them with indelible get and search, or at the S3 door.", method)}
}

func unauthorized() *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "unauthorized", header: http.Header{"WWW-Authenticate": {`Bearer realm="indelible"`}},
		message: "Send one of the tokens that the door was given (INDELIBLE_HTTP_TOKENS, doors.http.tokens) as the header Authorization: Bearer <token>."}
}

func unsupportedEncoding(name string) *refusal {
	return &refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_encoding", header: http.Header{"Accept-Encoding": {"gzip, zstd, identity"}},
		message: fmt.Sprintf("The Content-Encoding %.60q is not known here. Send the records as they are, or compressed with gzip or zstd.", name)}
}

func empty() *refusal {
	return &refusal{status: http.StatusBadRequest, code: "empty",
		message: "The body is empty. Send a JSON object, a JSON array of records, or one record a line (NDJSON)."}
}

func cutOff(e *cutOffError) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "cut_off", cause: e,
		message: fmt.Sprintf("The JSON array is cut off: the body ends at byte %d, within element %d, which begins at byte %d. Nothing was taken; send the whole array again.",
			e.end, e.element, e.begins)}
}

func badEncoding(name string, cause error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "bad_encoding", cause: cause,
		message: fmt.Sprintf("The body is no whole %s stream (%v). Nothing was taken; send it again.", name, cause)}
}

func wideWindow(cause error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "bad_encoding", cause: cause,
		message: fmt.Sprintf("The zstd stream wants a window of more than %s. Compress with a level up to 19 and without --long, or use gzip.", size(maxWindow))}
}

func incomplete(cause error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "incomplete", cause: cause,
		message: "The body ended before its announced length. Nothing was taken; send it again."}
}

func tooSlow(cause error) *refusal {
	return &refusal{status: http.StatusRequestTimeout, code: "too_slow", cause: cause, header: http.Header{"Connection": {"close"}},
		message: "The body did not come within the time allowed. Nothing was taken; send it again."}
}

func (d *Door) tooLarge() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: "too_large",
		message: fmt.Sprintf("The request is over the limit of %s (%d bytes, after decoding). Send fewer records at a time, or raise doors.http.max_request.",
			size(d.maxRequest), d.maxRequest)}
}

func (d *Door) tooMany() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: "too_many",
		message: fmt.Sprintf("The request has more than the limit of %d records. Send fewer records at a time.", d.maxRecords)}
}

// busy tells the sender to keep the records and to come back.
func busy(cause error) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, code: "busy", header: http.Header{"Retry-After": {"1"}}, cause: cause,
		message: "There is no room for the records now. None of them was acknowledged; send them again in a moment."}
}

func internal(cause error) *refusal {
	return &refusal{status: http.StatusInternalServerError, code: "internal", cause: cause,
		message: "The records could not be made durable. None of them was acknowledged; send them again."}
}

// refusalOf says with which answer an error reaches the sender. It is the one
// place where errors of other rooms become answers.
func refusalOf(err error) *refusal {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e
	}
	if e, ok := errors.AsType[*cutOffError](err); ok {
		return cutOff(e)
	}
	if errors.Is(err, record.ErrPushback) || errors.Is(err, record.ErrClosed) || errors.Is(err, errHeld) {
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
