package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/store"
)

// find opens the object under key; fs.ErrNotExist if there is none.
func (s *Store) find(key string) (string, disk.File, error) { return s.findIn(".", key) }

// findIn opens the file of key below root.
func (s *Store) findIn(root, key string) (string, disk.File, error) {
	list, err := s.names(key)
	if err != nil {
		return "", nil, err
	}
	name := path.Join(root, path.Join(list...))
	file, err := s.openFile(name) // almost always each name is the plain one
	if err == nil || !missing(err) {
		return name, file, err
	}
	dir, err := s.resolve(root, list[:len(list)-1])
	if err != nil {
		return "", nil, err
	}
	name = path.Join(dir, list[len(list)-1])
	if file, err = s.openFile(name); missing(err) {
		name += fileSuffix
		file, err = s.openFile(name)
	}
	if missing(err) {
		err = fs.ErrNotExist
	}
	return name, file, err
}

// resolve is the directory of that name below root: at each step the one of
// the plain name, else the one that had to give way to an object.
func (s *Store) resolve(root string, list []string) (string, error) {
	dir := root
	for _, name := range list {
		next := path.Join(dir, name)
		ok, err := s.isDir(next)
		if err != nil {
			return "", err
		}
		if !ok {
			next += dirSuffix
		}
		dir = next
	}
	return dir, nil
}

func (s *Store) isDir(name string) (bool, error) {
	file, err := s.disk.Open(name)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	return errors.Is(regular(file), errDirectory), nil
}

// openFile opens a file, and finds nothing where there is a directory. What is neither is an error.
func (s *Store) openFile(name string) (disk.File, error) {
	file, err := s.disk.Open(name)
	if pe, ok := errors.AsType[*fs.PathError](err); ok && (errors.Is(err, syscall.ELOOP) || pe.Err.Error() == "path escapes from parent") { // os has no name for it
		return nil, fmt.Errorf("open %s: %w", name, errLink)
	}
	if err != nil {
		return nil, err
	}
	switch err := regular(file); {
	case errors.Is(err, errDirectory):
		return nil, errors.Join(fs.ErrNotExist, file.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), file.Close())
	}
	return file, nil
}

var (
	errDirectory  = errors.New("it is a directory")
	errNotRegular = fmt.Errorf("it is a pipe or a device: %w", store.ErrNoObject)
	errLink       = fmt.Errorf("a symbolic link leads out of the store, or in a circle: %w", store.ErrNoObject)
)

// regular is nil for a file. Systems let us open other things as well.
func regular(file disk.File) error {
	_, err := file.ReadAt(make([]byte, 1), 0)
	switch {
	case errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrInvalid):
		return errDirectory
	case errors.Is(err, syscall.ESPIPE):
		return errNotRegular
	}
	return nil
}

// missing reports that there is nothing of that name, perhaps because one of
// its directories is a file.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// place gives the file tmp the name of key, by link or rename. The name is not durable yet.
func (s *Store) place(key, tmp string, how func(oldname, newname string) error) (string, error) {
	return s.placeIn(".", key, tmp, how)
}

func (s *Store) placeIn(root, key, tmp string, how func(oldname, newname string) error) (string, error) {
	list, err := s.names(key)
	if err != nil {
		return "", err
	}
	dir := root
	if err := s.mkdir(root); err != nil {
		return "", err
	}
	for _, name := range list[:len(list)-1] {
		next := path.Join(dir, name)
		err := s.mkdir(next)
		if err != nil {
			if ok, isErr := s.isDir(next); ok || isErr != nil || !s.exists(next) {
				return "", err
			}
			next += dirSuffix // an object has the name
			err = s.mkdir(next)
		}
		if err != nil {
			return "", err
		}
		dir = next
	}
	name := path.Join(dir, list[len(list)-1])
	if beside, err := s.openFile(name + fileSuffix); err == nil {
		_ = beside.Close()
		name += fileSuffix
	} else if ok, err := s.isDir(name); err != nil {
		return "", err
	} else if ok {
		name += fileSuffix
	}
	err = how(tmp, name)
	if errors.Is(err, fs.ErrNotExist) {
		s.forget()
		err = errRemoved
	}
	return name, err
}

// errRemoved says that somebody removed a directory while the store was open.
var errRemoved = errors.New("a directory of the store was removed; the next attempt makes it again")

func (s *Store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.made)
}

func (s *Store) exists(name string) bool {
	file, err := s.disk.Open(name)
	if err != nil {
		return false
	}
	_ = file.Close()
	return true
}

// mkdir makes a directory durably, once.
func (s *Store) mkdir(name string) error {
	if s.knownDurable(name) {
		return nil
	}
	in := s.opened()
	if err := s.disk.MkdirAll(name); errors.Is(err, fs.ErrExist) {
		// It is there, and what it is could not be found out. ErrExist is for the names of objects.
		return fmt.Errorf("make directory %s: %v", name, err)
	} else if err != nil {
		return err
	}
	s.setDurable(name, in)
	return nil
}

// knownDurable says that a directory or a note was found or made durable before.
func (s *Store) knownDurable(name string) bool {
	in := s.opened()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.madeIn == in && s.made[name]
}

// setDurable notes a name that was made durable in a directory: in another one, that came in its place, it may not be.
func (s *Store) setDurable(name string, in *osdisk.FS) {
	now := s.opened()
	s.mu.Lock()
	defer s.mu.Unlock()
	if in != now {
		return
	}
	if s.madeIn != in || len(s.made) >= maxMade {
		clear(s.made)
	}
	s.made[name], s.madeIn = true, in
}
