package dir

import (
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	var plain naming
	folded, windows := naming{folded: true}, naming{windows: true}
	for _, c := range []struct {
		naming
		key  string
		want []string
	}{
		{plain, "My Team/\u00e9.json", []string{"My Team", "\u00e9.json"}},
		{plain, "100%/a\nb", []string{"100%25", "a%0Ab"}},
		{plain, "con/a.", []string{"con", "a."}},
		{folded, "My Team/\u00e9.json", []string{"%4dy %54eam", "%c3%a9.json"}},
		{windows, "con/COM1.json/lpt\u00b2/comic/con1", []string{"%63on", "%43OM1.json", "%6Cpt\u00b2", "comic", "con1"}},
		{windows, strings.Repeat("x", 240) + "con.a", []string{strings.Repeat("x", 240) + "%+", "%63on.a"}},
		{windows, "a./b /c.d/what?:", []string{"a%2E", "b%20", "c.d", "what%3F%3A"}},
	} {
		got := c.names(c.key)
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v %q: %q, want %q", c.naming, c.key, got, c.want)
		}
		var back strings.Builder
		for i, name := range got {
			part, more, ok := c.decode(name, i < len(got)-1)
			if !ok {
				t.Errorf("%+v: %q is not decoded", c.naming, name)
			}
			if back.WriteString(part); !more && i < len(got)-1 {
				back.WriteString("/")
			}
		}
		if back.String() != c.key {
			t.Errorf("%+v %q: came back as %q", c.naming, c.key, back.String())
		}
	}
}
