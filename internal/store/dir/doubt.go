package dir

import (
	"errors"
	"io/fs"

	"indelible/internal/record"
	"indelible/internal/store"
)

// doubt is a Put that failed when its object could have its name already: a
// power loss may undo it.
type doubt struct {
	digest   record.Digest // what it wrote
	replaced string        // ETag of the object that it was to replace; "" if there was none
}

// setDoubt notes that a Put of these bytes failed half-way.
func (s *Store) setDoubt(key string, d doubt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.doubts[key]; ok && d.replaced != "" && before.replaced != "" {
		d.replaced = before.replaced // what a power loss leads back to
	}
	s.doubts[key] = d
}

// settle ends the doubt about a key, and tells whether there was one.
func (s *Store) settle(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.doubts[key]
	delete(s.doubts, key)
	return ok
}

// doubtAbout is the doubt about a key, if there is one.
func (s *Store) doubtAbout(key string) (doubt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.doubts[key]
	return d, ok
}

// errDoubt says that an object was replaced, and that this may not be durable.
var errDoubt = errors.New("the object was replaced and is perhaps not durable: put it again")

// trusted describes an object that was found, unless it is in doubt. One that
// was new is not stored then, and whoever asks puts it again; of one that was replaced nothing is known.
func (s *Store) trusted(key string, at attributes) (store.Info, error) {
	d, ok := s.doubtAbout(key)
	if ok && d.digest == at.Digest {
		if d.replaced != "" {
			return store.Info{}, errDoubt
		}
		return store.Info{}, fs.ErrNotExist
	}
	return at.info(key), nil
}
