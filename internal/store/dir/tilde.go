package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"strings"

	"indelible/internal/store"
)

// Names with a "~" in them are those that a record gets beside another of its key. Who asks for such
// names would have to read a whole directory, however much lies in it, so they are noted: for what stands
// before a key's first "~" there is an empty file, durable before the object can be. The file tildeWhole
// says that this was so from the first object of the store on.
const (
	tildeName  = ".tilde"
	tildeDir   = ownDir + "/" + tildeName
	tildeWhole = tildeDir + "/whole"
)

// tildeNote is the file that notes keys with stem and "~" in front.
func tildeNote(stem string) string {
	sum := sha256.Sum256([]byte(stem))
	name := hex.EncodeToString(sum[:])
	return path.Join(tildeDir, name[:2], name)
}

// note makes it durable that there may be a key with a "~", before there is. In a store without
// any object it begins the notes.
func (s *Store) note(key string) error {
	if !s.knownDurable(metaDir) {
		used, err := s.there(metaDir) // each object has attributes
		if err != nil {
			return err
		}
		if !used && s.empty() {
			if err := s.begin(); err != nil {
				return err
			}
			if err := s.mark(tildeWhole); err != nil {
				return err
			}
		}
	}
	stem, _, has := strings.Cut(key, "~")
	if !has {
		return nil
	}
	return s.mark(tildeNote(stem))
}

// empty reports that the store has no object, also none that another tool has put there.
func (s *Store) empty() bool {
	for range s.keys(context.Background(), ".", "", true, store.ListOptions{}) {
		return false // or it cannot be found out
	}
	return true
}

// mark makes an empty file durable, once.
func (s *Store) mark(name string) error {
	if s.knownDurable(name) {
		return nil
	}
	in := s.opened()
	if err := s.mkdir(path.Dir(name)); err != nil {
		return err
	}
	file, err := s.disk.Create(name)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Whoever made it may have died before it was durable.
	if err := s.disk.SyncDir(path.Dir(name)); err != nil {
		return err
	}
	s.setDurable(name, in)
	return nil
}

// Absent reports that no object that was put here has a key with this prefix; false says nothing. It
// costs the same however much the store holds. It knows of prefixes with a "~", in a store that noted
// them from its first object on.
func (s *Store) Absent(_ context.Context, prefix string) (bool, error) {
	stem, _, has := strings.Cut(prefix, "~")
	if !has {
		return false, nil
	}
	if err := s.sameRoot(); err != nil {
		return false, fail("list", prefix, err)
	}
	for name, want := range map[string]bool{tildeWhole: true, tildeNote(stem): false} {
		there, err := s.there(name)
		if err != nil {
			return false, fail("list", prefix, err)
		}
		if there != want {
			return false, nil
		}
	}
	return true, nil
}

// there says whether a name exists; where that cannot be found out, it fails.
func (s *Store) there(name string) (bool, error) {
	file, err := s.disk.Open(name)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, file.Close()
}
