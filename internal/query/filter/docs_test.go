package filter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/search.md names every field, and its examples can be read.
func TestFieldsAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "search.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Fields() {
		if !strings.Contains(string(b), "`"+f.Name+"`") {
			t.Errorf("%s is not documented", f.Name)
		}
	}
	for line := range strings.Lines(string(b)) {
		terms, ok := strings.CutPrefix(line, "| `")
		cell, _, _ := strings.Cut(terms, "` |")
		if !ok || !strings.ContainsAny(cell, "=~<>*\"") {
			continue
		}
		for term := range strings.SplitSeq(cell, "`, `") {
			if strings.Contains(term, ":") && !strings.Contains(term, "time<") {
				continue // a setting
			}
			if _, err := Parse([]string{term}, now); err != nil {
				t.Errorf("%s: %v", term, err)
			}
		}
	}
}
