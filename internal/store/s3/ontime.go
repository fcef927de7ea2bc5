package s3

import (
	"errors"

	"indelible/internal/store"
)

// codeSkewed refuses a request for the time of its signature.
const codeSkewed = "RequestTimeTooSkewed"

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
