package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// allTargets are what is published. Linux is for production, the others for a try on a laptop.
var allTargets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

const sumsFile = "SHA256SUMS"

// A release is everything that is made from one commit. Nothing in it depends on when or
// where it is made: version and times are those of the commit. What is not committed is not in it.
type release struct {
	from    string // the repository
	root    string // a clone of its commit, without what is not committed
	out     string
	targets []string

	version string    // as Go says it, without the v
	time    time.Time // of the commit
	notices []byte    // licences of what is linked in
}

// A binary is the program for one target.
type binary struct {
	os, arch string
	path     string
	info     *buildinfo.BuildInfo
}

func (r *release) make(ctx context.Context) error {
	work, err := os.MkdirTemp("", "indelible-packaging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r.root = filepath.Join(work, "clone")
	clone := exec.CommandContext(ctx, "git", "clone", "--quiet", r.from, r.root)
	clone.Stderr = os.Stderr
	if err := clone.Run(); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	var built []binary
	for _, target := range r.targets {
		b, err := r.build(ctx, work, target)
		if err != nil {
			return err
		}
		built = append(built, b)
	}
	if r.notices, err = notices(ctx, r.root, built); err != nil {
		return err
	}
	for _, b := range built {
		if err := r.archive(b); err != nil {
			return err
		}
		if err := r.bom(b); err != nil {
			return err
		}
		if b.os == "linux" {
			if err := r.linuxPackages(b); err != nil {
				return err
			}
		}
	}
	if err := r.image(built); err != nil {
		return err
	}
	return r.sums()
}

// build compiles one target, and takes version and time from what Go wrote into it.
func (r *release) build(ctx context.Context, work, target string) (binary, error) {
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok {
		return binary{}, fmt.Errorf("target %q is no os/arch", target)
	}
	b := binary{os: goos, arch: goarch, path: filepath.Join(work, goos+"_"+goarch)}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", r.root, "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", b.path, "./cmd/indelible")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return b, fmt.Errorf("build %s: %w", target, err)
	}
	var err error
	if b.info, err = buildinfo.ReadFile(b.path); err != nil {
		return b, err
	}
	r.version = strings.TrimPrefix(b.info.Main.Version, "v")
	if r.time, err = time.Parse(time.RFC3339, setting(b.info, "vcs.time")); err != nil {
		return b, fmt.Errorf("build %s: no commit in it: %w", target, err)
	}
	fmt.Printf("%-15s %s, built in %v\n", target, r.version, time.Since(begun).Round(time.Second))
	return b, nil
}

func setting(info *buildinfo.BuildInfo, key string) string {
	i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
	if i < 0 {
		return ""
	}
	return info.Settings[i].Value
}

// write makes one file in the output directory.
func (r *release) write(name string, fill func(io.Writer) error) (err error) {
	f, err := os.OpenFile(filepath.Join(r.out, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if err := fill(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	st, err := f.Stat()
	if err == nil {
		fmt.Printf("  %s, %.1f MB\n", name, float64(st.Size())/1e6)
	}
	return err
}

// sums writes the SHA-256 of every file, as sha256sum --check reads them.
func (r *release) sums() error {
	files, err := digests(r.out)
	if err != nil {
		return err
	}
	return r.write(sumsFile, func(w io.Writer) error {
		for _, f := range files {
			if _, err := fmt.Fprintf(w, "%s  %s\n", f.sha256, f.name); err != nil {
				return err
			}
		}
		return nil
	})
}

type digest struct{ name, sha256 string }

// digests are those of the files in a directory, by name.
func digests(dir string) ([]digest, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []digest
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, digest{e.Name(), fmt.Sprintf("%x", h.Sum(nil))})
	}
	return all, nil
}
