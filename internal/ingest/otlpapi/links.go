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
	mu         sync.Mutex
	begun      time.Time // of the younger half; guarded by mu
	young, old memory    // guarded by mu
}

// memory is what is remembered of a time.
type memory struct {
	same  map[string]linked // the call with a response in a trace
	names map[string]string // call ids of streams
}

// linked is a record, and the call that it is.
type linked struct{ id, callID string }

// link says what r is to the calls before it. The same record gets the same answer again, as long as it is remembered.
func (l *links) link(r *otlp.Record) {
	if r.Same == "" && r.First == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.young.same == nil || len(l.young.same)+len(l.young.names) >= linksEach || now.Sub(l.begun) > linksFor {
		l.old, l.young, l.begun = l.young, memory{map[string]linked{}, map[string]string{}}, now
	}
	if r.First != "" {
		l.stream(r)
	}
	if r.Same == "" {
		return
	}
	call, ok := l.young.same[r.Same]
	if !ok {
		if call, ok = l.old.same[r.Same]; !ok {
			call = linked{r.ID, r.CallID}
		}
		l.young.same[r.Same] = call
	}
	if call.id != r.ID {
		r.LinkTo(call.callID, otlp.Part)
	}
}

// stream gives the two spans of a stream one call id: that of the one that began.
func (l *links) stream(r *otlp.Record) {
	switch {
	case r.Begins:
		if l.get("took "+r.ID) == "" { // not known: it came just now
			l.young.names["begun "+r.First] = r.ID
		}
	case l.get("span "+r.ID) != "":
		r.LinkTo(l.get("span "+r.ID), r.Kind)
	default:
		begun := l.get("begun " + r.First)
		if begun == "" {
			return
		}
		delete(l.young.names, "begun "+r.First)
		delete(l.old.names, "begun "+r.First)
		l.young.names["span "+r.ID], l.young.names["took "+begun] = begun, r.ID
		r.LinkTo(begun, r.Kind)
	}
}

// get is what is remembered of a stream under a name. Callers hold mu.
func (l *links) get(name string) string {
	v := l.young.names[name]
	if v == "" {
		if v = l.old.names[name]; v != "" {
			l.young.names[name] = v
		}
	}
	return v
}
