package logging

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	thinWindow = time.Minute
	thinBurst  = 5    // equal warnings that are written within a window
	thinKeys   = 1000 // kinds of warnings that are told apart
)

// thinHandler writes of equal warnings and errors the first thinBurst a minute, and counts the
// others: the next one that is written says how many there were. Two are equal if their
// message and their error are, digits left out.
type thinHandler struct {
	slog.Handler
	seen *thinSeen
}

// thinSeen is what all handlers derived from one share.
type thinSeen struct {
	mu   sync.Mutex
	kind map[string]*thinKind // guarded by mu
}

type thinKind struct {
	since      time.Time
	written    int
	suppressed int
}

func newThinHandler(h slog.Handler) slog.Handler {
	return &thinHandler{Handler: h, seen: &thinSeen{kind: map[string]*thinKind{}}}
}

// Handle is slog.Handler's.
func (h *thinHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	write, suppressed := h.seen.take(kindOf(r), r.Time)
	if !write {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("equal_ones_left_out", suppressed))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h *thinHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &thinHandler{Handler: h.Handler.WithAttrs(attrs), seen: h.seen}
}

// WithGroup is slog.Handler's.
func (h *thinHandler) WithGroup(name string) slog.Handler {
	return &thinHandler{Handler: h.Handler.WithGroup(name), seen: h.seen}
}

// kindOf is what makes warnings equal.
func kindOf(r slog.Record) string {
	kind := r.Level.String() + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			kind += a.Value.String()
		}
		return true
	})
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, kind)
}

// take says whether a warning is written, and how many equal ones were not before it.
func (s *thinSeen) take(kind string, now time.Time) (write bool, suppressed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind[kind]
	if k == nil {
		if len(s.kind) >= thinKeys {
			clear(s.kind) // forgotten kinds are written again
		}
		k = &thinKind{since: now}
		s.kind[kind] = k
	}
	if now.Sub(k.since) >= thinWindow {
		suppressed = k.suppressed
		*k = thinKind{since: now}
	}
	if k.written >= thinBurst {
		k.suppressed++
		return false, 0
	}
	k.written++
	return true, suppressed
}
