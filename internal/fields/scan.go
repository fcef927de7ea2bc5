package fields

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// value is one JSON value as it stands in the body, whose memory it shares; "" is none. Nothing that leaves this package refers to
// it: see textOf.
type value string

func (v value) isObject() bool { return v != "" && v[0] == '{' }
func (v value) isArray() bool  { return v != "" && v[0] == '[' }
func (v value) isText() bool   { return v != "" && v[0] == '"' }
func (v value) isNumber() bool { return v != "" && (v[0] == '-' || isDigit(v[0])) }

// onlyText is v if it is a string.
func (v value) onlyText() value {
	if v.isText() {
		return v
	}
	return ""
}

// text is what a string says. It shares the body's memory where it has no escapes.
func (v value) text() string {
	if strings.IndexByte(string(v), '\\') >= 0 {
		return gjson.Parse(string(v)).Str
	}
	return string(v[1 : len(v)-1])
}

func (v value) bytes() []byte { return unsafe.Slice(unsafe.StringData(string(v)), len(v)) }

// members are those of v, none if it is no object.
func (v value) members() scanner {
	if v.isObject() {
		return scan(v.bytes(), 0)
	}
	return scanner{}
}

// elements are those of v, none if it is no array.
func (v value) elements() scanner {
	if v.isArray() {
		return scan(v.bytes(), 0)
	}
	return scanner{}
}

// scanner goes through the members of an object or the elements of an array, and checks on the way that
// they are JSON: a body is passed over once, however many names are looked for.
type scanner struct {
	b    []byte
	at   int
	last byte // '}' or ']'
	any  bool // one came before

	name  string // of the member; "" for an element
	value value
	bad   bool // what there is, is no JSON
	ended bool // at is behind it
}

// scan begins at the bracket that stands at i.
func scan(b []byte, i int) scanner { return scanner{b: b, at: i + 1, last: b[i] + 2} }

// next goes to the next member or element, if there is one.
func (s *scanner) next() bool {
	i := space(s.b, s.at)
	if i < len(s.b) && s.b[i] == s.last {
		s.at, s.ended = i+1, true
		return false
	}
	if s.any {
		if i == len(s.b) || s.b[i] != ',' {
			s.bad = true
			return false
		}
		i = space(s.b, i+1)
	}
	s.any = true
	if s.last == '}' {
		behind, colon, escaped := member(s.b, i)
		if colon < 0 {
			s.bad = true
			return false
		}
		if s.name = unsafe.String(&s.b[i], behind-i); escaped {
			s.name = gjson.Parse(s.name).Str
		} else {
			s.name = s.name[1 : len(s.name)-1]
		}
		i = space(s.b, colon)
	}
	end := skip(s.b, i, 1)
	if end < 0 {
		s.bad = true
		return false
	}
	s.value = value(unsafe.String(&s.b[i], end-i))
	s.at = end
	return true
}

// member is where the name at i and the colon behind it end; colon is -1 where they do not stand there.
func member(b []byte, i int) (name, colon int, escaped bool) {
	if i == len(b) || b[i] != '"' {
		return 0, -1, false
	}
	if name, escaped = quoted(b, i); name < 0 {
		return 0, -1, false
	}
	if i = space(b, name); i == len(b) || b[i] != ':' {
		return 0, -1, false
	}
	return name, i + 1, escaped
}

// space is the index of the first byte from i on that is no space, or len(b).
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skip is the index behind the JSON value at i, which lies in depth others; -1 if there is none, or one that nests too deep.
func skip(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		end, _ := quoted(b, i)
		return end
	case '{', '[':
		if depth++; depth > maxDepth {
			return -1
		}
		last := c + 2
		i = space(b, i+1)
		if i < len(b) && b[i] == last {
			return i + 1
		}
		for {
			if c == '{' {
				_, colon, _ := member(b, i)
				if colon < 0 {
					return -1
				}
				i = space(b, colon)
			}
			if i = skip(b, i, depth); i < 0 {
				return -1
			}
			i = space(b, i)
			switch {
			case i == len(b):
				return -1
			case b[i] == last:
				return i + 1
			case b[i] != ',':
				return -1
			}
			i = space(b, i+1)
		}
	case 't':
		return word(b, i, "true")
	case 'f':
		return word(b, i, "false")
	case 'n':
		return word(b, i, "null")
	}
	return digits(b, i)
}

func word(b []byte, i int, w string) int {
	if len(b)-i < len(w) || string(b[i:i+len(w)]) != w {
		return -1
	}
	return i + len(w)
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// digits is the index behind the number at i, or -1.
func digits(b []byte, i int) int {
	run := func() bool {
		from := i
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !run() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i++; !run() {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !run() {
			return -1
		}
	}
	return i
}

// quoted is the index behind the string at i, -1 if it is none, and whether it has an escape. Texts are nearly all of a
// body: eight bytes are looked at together.
func quoted(b []byte, i int) (end int, escaped bool) {
	for i++; i < len(b); {
		if len(b)-i >= 8 {
			m := special(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c < ' ':
			return -1, false
		case c != '\\':
			i++
		default:
			escaped = true
			if i = escape(b, i); i < 0 {
				return -1, false
			}
		}
	}
	return -1, false
}

// special has the high bit of each byte that is a quote, a backslash or below the space; above the first of them it may have others.
func special(x uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	return ((x-ones*' ')&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// escape is the index behind the escape at i, or -1.
func escape(b []byte, i int) int {
	if len(b)-i < 2 {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if len(b)-i < 6 {
			return -1
		}
		for _, c := range b[i+2 : i+6] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return i + 6
	}
	return -1
}
