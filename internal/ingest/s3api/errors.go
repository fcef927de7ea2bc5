package s3api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"indelible/internal/ingest"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
	"indelible/internal/store"
)

// The constructors below are the list of what this door says no with, in S3's words.

func refuse(status int, code, message string) *ingest.Refusal {
	return &ingest.Refusal{Status: status, Code: code, Message: message}
}

func notImplemented(message string) *ingest.Refusal {
	return refuse(http.StatusNotImplemented, "NotImplemented", message)
}

func notAllowed(message, allow string) *ingest.Refusal {
	e := refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", message)
	e.Header = http.Header{"Allow": {allow}}
	return e
}

func invalidArgument(name, value, message string) *ingest.Refusal {
	e := refuse(http.StatusBadRequest, "InvalidArgument", message)
	e.Detail = element("ArgumentName", name) + element("ArgumentValue", value)
	return e
}

func noSuchKey(key string) *ingest.Refusal {
	e := refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	e.Detail = element("Key", key)
	return e
}

func invalidBucketName(name string) *ingest.Refusal {
	e := refuse(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	e.Detail = element("BucketName", name)
	return e
}

func preconditionFailed(condition string) *ingest.Refusal {
	e := refuse(http.StatusPreconditionFailed, "PreconditionFailed",
		"At least one of the pre-conditions you specified did not hold")
	e.Detail = element("Condition", condition)
	return e
}

func tooLarge(size int64) *ingest.Refusal {
	e := refuse(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	e.Detail = element("ProposedSize", strconv.FormatInt(size, 10)) +
		element("MaxSizeAllowed", strconv.Itoa(record.MaxBody))
	return e
}

// noBucketConfiguration refuses a PUT to a bucket whose body is something else.
// The code is none on which LiteLLM throws a record away.
func noBucketConfiguration(host string) *ingest.Refusal {
	return refuse(http.StatusBadRequest, "UnexpectedContent", fmt.Sprintf("This address is a bucket, and the body is no CreateBucketConfiguration: nothing was kept. "+
		"If the host %.200q names the bucket and the path the key, add the host's domain to doors.s3.domains and send the record again; "+
		"else send it to /<bucket>/<key>.", host))
}

// missingLength refuses a PUT whose body, if it has one, nobody could find the end of.
func missingLength() *ingest.Refusal {
	return refuse(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
}

// ownUploader refuses what this log itself delivers: it would be taken as a new
// record and delivered again, without end. The status is one that S3 clients do not retry.
func ownUploader(log string) *ingest.Refusal {
	e := notImplemented(fmt.Sprintf("The destination of the log %s is the log's own S3 door: its records would come back to it for ever. "+
		"Set destination.endpoint (AWS_ENDPOINT_URL_S3) to the S3 server that is to keep them.", log))
	e.Cause = errors.New("the destination is this door")
	return e
}

// slowDown tells the sender to keep the record and to come back.
func slowDown(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusServiceUnavailable, Code: "SlowDown", Message: "Please reduce your request rate.",
		Header: http.Header{"Retry-After": {"1"}}, Cause: cause}
}

// internal is also the answer to a body that is not what its digest says: S3
// has 400 BadDigest for it, on which LiteLLM throws the record away for good.
func internal(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusInternalServerError, Code: "InternalError",
		Message: "We encountered an internal error. Please try again.", Cause: cause}
}

// refusalOf says with which answer an error reaches the sender. It is the one
// place where errors of other packages become S3's.
func refusalOf(err error) *ingest.Refusal {
	if e, ok := errors.AsType[*ingest.Refusal](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return &ingest.Refusal{Status: e.Status, Code: e.Code, Message: e.Message, Cause: err}
	}
	switch {
	case errors.Is(err, ingest.ErrTooSlow):
		return requestTimeout(err)
	case errors.Is(err, record.ErrPushback), errors.Is(err, record.ErrClosed), errors.Is(err, ingest.ErrHeld):
		return slowDown(err)
	case errors.Is(err, record.ErrSize):
		return incompleteBody(err)
	case away(err):
		return destinationAway(err)
	}
	return internal(err)
}

// away reports whether err says that a record cannot be read now, and nothing about the record.
func away(err error) bool {
	if _, ok := errors.AsType[*record.ReadError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*store.Error](err); !ok {
		return errors.Is(err, context.DeadlineExceeded)
	}
	switch store.ClassOf(err) {
	case store.Poison, store.Exists, store.NotFound:
		return false
	}
	return true
}

// destinationAway tells a reader to come back: what was asked for may be in the destination.
func destinationAway(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusServiceUnavailable, Code: "SlowDown",
		Message: "The destination of this log cannot be read now, and what was asked for may be there: try again later. Records are taken all the same.",
		Header:  http.Header{"Retry-After": {"5"}}, Cause: cause}
}

func incompleteBody(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "IncompleteBody",
		Message: "You did not provide the number of bytes specified by the Content-Length HTTP header", Cause: cause}
}

func requestTimeout(cause error) *ingest.Refusal {
	return &ingest.Refusal{Status: http.StatusBadRequest, Code: "RequestTimeout",
		Message: "Your socket connection to the server was not read from or written to within the timeout period.", Cause: cause}
}

// document is the XML of the answer.
func document(e *ingest.Refusal, resource, requestID string) string {
	var b strings.Builder
	b.WriteString(xmlHeader + "<Error>")
	b.WriteString(element("Code", e.Code) + element("Message", e.Message) + e.Detail)
	b.WriteString(element("Resource", resource) + element("RequestId", requestID))
	b.WriteString("</Error>")
	return b.String()
}
