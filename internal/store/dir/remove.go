package dir

import (
	"context"
	"errors"
	"io/fs"
	"path"
)

// Remove removes an object for good, durably; one that is not there is no error. It is no
// part of store.Store: what keeps records cannot reach it.
func (s *Store) Remove(ctx context.Context, key string) error {
	if err := check(key); err != nil {
		return fail("remove", key, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	begun := s.opened()
	if err := s.stillIn(begun); err != nil {
		return fail("remove", key, err)
	}
	lock := s.lock(key)
	lock.Lock()
	defer lock.Unlock()
	// The attributes first: an object without them describes itself, and attributes without their
	// object would describe the next one of that key.
	for _, root := range []string{metaDir, "."} {
		name, file, err := s.findIn(root, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(file.Close(), s.disk.Remove(name), s.disk.SyncDir(path.Dir(name)))
		}
		if err != nil {
			return fail("remove", key, err)
		}
	}
	return nil
}
