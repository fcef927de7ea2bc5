package otlpapi

import (
	"sync"
	"time"

	"indelible/internal/otlp"
)

// Bounds of what links remember.
const (
	linksEach = 32 << 10
	linksFor  = time.Hour
)

// links finds out which records are about one call: of several with the same
// response in one trace the first is the call, and the others are part of it. They remember at least the
// last 32 Ki such calls, or those of the last hour. The zero links is ready. Safe for concurrent use.
type links struct {
	mu    sync.Mutex
	begun time.Time         // of the younger half; guarded by mu
	young map[string]string // call ids; guarded by mu
	old   map[string]string // guarded by mu
}

// link says what r is to the calls before it. The same record gets the same answer again, as long as it is remembered.
func (l *links) link(r *otlp.Record) {
	if r.Same == "" && r.First == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.young == nil || len(l.young) >= linksEach || now.Sub(l.begun) > linksFor {
		l.old, l.young, l.begun = l.young, map[string]string{}, now
	}
	if r.First != "" {
		l.stream(r)
	}
	if r.Same != "" {
		if call := l.get("same " + r.Same); call == "" {
			l.young["same "+r.Same] = r.ID + " " + r.CallID
		} else if first, id := cut(call); first != r.ID {
			r.LinkTo(id, otlp.Part)
		}
	}
}

// stream gives the two spans of a stream one call id: that of the one that began.
func (l *links) stream(r *otlp.Record) {
	switch {
	case r.Begins:
		if l.get("took "+r.ID) == "" { // not known: it came just now
			l.young["begun "+r.First] = r.ID
		}
	case l.get("span "+r.ID) != "":
		r.LinkTo(l.get("span "+r.ID), r.Kind)
	default:
		begun := l.get("begun " + r.First)
		if begun == "" {
			return
		}
		delete(l.young, "begun "+r.First)
		delete(l.old, "begun "+r.First)
		l.young["span "+r.ID], l.young["took "+begun] = begun, r.ID
		r.LinkTo(begun, r.Kind)
	}
}

// get is what is remembered under a name. Callers hold mu.
func (l *links) get(name string) string {
	v := l.young[name]
	if v == "" {
		if v = l.old[name]; v != "" {
			l.young[name] = v
		}
	}
	return v
}

func cut(s string) (before, after string) {
	for i := range s {
		if s[i] == ' ' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
