package ingest

import (
	"maps"
	"net/http"
)

// Refusal is an answer other than success. It is an error, and each door
// writes it in its own format. Message says what the sender has to do.
type Refusal struct {
	Status  int
	Code    string
	Message string
	Detail  string      // what else the format has, such as further XML elements
	Header  http.Header // further headers of the answer; may be nil
	Cause   error       // for the log; may be nil
}

// Error is the code with the cause, or with the message where there is none.
func (e *Refusal) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap is the cause.
func (e *Refusal) Unwrap() error { return e.Cause }

// WithCode is e, or a copy with a code where it has none: busy if its status is 503, else forbidden.
func (e *Refusal) WithCode(forbidden, busy string) *Refusal {
	if e.Code != "" {
		return e
	}
	coded := *e
	coded.Code = forbidden
	if e.Status == http.StatusServiceUnavailable {
		coded.Code = busy
	}
	return &coded
}

// writePlain answers with a refusal as text, for listeners that have no format of their own.
func writePlain(w http.ResponseWriter, _ *http.Request, e *Refusal) {
	maps.Copy(w.Header(), e.Header)
	http.Error(w, e.Message, e.Status)
}
