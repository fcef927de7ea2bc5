package upload

import (
	"log/slog"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

const (
	retryLines    = 5                // retries of one class that are logged in full in a span
	retryInterval = 10 * time.Second // the span
)

// retry is a failed attempt that will be repeated.
type retry struct {
	key     string
	seq     record.Seq
	attempt int
	wait    time.Duration
	class   store.Class
	err     error
}

// retryLog warns of each retry, and sums up when thousands fail alike.
type retryLog struct {
	logger *slog.Logger
	spans  map[store.Class]*retrySpan
}

type retrySpan struct {
	until   time.Time
	lines   int
	dropped int
	last    retry
}

func newRetryLog(l *slog.Logger) *retryLog {
	return &retryLog{logger: l, spans: map[store.Class]*retrySpan{}}
}

func (l *retryLog) add(now time.Time, r retry) {
	span := l.spans[r.class]
	if span == nil {
		span = &retrySpan{until: now.Add(retryInterval)}
		l.spans[r.class] = span
	}
	if span.lines++; span.lines > retryLines {
		span.dropped++
		span.last = r
		return
	}
	l.logger.Warn("retry", r.attrs()...)
}

func (r retry) attrs() []any {
	attrs := []any{"key", r.key, "seq", r.seq, "attempt", r.attempt, "wait", r.wait.Round(time.Millisecond), "class", r.class.String()}
	if e, ok := asStoreError(r.err); ok && e.Code != "" {
		attrs = append(attrs, "code", e.Code)
	}
	return append(attrs, "error", r.err.Error())
}

// flush sums up the spans that are over, and tells when the next one will be
// (zero: none).
func (l *retryLog) flush(now time.Time) (next time.Time) {
	for class, span := range l.spans {
		if span.until.After(now) {
			if next.IsZero() || span.until.Before(next) {
				next = span.until
			}
			continue
		}
		delete(l.spans, class)
		if span.dropped > 0 {
			l.logger.Warn("more retries like these, of which this is the last", append([]any{"count", span.dropped}, span.last.attrs()...)...)
		}
	}
	return next
}
