package osdisk

import "indelible/internal/disk"

// OpenDir keeps a directory open: open then finds a file in it, by its plain
// name, in one step, however deep the directory lies. It goes on to be that directory when another
// takes its name. close lets go of it.
func (f *FS) OpenDir(name string) (open func(name string) (disk.File, error), close func() error, err error) {
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, nil, err
	}
	open = func(name string) (disk.File, error) {
		file, err := root.Open(name)
		if err != nil {
			return nil, err
		}
		return osFile{file}, nil
	}
	return open, root.Close, nil
}
