package s3

import (
	"errors"
	"net/http"
	"time"

	"indelible/internal/store"
)

// codeSkewed refuses a request for the time of its signature.
const codeSkewed = "RequestTimeTooSkewed"

// skewFailed is how far a signature's time may be from the store's: it refuses 15 minutes.
const skewFailed = 14 * time.Minute

// skewed says that the request was signed at a time that the store refuses.
func (x *exchange) skewed() bool {
	date, err := http.ParseTime(x.answer.Get("Date"))
	signed, serr := time.Parse("20060102T150405Z", x.signed)
	return err == nil && serr == nil && signed.Sub(date).Abs() > skewFailed
}

// onTime reads again what was refused for the time of its signature alone: from
// the refusal the SDK has learned the store's time, and signs with it from then on. A
// command that reads but once would fail for ever beside a clock that is off by a
// quarter of an hour. A Put is not made twice here: whoever delivers tries again anyway.
func onTime(read func() error) error {
	err := read()
	if e, ok := errors.AsType[*store.Error](err); ok && e.Code == codeSkewed {
		return read()
	}
	return err
}
