// Command types type-checks every package and test of this module for a target, without compiling any:
//
//	go run ./test/types windows/amd64
//
// It finds what differs from one target to the next: a name that only files of another target declare, a
// constant that a system does not have. It costs a tenth of go vet for the target.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	for _, target := range os.Args[1:] {
		if err := check(target); err != nil {
			fmt.Fprintf(os.Stderr, "types: %s:\n%v\n", target, err)
			os.Exit(1)
		}
	}
}

// check returns what does not type-check for a target, such as windows/amd64.
func check(target string) error {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return errors.New("not a target such as windows/amd64")
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	found, err := packages.Load(&packages.Config{
		Mode:  packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
		Env:   append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch),
		Tests: true,
		ParseFile: func(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
			file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
			if file != nil && !strings.HasPrefix(name, here+string(filepath.Separator)) {
				withoutBodies(file)
			}
			return file, err
		},
	}, "./...")
	if err != nil {
		return err
	}
	var errs []error
	n := 0
	for _, p := range found {
		if strings.HasSuffix(p.ID, ".test") { // the main package that go test generates
			continue
		}
		n++
		for _, e := range p.Errors {
			errs = append(errs, e)
		}
	}
	if n < 100 {
		errs = append(errs, fmt.Errorf("only %d packages and tests were found: run it at the root of the module", n))
	}
	return errors.Join(errs...)
}

// withoutBodies leaves the declarations of a file that is none of ours: its functions do not matter here.
func withoutBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
