// Command torture runs the scenarios that try to make Indelible break its
// promises, and prints one table of what they came to:
//
//	go run ./test/torture              the share of every change
//	go run ./test/torture --long       the share of a release
//	go run ./test/torture --only kill --seed 17
//
// It exits with 1 when a scenario failed. docs/torture.md says what each scenario does.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"indelible/internal/testserver"
	"indelible/internal/torture"
)

// part is a number of scenarios that one go test runs.
type part struct {
	name  string // what --only matches
	pkg   string
	run   string // of go test
	alone bool   // measures something, so that nothing else may run beside it
	long  bool   // finds too little per minute for every change: only --long and --only run it
}

// parts, the longest first: so the cores are busy to the end. The table has an order of its own.
var parts = []part{
	{name: "outage", pkg: "./test/torture/world", run: "^TestTortureOutage", long: true},
	{name: "week", pkg: "./test/torture/world", run: "^TestTortureWeek", long: true},
	{name: "clock", pkg: "./test/torture/process", run: "^TestTortureClock", long: true},
	{name: "accidents", pkg: "./test/torture/process", run: "^TestTortureAccidents"},
	{name: "disk", pkg: "./internal/spool", run: "^TestTorture"},
	{name: "calls", pkg: "./test/torture/process", run: "^TestTortureCalls"},
	{name: "kill", pkg: "./test/torture/process", run: "^TestTortureKill(Packs)?$"},
	{name: "killed", pkg: "./test/torture/process", run: "^TestTortureKilled"},
	{name: "power", pkg: "./test/torture/process", run: "^TestTorturePower"},
	{name: "streams", pkg: "./test/torture/process", run: "^TestTortureStreams"},
	{name: "world", pkg: "./test/torture/world", run: "^TestTortureWorld"},
	{name: "reads", pkg: "./test/torture/process", run: "^TestTortureReads"},
	{name: "world-killed", pkg: "./test/torture/world", run: "^TestTortureKilled"},
	{name: "full", pkg: "./test/torture/process", run: "^TestTortureFullDisk", long: true},
	{name: "world-reads", pkg: "./test/torture/world", run: "^TestTortureReads"},
	{name: "world-full", pkg: "./test/torture/world", run: "^TestTortureFullDisk"},
	{name: "hostile", pkg: "./test/torture/process", run: "^TestTortureHostile", alone: true, long: true},
	{name: "slow", pkg: "./test/torture/process", run: "^TestTortureSlow", alone: true, long: true},
	{name: "siege", pkg: "./test/torture/process", run: "^TestTortureSiege", alone: true, long: true},
	{name: "proxy-hostile", pkg: "./test/torture/process", run: "^TestTortureProxyHostile", alone: true, long: true},
	{name: "open-streams", pkg: "./test/torture/process", run: "^TestTortureOpenStreams", alone: true, long: true},
	{name: "overload", pkg: "./test/torture/process", run: "^TestTortureOverload", alone: true, long: true},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	long := flag.Bool("long", false, "the long share")
	only := flag.String("only", "", "parts to run, comma-separated: "+names())
	seed := flag.Uint64("seed", 0, "run this seed alone, to see a failure again")
	verbose := flag.Bool("v", false, "show what the scenarios log")
	flag.Parse()
	chosen, err := choose(*only, *long)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	rows := filepath.Join(dir, "rows")
	share := "ci"
	if *long {
		share = "long"
	}
	env := append(testserver.WithPeers(), torture.EnvShare+"="+share, torture.EnvReport+"="+rows)
	built, err := build(ctx, dir)
	if err != nil {
		return err
	}
	env = append(env, built...)
	if *seed != 0 {
		env = append(env, fmt.Sprintf("%s=%d", torture.EnvSeed, *seed))
	}
	began := time.Now()
	failed := runAll(ctx, chosen, env, *verbose)
	if err := print(os.Stdout, rows); err != nil {
		return err
	}
	fmt.Printf("\n%s share, %s, %s %s/%s, %d cores, %v\n", share, began.UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return fmt.Errorf("these failed: %s (run one alone with --only NAME -v, one seed with --seed N)", strings.Join(failed, ", "))
	}
	return ctx.Err()
}

// build builds what the parts share, once, and returns the environment that names it.
func build(ctx context.Context, dir string) ([]string, error) {
	if err := testserver.Build(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "torture: without an S3 server to test against:", err)
	}
	if os.Getenv(torture.EnvBinary) != "" {
		return nil, nil
	}
	binary := filepath.Join(dir, "indelible")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/indelible")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return []string{torture.EnvBinary + "=" + binary}, nil
}

func names() string {
	var list []string
	for _, p := range parts {
		list = append(list, p.name)
	}
	return strings.Join(list, ", ")
}

func choose(only string, long bool) ([]part, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.long && !long }), nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no part %q: there are %s", name, names())
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

// runAll runs the parts, as many at once as there are cores, then those that want the
// machine for themselves, and returns the names of those that failed.
func runAll(ctx context.Context, chosen []part, env []string, verbose bool) []string {
	var mu sync.Mutex
	var failed []string
	one := func(p part) {
		began := time.Now()
		out, spent, err := p.test(ctx, env)
		took := time.Since(began).Round(time.Second)
		mu.Lock()
		defer mu.Unlock()
		word := "ok"
		if err != nil {
			word = err.Error()
			failed = append(failed, p.name)
		}
		fmt.Fprintf(os.Stderr, "%-12s %6v, %v of a processor: %s\n", p.name, took, spent.Round(time.Second), word)
		if err != nil || verbose {
			fmt.Fprintln(os.Stderr, out)
			return
		}
		for _, why := range skips.FindAllStringSubmatch(out, -1) {
			fmt.Fprintf(os.Stderr, "%-12s skipped: %s\n", p.name, why[1])
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, p := range chosen {
		if p.alone {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			one(p)
			<-slots
		})
	}
	wg.Wait()
	for _, p := range chosen {
		if p.alone {
			one(p)
		}
	}
	slices.Sort(failed)
	return failed
}

// skips matches what go test -v says of a skipped test: its reason stands on the line before.
var skips = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: (.*)\n--- SKIP`)

// test runs the part, and returns what it said and how much time of processors it took.
func (p part) test(ctx context.Context, env []string) (string, time.Duration, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-timeout", "3h", "-parallel", "4", "-run", p.run, p.pkg)
	cmd.Env = env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("no tests to run")) {
		err = fmt.Errorf("there is no test %s in %s: mend the list of parts", p.run, p.pkg)
	}
	var spent time.Duration
	if st := cmd.ProcessState; st != nil {
		spent = st.UserTime() + st.SystemTime()
	}
	return string(out), spent, err
}

// print prints the table of the rows in a file.
func print(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("no scenario reported anything: %w", err)
	}
	defer func() { _ = f.Close() }()
	fmt.Fprintln(w, "| scenario | runs | acked | lost | duplicated | corrupted | failed seeds | |\n|---|---:|---:|---:|---:|---:|---|---|")
	var rows []*torture.Row
	for lines := bufio.NewScanner(f); lines.Scan(); {
		r := new(torture.Row)
		if err := json.Unmarshal(lines.Bytes(), r); err != nil {
			return err
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *torture.Row) int { return cmp.Compare(a.Scenario, b.Scenario) })
	for _, r := range rows {
		if r.Skipped {
			fmt.Fprintf(w, "| %s | skipped | | | | | | |\n", r.Scenario)
			continue
		}
		seeds := "none"
		if len(r.Failed) > 0 {
			seeds = strings.Join(r.Failed, " ")
		}
		fmt.Fprintf(w, "| %s | %d %s | %d | %d | %d | %d | %s | %s |\n", r.Scenario, r.Runs, r.Unit, r.Acked, r.Lost, r.Duplicated, r.Corrupted, seeds, r.Note)
	}
	return nil
}
