package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Every scenario is run by one part: what no part names would never run, and nobody would notice.
func TestEveryScenarioHasAPart(t *testing.T) {
	name := regexp.MustCompile(`(?m)^func (TestTorture\w*)\(`)
	n := 0
	for _, pkg := range []string{"./test/torture/process", "./test/torture/world", "./internal/spool"} {
		files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range name.FindAllSubmatch(source, -1) {
				n++
				var by []string
				for _, p := range parts {
					if p.pkg == pkg && regexp.MustCompile(p.run).Match(m[1]) {
						by = append(by, p.name)
					}
				}
				if len(by) != 1 {
					t.Errorf("%s of %s is run by the parts %q, and not by one", m[1], file, by)
				}
			}
		}
	}
	if n < len(parts) {
		t.Errorf("%d scenarios were found for %d parts", n, len(parts))
	}
}
