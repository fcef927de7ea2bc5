package sigv4

import "net/http"

// Error is a refusal in S3's words. A door answers it as XML with Status and
// Code.
//
// LiteLLM throws a record away for good when it gets a 400 or 403 with one of
// the codes EntityTooLarge, InvalidArgument, MalformedXML, InvalidDigest,
// KeyTooLongError, BadDigest and InvalidRequest. None of them is ever used
// here, also where S3 would: a body that does not match what was announced
// about it is a 500, so that its sender sends it again.
type Error struct {
	Status  int
	Code    string
	Message string

	cause error
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap is the error below, such as io.ErrUnexpectedEOF for a body that ended early.
func (e *Error) Unwrap() error { return e.cause }

func accessDenied(message string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: message}
}

func signatureMismatch(message string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "SignatureDoesNotMatch", Message: message}
}

func headerMalformed(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "AuthorizationHeaderMalformed", Message: message}
}

func queryMalformed(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "AuthorizationQueryParametersError", Message: message}
}

// digestMismatch is a 500 and no 400 BadDigest: see Error.
func digestMismatch(message string) *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: message}
}

func incompleteBody(message string, cause error) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "IncompleteBody", Message: message, cause: cause}
}

func badChunk(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "InvalidChunk", Message: message}
}

func badTrailer(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "MalformedTrailerError", Message: message}
}

func notImplemented(message string) *Error {
	return &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: message}
}
