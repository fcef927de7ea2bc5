// Command packaging makes everything that is published, from one commit and with Go alone:
//
//	go run -C packaging .            all of it, in dist/
//	go run -C packaging . -check     and once more from a fresh clone with an empty build cache; the two must be equal
//
// It is a module of its own, so that the product does not carry what packs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	out := flag.String("out", filepath.Join("..", "dist"), "where it all goes; emptied first")
	targets := flag.String("targets", strings.Join(allTargets, ","), "os/arch pairs")
	check := flag.Bool("check", false, "build twice and compare")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, strings.Split(*targets, ","), *check); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, targets []string, check bool) error {
	if err := emptied(out); err != nil {
		return err
	}
	if err := (&release{from: "..", out: out, targets: targets}).make(ctx); err != nil {
		return err
	}
	if check {
		return again(ctx, out, targets)
	}
	return nil
}

// emptied makes the directory, without what an earlier run left there. It removes no
// directory that has something else in it.
func emptied(out string) error {
	old, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if base := filepath.Base(name); !strings.HasPrefix(base, "indelible") && base != sumsFile {
			return fmt.Errorf("%s has files that this command did not make (%s): empty it, or choose another with -out", out, base)
		}
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return os.MkdirAll(out, 0o755)
}
