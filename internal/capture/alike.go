package capture

import (
	"bytes"
	"unsafe"

	"github.com/tidwall/gjson"
)

// alike is an event of which nothing but one piece of text was new: what stands before and behind that text. Most events of a
// stream differ from the one before in it alone, and need not be parsed.
type alike struct {
	name          string
	before, after []byte // after begins with the quote that ends the text; nil: there is none
}

// effects are counts of what events did to a fold.
type effects struct {
	said     int // texts that were added
	contents int // pieces of content seen, texts among them
	acts     int // what must be done for each event: a reason, usage, a tool's piece, a fault, something unparsed
}

// text is what stands in e in the place of that text, and whether e is such an event.
func (a *alike) text(e *event) (string, bool) {
	b, n := e.data, len(a.before)
	if a.after == nil || len(b) < n+len(a.after) || e.name != a.name || !bytes.HasSuffix(b, a.after) || !bytes.HasPrefix(b, a.before) {
		return "", false
	}
	b = b[n : len(b)-len(a.after)]
	for _, c := range b {
		if escapes[c] != 0 {
			return "", false
		}
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), true
}

// learn notes the event that was just added, if it did nothing but to add the text that stands in it as spoken.
func (a *alike) learn(e *event, spoken string, before, now effects) {
	*a = alike{}
	if now.said != before.said+1 || now.contents != before.contents+1 || now.acts != before.acts || len(spoken) < 2 || len(e.data) == 0 {
		return
	}
	// spoken shares the event's memory, unless the text came in another coding within it.
	at := uintptr(unsafe.Pointer(unsafe.StringData(spoken))) - uintptr(unsafe.Pointer(unsafe.SliceData(e.data)))
	if at >= uintptr(len(e.data)) || at+uintptr(len(spoken)) > uintptr(len(e.data)) || spoken[0] != '"' {
		return
	}
	*a = alike{name: e.name, before: e.data[:at+1], after: e.data[int(at)+len(spoken)-1:]}
}

// said is a text as gjson has it.
func said(text string) gjson.Result { return gjson.Result{Type: gjson.String, Str: text} }
