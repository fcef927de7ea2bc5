package config

import (
	"path/filepath"
	"strings"
)

// apart refuses a directory as destination that would mix records with the files of the data
// directory: the data directory itself, one that holds it, and one in it other than <data>/store.
func (l *Loaded) apart(loc Location) error {
	if loc.Dir == "" {
		return nil
	}
	dir, err := filepath.Abs(loc.Dir)
	if err != nil {
		return l.wrong("destination.url", "destination.url %s: %v", l.Config.Destination.URL, err)
	}
	dir, data := resolved(dir), resolved(l.Config.Data)
	what := ""
	switch {
	case dir == data:
		what = "is the data directory itself"
	case inside(data, dir):
		what = "holds the data directory " + l.Config.Data
	case inside(dir, data) && dir != filepath.Join(data, "store") && !inside(dir, filepath.Join(data, "store")):
		what = "lies in the data directory " + l.Config.Data
	default:
		return nil
	}
	return l.wrong("destination.url", "the destination %s %s, whose files are not records: choose a directory beside it, or %s",
		loc.Dir, what, filepath.Join(l.Config.Data, "store"))
}

// resolved is an absolute path with its symbolic links followed, as far as it exists.
func resolved(path string) string {
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}

// inside says whether a path lies below a directory; both are clean and absolute.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
