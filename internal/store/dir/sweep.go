package dir

import (
	"errors"
	"io/fs"
	"path"
	"time"
)

// abandoned is how old a temporary file is that no living Put can be writing.
const abandoned = 24 * time.Hour

// Sweep removes what Puts left behind that a crash cut short. It may run at
// any time; whoever opens the store for writing calls it once.
func (s *Store) Sweep(now time.Time) error {
	list, err := s.disk.ReadDir(tmpDir)
	if missing(err) {
		return nil
	}
	for _, d := range list {
		info, infoErr := d.Info()
		if infoErr != nil || now.Sub(info.ModTime()) < abandoned {
			continue
		}
		if rmErr := s.disk.Remove(path.Join(tmpDir, d.Name())); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}
	return err
}
