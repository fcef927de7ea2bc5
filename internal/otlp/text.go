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
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
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
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
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
