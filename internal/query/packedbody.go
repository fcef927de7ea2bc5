package query

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"indelible/internal/record"
)

// packedBody is the body in a row.
type packedBody struct{ *bytes.Reader }

// Close is io.Closer's.
func (packedBody) Close() error { return nil }

// newPackedBody is a body that was compared with its digest.
func newPackedBody(key string, body []byte, want record.Digest) (io.ReadSeekCloser, error) {
	if sum := record.Digest(sha256.Sum256(body)); sum != want {
		return nil, fmt.Errorf("read %s: SHA-256 is %s, not %s: %w", key, sum, want, errChanged)
	}
	return packedBody{bytes.NewReader(body)}, nil
}

// lru keeps values up to a weight, those used last. The zero room keeps none.
type lru[T any] struct {
	room, held int
	values     map[string]*lruEntry[T]
	clock      int
}

type lruEntry[T any] struct {
	value        T
	weight, used int
}

func (l *lru[T]) get(key string) (v T, ok bool) {
	e := l.values[key]
	if e == nil {
		return v, false
	}
	l.clock++
	e.used = l.clock
	return e.value, true
}

func (l *lru[T]) put(key string, v T, weight int) {
	if l.values == nil {
		l.values = map[string]*lruEntry[T]{}
	}
	if old := l.values[key]; old != nil {
		l.held -= old.weight
	}
	l.clock++
	l.values[key] = &lruEntry[T]{v, weight, l.clock}
	l.held += weight
	for l.held > l.room && len(l.values) > 1 {
		oldest := ""
		for k, e := range l.values {
			if k != key && (oldest == "" || e.used < l.values[oldest].used) {
				oldest = k
			}
		}
		l.held -= l.values[oldest].weight
		delete(l.values, oldest)
	}
}
