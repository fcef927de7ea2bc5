package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"indelible/internal/config"
	"indelible/internal/layout"
)

// CheckTarget refuses a place for copies of records that lies among the destination's own packs or in its log: readers of the packs
// would count each record twice, and nothing in the log names the copies.
func CheckTarget(c *config.Config, location string) error {
	to, err := config.ParseLocation(location)
	if err != nil {
		return err
	}
	dest, err := config.ParseLocation(string(c.Destination.URL))
	if err != nil || to.Bucket != dest.Bucket {
		return err
	}
	objects, err := layout.Parse(dest.Prefix)
	if err != nil {
		return err
	}
	at := to.Prefix
	if to.Bucket == "" {
		rel, err := filepath.Rel(realPath(dest.Dir), realPath(to.Dir))
		if err != nil {
			return nil // on another volume
		}
		at = strings.TrimPrefix(filepath.ToSlash(rel)+"/"+to.Prefix, "./")
	}
	rest, below := strings.CutPrefix(strings.TrimRight(at, "/")+"/", objects.Base())
	for _, own := range [...]string{layout.PackDir, layout.ProofDir} {
		if below && strings.HasPrefix(rest, own) {
			return &config.Error{Where: location, Problem: fmt.Sprintf("lies in %s of the destination, which is the log's own: name another prefix, bucket or directory", own)}
		}
	}
	return nil
}

// realPath is a path without links, as far as it exists.
func realPath(name string) string {
	name, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	for dir, rest := name, ""; ; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if real, err := filepath.EvalSymlinks(dir); err == nil || !os.IsNotExist(err) || dir == filepath.Dir(dir) {
			if err != nil {
				return name
			}
			return filepath.Join(real, rest)
		}
	}
}
