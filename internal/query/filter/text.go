package filter

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
)

// Words are the words of a text, folded: runs of letters, digits and marks, in lower case.
// SQLite's tokenizer unicode61 finds the same ones, but for rare scripts.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !inWord(r) })
}

func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Co, r) || unicode.Is(unicode.M, r)
}

// holds says whether the words of a text hold these, one behind the other.
func holds(text, want []string, prefix bool) bool {
	for i := 0; i+len(want) <= len(text); i++ {
		if follows(text[i:], want, prefix) {
			return true
		}
	}
	return false
}

func follows(text, want []string, prefix bool) bool {
	for i, w := range want {
		if prefix && i == len(want)-1 {
			return strings.HasPrefix(text[i], w)
		}
		if text[i] != w {
			return false
		}
	}
	return true
}

// BodyText is what of a record's body people look for: the strings of a JSON
// text, names of members left out, or all of it where it is no JSON. It is at most limit bytes and a string long.
func BodyText(body []byte, limit int) string {
	var b strings.Builder
	for line := range strings.Lines(string(body[:min(len(body), maxText)])) {
		if b.Len() >= limit {
			break
		}
		if line = strings.TrimSpace(line); gjson.Valid(line) {
			addStrings(&b, gjson.Parse(line), limit, 0)
			continue
		}
		if whole := string(body); b.Len() == 0 && gjson.Valid(whole) { // one that is laid out over lines
			addStrings(&b, gjson.Parse(whole), limit, 0)
			break
		}
		add(&b, line, limit)
	}
	return strings.ToValidUTF8(b.String(), " ")
}

// maxText bounds how much of a body is looked at.
const maxText = 64 << 20

// maxDepth bounds how deep a JSON text is followed.
const maxDepth = 100

func addStrings(b *strings.Builder, v gjson.Result, limit, depth int) {
	switch {
	case v.Type == gjson.String:
		add(b, v.Str, limit)
	case v.Type == gjson.JSON && depth < maxDepth:
		v.ForEach(func(_, value gjson.Result) bool {
			addStrings(b, value, limit, depth+1)
			return b.Len() < limit
		})
	}
}

func add(b *strings.Builder, s string, limit int) {
	if room := limit - b.Len(); len(s) > room {
		s = s[:max(room, 0)]
	}
	b.WriteString(s)
	b.WriteByte('\n')
}

// MayHold says whether the words of the filter can be in a row: in text, which is its FieldText, in its body, or as its key or an id. It
// looks at the bytes of the body as they are, which takes a part of the time of taking it apart; false is sure.
func (f *Filter) MayHold(r *Row, text string, body []byte) bool {
	lower, in := strings.ToLower(text), MayBeIn(body)
	for i := range f.Terms {
		t := &f.Terms[i]
		if t.Field != nil || r.carries(t.Text) {
			continue
		}
		for _, w := range t.Words {
			if !strings.Contains(lower, w) && !in(w) {
				return false
			}
		}
	}
	return true
}

// MayBeIn returns a test of whether a word, or the beginning of one, can be in the text of a body: false is sure.
func MayBeIn(body []byte) func(word string) bool {
	var raw []byte
	escaped := false
	return func(word string) bool {
		if escaped || !isPlain(word) {
			return true
		}
		if raw == nil {
			if escaped = hasEscapes(body); escaped {
				return true
			}
			raw = lowered(body)
		}
		return bytes.Contains(raw, []byte(word))
	}
}

// isPlain says whether a word is of letters and digits of ASCII: these stand in a JSON text as they are, or as \u.
func isPlain(w string) bool {
	for i := range len(w) {
		if c := w[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// hasEscapes says whether letters of ASCII may stand in a body in another way than as themselves: in an escape, or as one of
// the two other letters whose lower case they are.
func hasEscapes(body []byte) bool {
	return bytes.Contains(body, []byte(`\u`)) || bytes.Contains(body, []byte("\u212a")) || bytes.Contains(body, []byte("\u0130"))
}

// lowered is b with the capital letters of ASCII in lower case.
func lowered(b []byte) []byte {
	low := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	return low
}
