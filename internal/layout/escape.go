package layout

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789ABCDEF"

// escape percent-escapes what odd refuses, and the percent sign. Different
// strings have different escapes.
func escape(s string) string {
	var b strings.Builder
	for i, segment := range strings.Split(s, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		dots := segment == "." || segment == ".."
		for len(segment) > 0 {
			r, size := utf8.DecodeRuneInString(segment)
			broken := r == utf8.RuneError && size == 1
			if dots || broken || r < 0x20 || r == 0x7f || r == '%' {
				b.WriteByte('%')
				b.WriteByte(hexDigits[segment[0]>>4])
				b.WriteByte(hexDigits[segment[0]&15])
			} else {
				b.WriteString(segment[:size])
			}
			segment = segment[size:]
		}
	}
	return b.String()
}

// unescape undoes escape; ok says that escape wrote s.
func unescape(s string) (raw string, ok bool) {
	raw, err := url.PathUnescape(s)
	return raw, err == nil && escape(raw) == s
}
