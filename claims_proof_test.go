package indelible_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each claim of claims-proof.md names a test, and each test that it names is there.
func TestClaimsOfTheProof(t *testing.T) {
	const page = "docs/design/claims-proof.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err = filepath.WalkDir(".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, found := range declared.FindAllSubmatch(source, -1) {
			tests[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("internal/proof/tampering_test.go")
	if err != nil {
		t.Fatal(err)
	}
	forms, err := os.ReadFile("internal/proof/forms_test.go")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("\"[^\"]+\"|`[^`]+`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		claim, by, ok := strings.Cut(strings.Trim(line, "| \n"), " | ")
		if !ok || claim == "claim" {
			continue
		}
		rows++
		names := quoted.FindAllString(by, -1)
		if len(names) == 0 {
			t.Errorf("%q names no test", claim)
		}
		for _, name := range names {
			bare := name[1 : len(name)-1]
			found := tests[bare]
			switch {
			case name[0] == '"':
				found = strings.Contains(string(table), "name: "+name) || strings.Contains(string(forms), "\t"+name+":")
			case strings.HasSuffix(bare, ".txtar"):
				_, err := os.Stat(bare)
				found = err == nil
			}
			if !found {
				t.Errorf("%q: there is no test %s", claim, name)
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d claims on %s", rows, page)
	}
}
