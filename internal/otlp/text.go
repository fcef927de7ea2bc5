package otlp

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// appendString appends s as a JSON string. What is no UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	if !utf8.ValidString(s) {
		s = replaceInvalid(s)
	}
	for {
		n := plainText(bytesOf(s))
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return append(dst, '"')
		}
		switch c := s[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		s = s[n+1:]
	}
}

// replaceInvalid has U+FFFD for each byte that is no part of a character.
func replaceInvalid(s string) string {
	b := make([]byte, 0, len(s)+len(s)/8)
	for _, r := range s {
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// object writes the members of a JSON object. Members without a value are left out.
type object struct{ b []byte }

func (o *object) name(name string) {
	o.b = append(append(append(comma(o.b), '"'), name...), '"', ':')
}

func (o *object) text(name, v string) {
	if v != "" {
		o.name(name)
		o.b = appendString(o.b, v)
	}
}

func (o *object) count(name string, v *int64) {
	if v != nil {
		o.name(name)
		o.b = strconv.AppendInt(o.b, *v, 10)
	}
}

func (o *object) amount(name string, v *float64) {
	if v != nil {
		o.name(name)
		o.b = appendFloat(o.b, *v)
	}
}

func (o *object) bool(name string, v *bool) {
	if v != nil {
		o.name(name)
		o.b = strconv.AppendBool(o.b, *v)
	}
}

func (o *object) time(name string, v time.Time) {
	if !v.IsZero() {
		o.name(name)
		o.b = append(v.AppendFormat(append(o.b, '"'), time.RFC3339Nano), '"')
	}
}

func (o *object) list(name string, v []string) {
	if len(v) > 0 {
		o.name(name)
		o.b = append(o.b, '[')
		for _, s := range v {
			o.b = appendString(comma(o.b), s)
		}
		o.b = append(o.b, ']')
	}
}

// raw writes a member whose value is JSON.
func (o *object) raw(name string, v []byte) {
	if len(v) > 0 {
		o.name(name)
		o.b = append(o.b, v...)
	}
}
