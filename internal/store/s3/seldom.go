package s3

import (
	"sync/atomic"
	"time"
)

// seldom bounds how often something is done. It goes by the monotonic clock: a
// wall clock that was set back must not keep it from being done until the old
// time has come again. It is safe for concurrent use.
type seldom struct {
	every time.Duration
	last  atomic.Pointer[time.Time] // nil: never
}

// due says that it is time, to one caller in every.
func (s *seldom) due() bool {
	now, last := time.Now(), s.last.Load()
	return (last == nil || now.Sub(*last) >= s.every) && s.last.CompareAndSwap(last, &now)
}
