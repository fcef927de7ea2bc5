package otlp

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// pythonWords are what Python's repr has for JSON's words.
var pythonWords = [...][2]string{{"None", "null"}, {"True", "true"}, {"False", "false"}, {"nan", "null"}, {"inf", "null"}}

// pythonJSON is the repr of a Python list, tuple or dict as JSON. It reports false for anything else,
// such as one that holds objects.
func pythonJSON(s string) ([]byte, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '[' && s[0] != '{' && s[0] != '(' {
		return nil, false
	}
	out := make([]byte, 0, len(s)+len(s)/8)
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '\'', '"':
			text, n := pythonString(s[i:])
			if n == 0 {
				return nil, false
			}
			out, i = appendString(out, text), i+n
		case '(':
			out, i = append(out, '['), i+1
		case ')', ']', '}':
			if c == ')' {
				c = ']'
				if len(out) > 0 && out[len(out)-1] == ',' { // (1,)
					out = out[:len(out)-1]
				}
			}
			out, i = append(out, c), i+1
		case ' ', '\n', '\t':
			i++
		default:
			if c >= 'A' && c <= 'z' && c != '[' {
				word, n := pythonWord(s[i:])
				if n == 0 {
					return nil, false
				}
				out, i = append(out, word...), i+n
				continue
			}
			out, i = append(out, c), i+1
		}
	}
	return out, validJSON(out)
}

func pythonWord(s string) (json string, n int) {
	if s[0] == 'e' || s[0] == 'E' { // of a number
		return s[:1], 1
	}
	for _, w := range pythonWords {
		if strings.HasPrefix(s, w[0]) {
			return w[1], len(w[0])
		}
	}
	return "", 0
}

// pythonString is the literal that s begins with, and its length; 0 if it has no end or an escape that is none.
func pythonString(s string) (text string, n int) {
	quote := s[0]
	if end := strings.IndexByte(s[1:], quote); end >= 0 && strings.IndexByte(s[1:1+end], '\\') < 0 {
		return s[1 : 1+end], end + 2
	}
	var b []byte
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return string(b), i + 1
		case s[i] != '\\':
			b = append(b, s[i])
		case i+1 >= len(s):
			return "", 0
		default:
			i++
			digits := 0
			switch s[i] {
			case 'n':
				b = append(b, '\n')
			case 't':
				b = append(b, '\t')
			case 'r':
				b = append(b, '\r')
			case '\\', '\'', '"':
				b = append(b, s[i])
			case 'x':
				digits = 2
			case 'u':
				digits = 4
			case 'U':
				digits = 8
			default:
				return "", 0
			}
			if digits > 0 {
				if i+digits >= len(s) {
					return "", 0
				}
				r, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
				if err != nil || r > utf8.MaxRune {
					return "", 0
				}
				b, i = utf8.AppendRune(b, rune(r)), i+digits
			}
		}
	}
	return "", 0
}
