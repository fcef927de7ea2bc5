package indelible_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// claim is what docs/design/claims.md names: a package with a test, a further test of that package, or a script; or a section of it.
var claim = regexp.MustCompile("`([\\w/]+) (Test\\w+)`|`(Test\\w+)`|`(\\w+\\.txtar)`|\"([^\"]+)\"")

// Every test that claims.md names exists, and every claim names one.
func TestClaimsAreTested(t *testing.T) {
	page, err := os.ReadFile("docs/design/claims.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 2 || !strings.HasPrefix(line, "| ") || cells[0] == "| claim" {
			continue
		}
		rows++
		found := claim.FindAllStringSubmatch(cells[1], -1)
		if len(found) == 0 {
			t.Errorf("no test is named: %s", line)
		}
		pkg, script := "", ""
		for _, m := range found {
			switch {
			case m[1] != "":
				pkg, script = m[1], ""
				m[3] = m[2]
			case m[4] != "":
				pkg, script = "", m[4]
			}
			switch {
			case m[3] != "" && !hasTest(t, pkg, m[3]):
				t.Errorf("%q has no test %s: %s", pkg, m[3], line)
			case m[5] != "" && !hasSection(t, script, m[5]):
				t.Errorf("%q has no section %q: %s", script, m[5], line)
			}
		}
	}
	if rows < 30 {
		t.Errorf("the page has %d claims: is it read as it is written?", rows)
	}
}

func hasTest(t *testing.T, pkg, name string) bool {
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(pkg), "*_test.go")) // "" is the package of the library
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "func "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

func hasSection(t *testing.T, script, section string) bool {
	text, err := os.ReadFile(filepath.Join("cmd/indelible/testdata", script))
	if err != nil {
		t.Error(err)
		return false
	}
	return strings.Contains("\n"+string(text), "\n# "+section+"\n")
}
