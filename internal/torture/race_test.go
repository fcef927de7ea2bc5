package torture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a test leaves out under the race detector, test/all runs without it: in one of the steps below.
func TestWhatRaceLeavesOutRunsWithoutIt(t *testing.T) {
	steps, err := os.ReadFile("../../test/steps")
	if err != nil {
		t.Fatal(err)
	}
	var run []*regexp.Regexp
	for _, list := range regexp.MustCompile(`(?m)^ +local [a-z_]+='(Test.*)'$|^crash\(\).*-run '(.*)'`).FindAllStringSubmatch(string(steps), -1) {
		run = append(run, regexp.MustCompile(`^(?:`+list[1]+list[2]+`)$`))
	}
	if len(run) != 6 {
		t.Fatalf("test/steps has %d lists of tests, not 6", len(run))
	}
	found := 0
	err = filepath.WalkDir("../..", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		for _, name := range reduced(t, dir) {
			found++
			if !slices.ContainsFunc(run, func(r *regexp.Regexp) bool { return r.MatchString(name) }) {
				t.Errorf("%s: %s runs a part under the race detector, and no step of test/steps runs the whole", dir, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 20 {
		t.Errorf("only %d tests were found that leave something out", found)
	}
}

// reduced are the tests of a directory that ask whether the race detector is on, by themselves or in a function of theirs.
func reduced(t *testing.T, dir string) (tests []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string][]string{} // of each function: the names in it
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "torture" && strings.HasPrefix(n.Sel.Name, "Race") {
						uses[f.Name.Name] = append(uses[f.Name.Name], "torture.Race")
					}
				case *ast.Ident:
					if n.Name != f.Name.Name {
						uses[f.Name.Name] = append(uses[f.Name.Name], n.Name)
					}
				}
				return true
			})
		}
	}
	asks := map[string]bool{"torture.Race": true}
	for more := true; more; {
		more = false
		for f, in := range uses {
			if !asks[f] && slices.ContainsFunc(in, func(name string) bool { return asks[name] }) {
				asks[f], more = true, true
			}
		}
	}
	for f := range asks {
		if strings.HasPrefix(f, "Test") {
			tests = append(tests, f)
		}
	}
	slices.Sort(tests)
	return tests
}
