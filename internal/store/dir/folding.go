package dir

import (
	"fmt"
	"runtime"
	"strings"

	"indelible/internal/disk/osdisk"
)

// There are file systems that take "A" and "a", or two ways to write "é", for one name (those of macOS
// and Windows as they come, ext4 with casefold, many network shares). Two keys must not be one object there, so
// that a store that begins on such a file system escapes capital letters and what is no ASCII. The file foldedMark
// says so, is durable before the first object can be, and goes with a copy of the store to other file systems.
const (
	foldedName = ".folded"
	foldedMark = ownDir + "/" + foldedName
)

// named is the naming of the store in a directory, once that is certain.
type named struct {
	naming
	in *osdisk.FS // nil: the file system is nobody's path
}

// naming is how the store names its files.
func (s *Store) naming() (naming, error) {
	in := s.opened()
	if n := s.named.Load(); n != nil && n.in == in {
		return n.naming, nil
	}
	// In this order: the mark is made before the first object.
	used, err := s.there(metaDir)
	if err != nil {
		return naming{}, err
	}
	marked, err := s.there(foldedMark)
	if err != nil {
		return naming{}, err
	}
	n := naming{folded: marked, windows: runtime.GOOS == "windows"}
	if used || marked {
		s.named.Store(&named{n, in})
	}
	return n, nil
}

func (s *Store) names(key string) ([]string, error) {
	n, err := s.naming()
	if err != nil {
		return nil, fmt.Errorf("find out how the store names its files: %w", err)
	}
	return n.names(key), nil
}

// begin marks a store without any object, before its first one.
func (s *Store) begin() error {
	folds, err := s.folds()
	if err != nil || !folds {
		return err
	}
	return s.mark(foldedMark)
}

// folds reports that the file system takes names for one that are not.
func (s *Store) folds() (bool, error) {
	if err := s.mkdir(tmpDir); err != nil {
		return false, err
	}
	probe := s.tmpFile() + "-folds-A\u00e9" // of this call alone: another one must not remove it meanwhile
	file, err := s.disk.Create(probe)
	if err == nil {
		err = file.Close()
	}
	defer func() { _ = s.disk.Remove(probe) }()
	if err != nil {
		return false, err
	}
	for _, other := range []string{strings.Replace(probe, "A", "a", 1), strings.Replace(probe, "\u00e9", "e\u0301", 1), strings.Replace(probe, "\u00e9", "\u00c9", 1)} {
		if there, err := s.there(other); err != nil || there {
			return there, err
		}
	}
	return false, nil
}

// Ambiguous reports a store that began elsewhere and now lies on a file system that takes
// names for one that are not: keys that differ in nothing but capital letters, or in how an accent is written, are
// read as one another. Nothing is overwritten.
func (s *Store) Ambiguous() (bool, error) {
	n, err := s.naming()
	if err != nil || n.folded || s.named.Load() == nil { // without an object, it can still begin here
		return false, err
	}
	return s.folds()
}
