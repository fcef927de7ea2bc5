package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// ownerFile is replaced by each process that opens the spool for writing.
const ownerFile = "owner"

// errOwned ends a spool that another process has opened meanwhile.
var errOwned = fmt.Errorf("%w: another process has opened this spool although this one has it, so its file system does not keep locks: "+
	"stop one of the two, and never give a data directory to two machines", record.ErrClosed)

// owner notices another process that opens the spool where the file system's locks do not hold: that
// one replaces ownerFile before it reads anything, and this one looks, behind the fsync and before the ack, whether
// its file still has its name. So whatever it acks, the other one finds. A network file system that
// remembers attributes for a while tells late. It is safe for concurrent use.
type owner struct {
	fs  disk.FS
	log *slog.Logger

	mu   sync.Mutex
	file disk.File // nil: there was no room for one; guarded by mu
	lost bool      // guarded by mu
}

// take makes this process the owner. A full disk has no room for the file, but had for the one before it.
func (o *owner) take() error {
	if err := o.fs.Remove(ownerFile); err != nil && !isNotExist(err) {
		return err
	}
	file, err := o.fs.Create(ownerFile)
	switch {
	case isFull(err):
		o.log.Warn("make the file that tells of a second owner; it is not there until the next start", "file", ownerFile, "error", err)
		return nil
	case errors.Is(err, fs.ErrExist):
		return errOwned
	case err != nil:
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.file = file
	return nil
}

// check fails with errOwned once another process is the owner. Where the file is merely gone,
// somebody removes files: it is made again.
func (o *owner) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost {
		return errOwned
	}
	if o.file == nil {
		return nil
	}
	linked, err := o.file.Linked()
	if err != nil || linked {
		return err
	}
	file, err := o.fs.Create(ownerFile)
	if errors.Is(err, fs.ErrExist) {
		o.lost = true
		o.log.Error("the spool is closed", "error", errOwned)
		return errOwned
	}
	if err != nil && !isFull(err) {
		return fmt.Errorf("make %s again: %w", ownerFile, err)
	}
	_ = o.file.Close() // nothing was written to it
	o.file = file
	return nil
}

func (o *owner) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close() // nothing was written to it
		o.file = nil
	}
}
