package term

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote is a text from elsewhere on one line: what could move the cursor, change
// colours, reorder or hide what stands beside it becomes an escape ("\x1b", "\n").
func Quote(s string) string {
	if !strings.ContainsFunc(s, unsafe) && utf8.ValidString(s) {
		return s
	}
	return escape(s, unsafe)
}

// QuoteLines is Quote for a text of several lines: it leaves line breaks and tabs.
func QuoteLines(s string) string {
	return escape(s, func(r rune) bool { return r != '\n' && r != '\t' && unsafe(r) })
}

func escape(s string, unsafe func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0])|0x100, 16)[1:])
		case unsafe(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// unsafe says what must not reach a terminal from elsewhere: control characters,
// line and paragraph separators, and what changes the direction of text.
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r) && r != '\u200d'
}

// Safe is w, where a terminal shows it with QuoteLines on all that is written; else
// w itself, byte for byte.
func Safe(w io.Writer) io.Writer {
	if !IsTerminal(w) {
		return w
	}
	return &safeWriter{w: w}
}

// safeWriter keeps back the bytes of a character that is not complete yet.
type safeWriter struct {
	w    io.Writer
	rest []byte
}

func (s *safeWriter) Write(p []byte) (int, error) {
	all := append(s.rest, p...)
	cut := len(all)
	for i := 1; i < utf8.UTFMax && i <= len(all); i++ {
		if tail := all[len(all)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				cut = len(all) - i
			}
			break
		}
	}
	s.rest = append([]byte(nil), all[cut:]...)
	if _, err := io.WriteString(s.w, QuoteLines(string(all[:cut]))); err != nil {
		return 0, err
	}
	return len(p), nil
}
