package dir

import (
	"io/fs"

	"indelible/internal/record"
	"indelible/internal/store"
)

// setDoubt notes that a Put of these bytes failed half-way.
func (s *Store) setDoubt(key string, d record.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubt[key] = d
}

// settle ends the doubt about a key, and tells whether there was one.
func (s *Store) settle(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.doubt[key]
	delete(s.doubt, key)
	return ok
}

// trusted describes an object that was found, unless it is in doubt: then
// it is not stored, and whoever asks puts it again.
func (s *Store) trusted(key string, at attributes) (store.Info, error) {
	s.mu.Lock()
	d, ok := s.doubt[key]
	s.mu.Unlock()
	if ok && d == at.Digest {
		return store.Info{}, fs.ErrNotExist
	}
	return at.info(key), nil
}
