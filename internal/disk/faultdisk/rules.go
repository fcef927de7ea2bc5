package faultdisk

import (
	"io/fs"
	"path"
	"strings"

	"indelible/internal/disk"
)

// ReadOutage fails, while it lasts, every open, read and listing of the files that
// match; a nil match is all of them. What lasts tells is asked at each such call:
// the error, or nil once reads work again. Writes go on, as with a disk that cannot read
// some of its sectors, or a network file system whose server gives stale handles.
func ReadOutage(match func(name string) bool, lasts func() error) func(Call) *Fault {
	return func(c Call) *Fault {
		if !c.Op.Reads() || match != nil && !match(c.Name) {
			return nil
		}
		if err := lasts(); err != nil {
			return &Fault{Err: err}
		}
		return nil
	}
}

// Reads reports whether the operation gets something from the disk.
func (o Op) Reads() bool { return o == Open || o == Read || o == ReadDir }

// SetFull has the disk without a free byte: nothing can be created or allocated, and writes
// go only where a file has been given room before. err is what such calls come to (ENOSPC, EDQUOT);
// nil: there is room again. Names can be changed and removed still, and what is removed frees nothing.
func (d *Disk) SetFull(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = err
}

// noSpace is the fault of a call that a full disk does not take. The caller holds d.mu.
func (d *Disk) noSpace(c Call) *Fault {
	if d.full == nil {
		return nil
	}
	switch c.Op {
	case Mkdir:
		if _, err := d.under.ReadDir(c.Name); err == nil {
			return nil // it is there
		}
	case Create, Link:
	case Allocate:
		if c.Off <= d.space[path.Clean(c.Name)] {
			return nil
		}
	case Write:
		room := d.space[path.Clean(c.Name)]
		if c.Off+int64(c.Len) <= room {
			return nil
		}
		return &Fault{Err: &fs.PathError{Op: string(c.Op), Path: c.Name, Err: d.full}, Keep: int(max(0, room-c.Off))}
	default:
		return nil
	}
	return &Fault{Err: &fs.PathError{Op: string(c.Op), Path: c.Name, Err: d.full}}
}

// give notes how much room a file has at least. The caller holds d.mu.
func (d *Disk) give(name string, n int64) {
	if d.space == nil {
		d.space = map[string]int64{}
	}
	name = path.Clean(name)
	d.space[name] = max(d.space[name], n)
}

// given notes what a call that worked has done to the room of files.
func (d *Disk) given(c Call) {
	switch c.Op {
	case Create, Remove, Allocate, Write, Link, Rename, Exchange:
	default:
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := path.Clean(c.Name)
	switch c.Op {
	case Create, Remove:
		delete(d.space, name)
	case Allocate:
		d.give(name, c.Off)
	case Write:
		d.give(name, c.Off+int64(c.Len))
	case Link:
		d.give(c.To, d.space[name])
	case Exchange:
		to := path.Clean(c.To)
		a, b := d.space[name], d.space[to]
		delete(d.space, name)
		delete(d.space, to)
		d.give(name, b)
		d.give(to, a)
	case Rename:
		to := path.Clean(c.To)
		moved := map[string]int64{}
		for from, n := range d.space {
			if rest, ok := strings.CutPrefix(from+"/", name+"/"); ok {
				moved[strings.TrimSuffix(path.Join(to, rest), "/")] = n
				delete(d.space, from)
			}
		}
		delete(d.space, to)
		for at, n := range moved {
			d.give(at, n)
		}
	}
}

// opened wraps a file, and notes how much room it has.
func (d *Disk) opened(name string, f disk.File) (disk.File, error) {
	size, err := f.Size()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.give(name, size)
	}
	return &file{d, name, f}, nil
}
