package s3api

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlns     = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
)

// element is <name>text</name>. Constants alone are names.
func element(name, text string) string {
	return "<" + name + ">" + escapeXML(text) + "</" + name + ">"
}

// escapeXML escapes text as S3 does: control characters become references,
// which XML 1.0 does not allow and every S3 client reads. Bytes that are no UTF-8
// become U+FFFD; a client that may meet such keys asks for encoding-type=url.
func escapeXML(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= 0x20 && c < 0x7f && c != '<' && c != '>' && c != '&' && c != '"'
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&quot;")
		case r < 0x20 || r == 0x7f:
			b.WriteString("&#x" + strconv.FormatInt(int64(r), 16) + ";")
		case r == 0xfffe || r == 0xffff:
			b.WriteRune(utf8.RuneError)
		case r == utf8.RuneError:
			b.WriteRune(r)
		default:
			b.WriteString(s[i : i+utf8.RuneLen(r)])
		}
	}
	return b.String()
}

// escapeURL is what encoding-type=url does to a name: everything but letters,
// digits, "-", "_", ".", "*" and "/" becomes %XX. A space is %20 and no plus: both
// kinds of decoder read that.
func escapeURL(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '*', c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
