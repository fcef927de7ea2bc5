package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

var legalFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// notices are the licences of Go and of every module that is linked into one of the
// binaries: they have to go where the binaries go. A module without one is an error.
func notices(ctx context.Context, root string, built []binary) ([]byte, error) {
	modules := map[string]bool{}
	for _, b := range built {
		for _, d := range b.info.Deps {
			modules[d.Path] = true
		}
	}
	dirs, err := moduleDirs(ctx, root)
	if err != nil {
		return nil, err
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	fmt.Fprintln(&all, "Indelible contains the Go standard library and these modules.")
	add := func(name, dir string) error {
		n, err := legal(&all, name, dir)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s has no licence in %s: look before you publish it", name, dir)
		}
		return err
	}
	if err := add("Go", string(bytes.TrimSpace(goroot))); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(modules))
	for name := range modules {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := add(name, dirs[name]); err != nil {
			return nil, err
		}
	}
	return all.Bytes(), nil
}

// legal appends the legal files of a directory and says how many there were.
func legal(w io.Writer, name, dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("licence of %s: %w", name, err)
	}
	n := 0
	for _, e := range entries {
		if e.IsDir() || !legalFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return n, err
		}
		fmt.Fprintf(w, "\n==== %s: %s\n\n%s\n", name, e.Name(), bytes.TrimSpace(text))
		n++
	}
	return n, nil
}

// moduleDirs says where the module cache has the product's dependencies.
func moduleDirs(ctx context.Context, root string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-C", root, "-m", "-json=Path,Dir", "all")
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Dir string }
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return dirs, nil
		case err != nil:
			return nil, err
		}
		dirs[m.Path] = m.Dir
	}
}
