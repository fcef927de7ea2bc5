package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// again makes the same commit once more, in another directory and with an empty build
// cache, and compares every file. What differs, somebody else could not rebuild and check.
func again(ctx context.Context, out string, targets []string) error {
	work, err := os.MkdirTemp("", "indelible-again-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	clone, second := filepath.Join(work, "another", "place"), filepath.Join(work, "dist")
	if err := os.MkdirAll(second, 0o755); err != nil {
		return err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"git", "clone", "--quiet", root, clone},
		{"go", "run", "-C", filepath.Join(clone, "packaging"), ".", "-out", second, "-targets", strings.Join(targets, ",")},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "GOCACHE="+filepath.Join(work, "cache"))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
	}
	return compare(out, second)
}

func compare(first, second string) error {
	a, err := digests(first)
	if err != nil {
		return err
	}
	b, err := digests(second)
	if err != nil {
		return err
	}
	other := map[string]string{}
	for _, f := range b {
		other[f.name] = f.sha256
	}
	var differ []error
	for _, f := range a {
		if other[f.name] != f.sha256 {
			differ = append(differ, fmt.Errorf("%s is not the same when it is made again", f.name))
		}
	}
	if len(a) != len(b) {
		differ = append(differ, fmt.Errorf("%d files were made first, then %d (are all changes committed?)", len(a), len(b)))
	}
	if len(differ) == 0 {
		fmt.Printf("%d files, the same twice\n", len(a))
	}
	return errors.Join(differ...)
}
