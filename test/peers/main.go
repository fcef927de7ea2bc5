// Command peers makes what the tests run against, so that they need not: real
// servers, and virtual environments with the Python clients.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"indelible/internal/testserver"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	fmt.Println("versitygw")
	if err := testserver.Build(ctx); err != nil {
		return err
	}
	pins, err := filepath.Glob("*/*/testdata/requirements*.txt")
	if err != nil {
		return err
	}
	deeper, err := filepath.Glob("*/*/*/testdata/requirements*.txt")
	if err != nil {
		return err
	}
	for _, name := range append(pins, deeper...) {
		fmt.Println(name)
		if _, err := testserver.MakePython(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
