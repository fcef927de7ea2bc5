package otlp

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// FuzzValid compares with gjson, and with the search for what nests too deep.
func FuzzValid(f *testing.F) {
	for _, s := range []string{"", " ", `{}`, `[]`, `[1,]`, `{"a":1,}`, `{"a"}`, `{"a":[{},[],"x",-0.5e+3,true,false,null]} `, `"\u12aF\n"`, `"\u12"`, `01`, `-`, `1.`, `1e`, `[`, `]`, `}`, `{]`, `[}`, `"` + "\x01" + `"`, `"é日本"`, `"12345678\"90"`, `nul`, "\ufeff{}", `{"a" : 1 , "b":2}`, `,`, `1 2`, `[1 2]`,
		strings.Repeat("[", maxNesting) + strings.Repeat("]", maxNesting), strings.Repeat(`{"a":`, maxNesting) + "1" + strings.Repeat("}", maxNesting), strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		if got, want := validJSON(s), !tooDeep(s) && gjson.ValidBytes(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	})
}

// tooDeep reports whether b nests deeper than maxNesting. Brackets in texts count: few requests have as many.
func tooDeep(b []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxNesting {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}
