// Command mutants breaks the product on purpose, one place after the other,
// and shows that the tests notice: the honest measure of a suite.
//
//	go run ./test/mutants            every mutant
//	go run ./test/mutants --only fsync
//	go run ./test/mutants --every 3  each third: a share that has some of every file
//	go run ./test/mutants --passed   the suites have just passed: do not run them unbroken first
//
// Nothing in the tree is changed: the broken file takes the place of the whole
// one by go's -overlay. It exits with 1 when a mutant survives.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"indelible/internal/testserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "mutants whose name or file contains this")
	every := flag.Int("every", 1, "of these each `N`th, in the order of the list")
	passed := flag.Bool("passed", false, "the suites pass with nothing broken: do not show that first")
	flag.Parse()
	chosen := slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !strings.Contains(m.name, *only) && !strings.Contains(m.file, *only) })
	chosen = slices.DeleteFunc(chosen, func() func(mutant) bool {
		n := 0
		return func(mutant) bool { n++; return (n-1)%max(1, *every) != 0 }
	}())
	if len(chosen) == 0 {
		return fmt.Errorf("no mutant's name or file contains %q", *only)
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// What builds a server first is not a test that hangs; where it cannot be built, its tests are skipped.
	if err := testserver.Build(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants: without an S3 server to test against:", err)
	}

	if !*passed {
		if err := whole(ctx, chosen); err != nil {
			return err
		}
	}
	var errs []error
	var mu sync.Mutex
	rows := make([]string, len(chosen))
	caught := 0
	each(chosen, func(i int, m mutant) {
		by, err := m.test(ctx, filepath.Join(dir, fmt.Sprint(i)))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%q: %w", m.name, err))
			by = "not run"
		case by == "":
			errs = append(errs, fmt.Errorf("%q survives: no test of %s notices", m.name, m.by.pkg))
			by = "**nothing**"
		default:
			caught++
		}
		rows[i] = fmt.Sprintf("| %s | %s | %s |", m.name, m.file, by)
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.name, by)
	})
	fmt.Println("| broken on purpose | in | caught by |\n|---|---|---|")
	fmt.Println(strings.Join(rows, "\n"))
	fmt.Printf("\n%d of %d mutants caught, %s, %s\n", caught, len(chosen), time.Now().UTC().Format(time.DateOnly), runtime.Version())
	return errors.Join(errs...)
}

// whole runs the suites with nothing broken: a test that fails anyway catches nothing.
func whole(ctx context.Context, chosen []mutant) error {
	var suites []suite
	for _, m := range chosen {
		if !slices.Contains(suites, m.by) {
			suites = append(suites, m.by)
		}
	}
	var errs []error
	var mu sync.Mutex
	each(suites, func(_ int, s suite) {
		by, err := s.test(ctx, s.run, "")
		if err == nil && by != "" {
			err = fmt.Errorf("%s fails with nothing broken, at %s", s.pkg, by)
		}
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	})
	return errors.Join(errs...)
}

// each calls do for every item, as many at once as there are cores.
func each[T any](items []T, do func(int, T)) {
	slots := make(chan struct{}, runtime.NumCPU())
	var wg sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i, item)
		})
	}
	wg.Wait()
}

// test runs the mutant's suite over the broken file, and names the test that failed, "" if none did.
func (m mutant) test(ctx context.Context, dir string) (string, error) {
	b, err := os.ReadFile(filepath.FromSlash(m.file))
	if err != nil {
		return "", fmt.Errorf("%w (run it at the root of the module)", err)
	}
	if n := strings.Count(string(b), m.old); n != 1 {
		return "", fmt.Errorf("what is to be broken stands %d times in %s, and should once: bring the list up to date", n, m.file)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	broken := filepath.Join(dir, "broken.go")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(b), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	at, err := filepath.Abs(filepath.FromSlash(m.file))
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {at: broken}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	if m.likely != "" {
		if by, err := m.by.test(ctx, "^"+m.likely+"$", file); by != "" || err != nil {
			return by, err
		}
	}
	return m.by.test(ctx, m.by.run, file)
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// test runs those tests of the suite, over an overlay if there is one, and names the test that failed, "" if none did.
func (s suite) test(ctx context.Context, run, overlay string) (string, error) {
	args := []string{"test", "-count=1", "-failfast", "-vet=off", "-ldflags=-s -w", "-timeout", "10m", "-run", run} // nobody debugs these
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, s.pkg)...)
	cmd.Env = testserver.WithPeers()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err == nil {
		return "", nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
		return "", fmt.Errorf("go test: %w\n%s", err, out)
	}
	switch m := failed.FindSubmatch(out); {
	case m != nil:
		return string(m[1]), nil
	case strings.Contains(string(out), "panic: test timed out"):
		return "a test that hangs", nil
	case strings.Contains(string(out), "panic:"), strings.Contains(string(out), "fatal error:"):
		return "a crash", nil
	}
	return "", fmt.Errorf("go test: %w\n%s", err, out)
}
