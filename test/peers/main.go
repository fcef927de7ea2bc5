// Command peers makes what the tests run against, so that they need not: real
// servers, and virtual environments with the Python clients.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"indelible/internal/testserver"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run makes them all at once: one waits for the network while another compiles.
func run(ctx context.Context) error {
	makers := map[string]func() error{"versitygw": func() error { return testserver.Build(ctx) }}
	for _, pattern := range []string{"*/*/testdata/requirements*.txt", "*/*/*/testdata/requirements*.txt"} {
		pins, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range pins {
			makers[name] = func() error {
				_, err := testserver.MakePython(ctx, name)
				return err
			}
		}
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(makers))
	for name, do := range makers {
		wg.Go(func() {
			begun := time.Now()
			err := do()
			if err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
			}
			fmt.Printf("%-60s %v\n", name, time.Since(begun).Round(time.Second))
		})
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}
