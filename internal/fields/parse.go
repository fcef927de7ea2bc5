package fields

import (
	"bytes"
	"unsafe"

	"github.com/tidwall/gjson"
)

// maxDepth is how deep a value may nest and still be looked into, as in
// encoding/json: the parser's stack grows with the depth.
const maxDepth = 10_000

// looksLike reports whether the first character can begin an object or an array.
func looksLike(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n\x1e")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// parse is b as a JSON value that shares b's memory; ok says that it is one.
// Python's NaN and Infinity, which are no JSON, read as null.
func parse(b []byte) (v gjson.Result, ok bool) {
	if tooDeep(b) {
		return v, false
	}
	if !gjson.ValidBytes(b) {
		if b = strict(b); b == nil || !gjson.ValidBytes(b) {
			return v, false
		}
	}
	// gjson.ParseBytes would copy the body. Nothing that leaves this package refers to it: see textOf.
	return gjson.Parse(unsafe.String(unsafe.SliceData(b), len(b))), true
}

// eachObject yields the fields of v, or of the elements of v; it reports
// whether there may be more.
func eachObject(v gjson.Result, yield func(Fields) bool) bool {
	if v.IsObject() {
		return yield(read(&v))
	}
	more := true
	v.ForEach(func(_, e gjson.Result) bool {
		more = !e.IsObject() || yield(read(&e))
		return more
	})
	return more
}

// tooDeep reports whether b nests deeper than maxDepth. Few bodies have as many brackets at all.
func tooDeep(b []byte) bool {
	if bytes.Count(b, []byte{'['})+bytes.Count(b, []byte{'{'}) <= maxDepth {
		return false
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = endOfString(b, i)
		case '[', '{':
			if depth++; depth > maxDepth {
				return true
			}
		case ']', '}':
			depth--
		}
	}
	return false
}

// strict is a copy of b with null for each NaN, Infinity and -Infinity outside
// of strings, or nil if there is none.
func strict(b []byte) []byte {
	var out []byte
	from := 0
	for i := 0; i < len(b); i++ {
		if b[i] == '"' {
			i = endOfString(b, i)
			continue
		}
		for _, word := range [...]string{"NaN", "Infinity", "-Infinity"} {
			if b[i] == word[0] && bytes.HasPrefix(b[i:], []byte(word)) {
				out = append(append(out, b[from:i]...), "null"...)
				from = i + len(word)
				i = from - 1
				break
			}
		}
	}
	if out == nil {
		return nil
	}
	return append(out, b[from:]...)
}

// endOfString is the index of the quote that closes the string that opens at
// i, or the last index of b.
func endOfString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			break
		}
		i += n
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
	return len(b) - 1
}
