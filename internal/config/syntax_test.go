package config

import (
	"errors"
	"strings"
	"testing"
)

// A file that is no YAML is refused at the line that is wrong, in our words, without what stands in it.
func TestSyntaxErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, where, want, excerpt string }{
		{"indented too far", "data: hush\n  log: hush\n", "F:2", "a \":\" cannot stand here", "  log:\n     ^"},
		{"colon in a value", "data: hush: hush\n", "F:1", "a \":\" cannot stand here", "data: ...\n      ^"},
		{"tab", "doors:\n\ts3: hush\n", "F:2", "a tab cannot indent", "\ts3:\n^"},
		{"percent", "data: %hush\n", "F:1", "put it in quotes", "data: ...\n      ^"},
		{"bracket", "data: x\ndoors: {s3: {keys: [hush\n\n", "F:2", "a bracket is not closed", "doors: ...\n       ^"},
		{"quote", "data: x\nlayout: 'hush\n", "F:2", "a quote is not closed", "layout: ...\n        ^"},
		{"anchor", "data: *hush\n", "F:1", "names an anchor", "data: ...\n      ^"},
		{"list among fields", "doors:\n  s3: {}\n  - hush\n", "F:3", "a field is wanted here: indent the line as its neighbours (while parsing a block mapping that begins in line 2)", ""},
		{"a field's value as a field", "doors:\n  http:\n    tokens:\n      hush: a: b\n", "F:4", "a \":\" cannot stand here", ""},
		{"two documents", "# c\n---\ndata: x\n---\ndata: y\n", "F:4", "a second document begins here", ""},
		{"control character", "data: x\nlog: hush\x00\n", "F:2", "a control character", ""},
		{"not UTF-8", "data: x\n\nlog: hush\xff\n", "F:3", "not UTF-8", ""},
		{"anything else", "data: !<hush\n", "F:1", "check indentation, quotes and brackets", "data: ...\n      ^"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeConfig(t, tt.text)
			_, err := Load(Input{File: file, Env: environment(nil)})
			wrong, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("%v", err)
			}
			if where := strings.ReplaceAll(wrong.Where, file, "F"); where != tt.where || !strings.Contains(wrong.Problem, tt.want) || wrong.Excerpt != tt.excerpt {
				t.Errorf("%s: %s\n%s\nwant %s: %s\n%s", where, wrong.Problem, wrong.Excerpt, tt.where, tt.want, tt.excerpt)
			}
			if strings.Contains(wrong.Problem+wrong.Excerpt, "hush") || strings.Contains(wrong.Problem, "go-yaml") {
				t.Errorf("it tells a secret, or of the parser: %s\n%s", wrong.Problem, wrong.Excerpt)
			}
		})
	}
}
