// Package disk is the few file operations that the product needs, with their
// durability spelled out: what is on the disk after which call returned.
// Names are slash-separated paths relative to the file system's root and never
// leave it.
package disk

import (
	"fmt"
	"io"
	"io/fs"
)

// FS is a directory tree. Implementations are safe for concurrent use and pass
// disktest. Errors satisfy errors.Is with fs.ErrNotExist, fs.ErrExist and
// syscall.ENOSPC where they mean that.
//
// A file's content is durable once File.Sync returned nil. A name (created,
// renamed, linked, removed) is durable once SyncDir of its parent directory returned
// nil, and not before. After a Sync that failed, nothing is known about any
// byte written since the last one that succeeded, also when a later one
// succeeds: never sync that file again.
type FS interface {
	// Create makes a new file, open for reading and writing; it fails with
	// fs.ErrExist if the name is taken. perm is 0600.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing: to write it again
	// in place, or to make durable what another process wrote to it.
	OpenWrite(name string) (File, error)
	// Rename moves a file over whatever had the new name, atomically.
	Rename(oldname, newname string) error
	// Link gives a file a second name; fs.ErrExist if that is taken.
	Link(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// MkdirAll makes a directory and its parents, perm 0700. Every directory
	// made, and its name in its parent, is durable when it returns.
	MkdirAll(name string) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Free is the number of bytes that can still be written.
	Free() (uint64, error)
	// Lock takes the file of that name, making it if need be, for this process
	// until the closer is closed or the process dies. Where another holds it,
	// it fails at once with a *LockedError.
	Lock(name string) (io.Closer, error)
}

// LockedError says that another process holds a lock.
type LockedError struct {
	PID int // the process that holds it, 0 if unknown
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "held by another process"
	}
	return fmt.Sprintf("held by process %d", e.PID)
}

// File is an open file. Methods may be called concurrently, but writes must
// not overlap.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the content and the size durable (fdatasync where the system
	// has it, F_FULLFSYNC on macOS).
	Sync() error
	// Allocate reserves space up to size bytes and sets the file's size to it, where
	// the file system can do so cheaply; elsewhere it does nothing and returns nil.
	// It fails with ENOSPC when the space is not there. What is allocated and not written reads as zeros.
	Allocate(size int64) error
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Linked reports whether the file still has a name in some directory. What is
	// written to a file without one is gone when the last process closes it. Systems that do not tell say true.
	Linked() (bool, error)
}
