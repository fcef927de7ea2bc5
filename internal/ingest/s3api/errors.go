package s3api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
)

// refusal is an answer other than success, in S3's words. Only the constructors
// below make one, so they are the list of what this door says no with.
type refusal struct {
	status  int
	code    string
	message string
	detail  string      // further XML elements
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

func refuse(status int, code, message string) *refusal {
	return &refusal{status: status, code: code, message: message}
}

func notImplemented(message string) *refusal {
	return refuse(http.StatusNotImplemented, "NotImplemented", message)
}

func notAllowed(message, allow string) *refusal {
	e := refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", message)
	e.header = http.Header{"Allow": {allow}}
	return e
}

func invalidArgument(name, value, message string) *refusal {
	e := refuse(http.StatusBadRequest, "InvalidArgument", message)
	e.detail = element("ArgumentName", name) + element("ArgumentValue", value)
	return e
}

func noSuchKey(key string) *refusal {
	e := refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	e.detail = element("Key", key)
	return e
}

func invalidBucketName(name string) *refusal {
	e := refuse(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	e.detail = element("BucketName", name)
	return e
}

func preconditionFailed(condition string) *refusal {
	e := refuse(http.StatusPreconditionFailed, "PreconditionFailed",
		"At least one of the pre-conditions you specified did not hold")
	e.detail = element("Condition", condition)
	return e
}

func tooLarge(size int64) *refusal {
	e := refuse(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	e.detail = element("ProposedSize", strconv.FormatInt(size, 10)) +
		element("MaxSizeAllowed", strconv.Itoa(record.MaxBody))
	return e
}

// slowDown tells the sender to keep the record and to come back.
func slowDown(cause error) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, code: "SlowDown", message: "Please reduce your request rate.",
		header: http.Header{"Retry-After": {"1"}}, cause: cause}
}

// internal is also the answer to a body that is not what its digest says: S3
// has 400 BadDigest for it, on which LiteLLM throws the record away for good.
func internal(cause error) *refusal {
	return &refusal{status: http.StatusInternalServerError, code: "InternalError",
		message: "We encountered an internal error. Please try again.", cause: cause}
}

// refusalOf says with which answer an error reaches the sender. It is the one
// place where errors of other rooms become S3's.
func refusalOf(err error) *refusal {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return &refusal{status: e.Status, code: e.Code, message: e.Message, cause: err}
	}
	switch {
	case errors.Is(err, record.ErrPushback), errors.Is(err, record.ErrClosed), errors.Is(err, errHeld):
		return slowDown(err)
	case errors.Is(err, record.ErrSize):
		return incompleteBody(err)
	}
	return internal(err)
}

func incompleteBody(cause error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "IncompleteBody",
		message: "You did not provide the number of bytes specified by the Content-Length HTTP header", cause: cause}
}

func requestTimeout(cause error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "RequestTimeout",
		message: "Your socket connection to the server was not read from or written to within the timeout period.", cause: cause}
}

// document is the XML of the answer.
func (e *refusal) document(resource, requestID string) string {
	var b strings.Builder
	b.WriteString(xmlHeader + "<Error>")
	b.WriteString(element("Code", e.code) + element("Message", e.message) + e.detail)
	b.WriteString(element("Resource", resource) + element("RequestId", requestID))
	b.WriteString("</Error>")
	return b.String()
}
