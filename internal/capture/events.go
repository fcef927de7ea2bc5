package capture

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// framing is how an answer's body is cut into events. It is told by the bytes:
// the request's Accept says nothing (OpenAI's SDK sends application/json for streams).
type framing int

const (
	framingNone        framing = iota // nothing that is known
	framingJSON                       // one value
	framingSSE                        // text/event-stream
	framingLines                      // one JSON value a line
	framingArray                      // one array that grows: Gemini without alt=sse
	framingEventStream                // AWS
)

// event is one of them.
type event struct {
	name string // of SSE, or the :event-type of an event stream
	data []byte
	end  int // offset of its end in the body
}

// maxEvents bounds the events looked at of one body.
const maxEvents = 1 << 20

// split finds the events of a body. whole is false where the last one is cut.
func split(b []byte) (kind framing, list []event, whole bool) {
	if isEventStream(b) {
		list, whole = splitEventStream(b)
		return framingEventStream, list, whole
	}
	text := bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	begin := bytes.TrimLeft(text, " \t\r\n")
	at := len(b) - len(begin)
	switch {
	case len(begin) == 0:
		return framingNone, nil, true
	case begin[0] == '{':
		return splitObjects(b, at)
	case begin[0] == '[':
		list, whole = splitArray(b, at)
		return framingArray, list, whole
	case looksSSE(begin):
		list, whole = splitSSE(b, at)
		return framingSSE, list, whole
	}
	return framingNone, nil, true
}

// splitObjects reads one JSON value, or one a line.
func splitObjects(b []byte, at int) (framing, []event, bool) {
	if valid(b[at:]) {
		return framingJSON, []event{{data: b[at:], end: len(b)}}, true
	}
	var list []event
	for at < len(b) && len(list) < maxEvents {
		line, end := b[at:], len(b)
		if n := bytes.IndexByte(line, '\n'); n >= 0 {
			line, end = line[:n], at+n+1
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if !valid(line) {
				if len(list) == 0 {
					return framingNone, nil, true
				}
				return framingLines, list, false
			}
			list = append(list, event{data: line, end: end})
		}
		at = end
	}
	return framingLines, list, true
}

// maxDepth is how deep JSON may nest to be looked at: the parser recurses.
const maxDepth = 200

func valid(b []byte) bool {
	if len(b) <= maxDepth {
		return gjson.ValidBytes(b)
	}
	depth, most := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += textEnd(b[i+1:]) + 1
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	return most <= maxDepth && gjson.ValidBytes(b)
}

// textEnd is where the quotation mark is that ends a text of JSON.
func textEnd(b []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return len(b)
		}
		at += n
		slashes := at
		for slashes > 0 && b[slashes-1] == '\\' {
			slashes--
		}
		if (at-slashes)%2 == 0 {
			return at
		}
		at++
	}
}

// splitArray finds the elements of an array that may lack its end.
func splitArray(b []byte, at int) (list []event, whole bool) {
	begin, depth, text := -1, 0, false
	for i := at; i < len(b) && len(list) < maxEvents; i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth == 2 {
				begin = i
			}
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return list, true
			}
			if depth == 1 && begin >= 0 {
				if e := b[begin : i+1]; valid(e) {
					list = append(list, event{data: e, end: i + 1})
				}
				begin = -1
			}
		}
	}
	return list, false
}

func looksSSE(b []byte) bool {
	for _, field := range []string{":", "data:", "event:", "id:", "retry:", "data\n", "data\r"} {
		if bytes.HasPrefix(b, []byte(field)) {
			return true
		}
	}
	return false
}

// splitSSE reads an event stream as the HTML standard has it: lines end with CR, LF or both, an
// empty one ends the event.
func splitSSE(b []byte, at int) (list []event, whole bool) {
	var e event
	open := false
	list = make([]event, 0, min(len(b)/48+4, maxEvents))
	feed := -1 // the next LF from at on
	for at < len(b) && len(list) < maxEvents {
		if feed < at {
			if feed = bytes.IndexByte(b[at:], '\n') + at; feed < at {
				feed = len(b)
			}
		}
		n := bytes.IndexByte(b[at:feed], '\r')
		if n < 0 {
			n = feed - at
		}
		if at+n == len(b) {
			return list, false
		}
		line := b[at : at+n]
		at += n + 1
		if b[at-1] == '\r' && at < len(b) && b[at] == '\n' {
			at++
		}
		if len(line) == 0 {
			if e.end = at; e.data != nil {
				list = append(list, e)
			}
			e, open = event{}, false
			continue
		}
		open = true
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "event":
			e.name = string(value)
		case "data":
			if e.data == nil {
				e.data = value[:len(value):len(value)]
			} else {
				e.data = append(append(e.data, '\n'), value...)
			}
		}
	}
	return list, !open
}
