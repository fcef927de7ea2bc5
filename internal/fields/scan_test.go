package fields

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// shapes are bodies that take the scanner through all of its branches.
var shapes = []string{
	`{}`, `[]`, `{"a":1}`, ` { "a" : [ 1 , { } , [ ] , "x" ] , "b" : null , "a" : true } `, `[1,"a",{"b":[false]},-0.5e+3,0,-1E-9,12.0]`,
	`{"a\u006e":"x\n\"\\\/\b\f\r\t\u12aF","long":"` + strings.Repeat("words of a text ", 9) + `","é":"ü"}`,
	`{"a":"\\"}`, `{"a":"\\\\\""}`, `{"a":"12345678\u0000901234567"}`, "{\"a\":\"\xff\"}", `{"":""}`,
	// None of these is JSON.
	``, ` `, `{`, `[`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{a:1}`, `{"a" 1}`, `[1 2]`, `{"a":1}}`, `[1]]`, `{"a":01}`, `[-]`, `[+1]`, `[1.]`, `[.5]`, `[1e]`, `[1e+]`,
	`["\x"]`, `["\u12g4"]`, `["\u123"]`, `["\`, `["abcdefgh` + "\x00" + `"]`, "[\"abcdefg\n\"]", `["abcdefgh`, `[tru]`, `[nul`, `[truex]`, `[NaN]`, `[1}`, `{"a":1]`,
}

// The scanner takes for JSON what gjson's validator does, and finds the members that its reader finds.
func FuzzScan(f *testing.F) {
	for _, s := range shapes {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Count(b, []byte("[")) > maxDepth/2 || bytes.Count(b, []byte("{")) > maxDepth/2 {
			return
		}
		end := skip(b, space(b, 0), 0)
		if ok := end >= 0 && space(b, end) == len(b); ok != gjson.ValidBytes(b) {
			t.Fatalf("%q: %v, gjson says %v", b, ok, !ok)
		} else if !ok {
			return
		}
		v := value(bytes.TrimLeft(b, " \t\r\n"))
		s := v.members()
		if v.isArray() {
			s = v.elements()
		}
		gjson.ParseBytes(b).ForEach(func(name, want gjson.Result) bool {
			if !v.isObject() && !v.isArray() {
				return false
			}
			if !s.next() || s.name != name.Str || string(s.value) != want.Raw || s.value.isText() && s.value.text() != want.Str {
				t.Fatalf("%q: %q: %q, gjson says %q: %q", b, s.name, s.value, name.Str, want.Raw)
			}
			return true
		})
		if s.next() || s.ended != (v.isObject() || v.isArray()) {
			t.Fatalf("%q: %q: %q too many, ended: %v", b, s.name, s.value, s.ended)
		}
	})
}

// What is cut anywhere, or has one byte changed, gives what it gave whole or is no JSON, and is never read behind its end.
func TestCut(t *testing.T) {
	for _, s := range shapes {
		for i := range s {
			room := append(make([]byte, 0, i), s[:i]...)
			if end := skip(room, space(room, 0), 0); end > len(room) {
				t.Fatalf("%q: %d", room, end)
			}
			if looksLike(room) {
				Extract(room)
			}
		}
	}
}
