package recorder

import (
	"crypto/sha256"
	"sync"
	"time"
)

// retries finds the attempt before a retry: the SDKs send the same request again,
// with nothing but a higher x-stainless-retry-count. The zero value is ready. It is safe for
// concurrent use.
type retries struct {
	mu    sync.Mutex
	begun time.Time          // of young; guarded by mu
	young map[attempt]string // id by what the request is; guarded by mu
	old   map[attempt]string // guarded by mu
}

// attempt is the SHA-256 of what the request is: a URL may be long.
type attempt [sha256.Size]byte

// Bounds of what is remembered: between one and two of each.
const (
	retryWindow = 10 * time.Minute
	retryCount  = 16 << 10
)

// link notes the exchange id of a request, and returns that of the attempt before.
func (r *retries) link(request, id string, now time.Time) (before string) {
	what := attempt(sha256.Sum256([]byte(request)))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || now.Sub(r.begun) > retryWindow || len(r.young) >= retryCount {
		r.old, r.young, r.begun = r.young, map[attempt]string{}, now
	}
	before, ok := r.young[what]
	if !ok {
		before = r.old[what]
	}
	r.young[what] = id
	return before
}
