package fields

import "bytes"

// maxDepth is how deep a value may nest and still be looked into, as in
// encoding/json: the scanner's stack grows with the depth.
const maxDepth = 10_000

// looksLike reports whether the first character can begin an object or an array.
func looksLike(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n\x1e")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// each yields the fields of the object that b is, or of the objects in the array that it is. ok says that it is one of these; more,
// that there may be more. Python's NaN and Infinity, which are no JSON, read as null.
func each(b []byte, yield func(Fields) bool) (ok, more bool) {
	if ok, more = eachStrict(b, yield); ok {
		return ok, more
	}
	if b = strict(b); b == nil {
		return false, true
	}
	return eachStrict(b, yield)
}

// eachStrict is each of JSON.
func eachStrict(b []byte, yield func(Fields) bool) (ok, more bool) {
	i := space(b, 0)
	if i == len(b) {
		return false, true
	}
	if b[i] == '{' {
		t, end := readTop(b, i)
		if end < 0 || space(b, end) != len(b) {
			return false, true
		}
		return true, yield(t.record())
	}
	if end := skip(b, i, 0); b[i] != '[' || end < 0 || space(b, end) != len(b) {
		return false, true
	}
	for s := scan(b, i); s.next(); {
		if !s.value.isObject() {
			continue
		}
		if t, _ := readTop(s.value.bytes(), 0); !yield(t.record()) {
			return true, false
		}
	}
	return true, true
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
