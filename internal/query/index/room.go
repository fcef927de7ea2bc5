package index

import (
	"errors"
	"fmt"
)

// The index shares the spool's disk, and holds nothing that cannot be made again. So it grows only while twice the spool's reserve is free; and
// with less than five quarters of it free, where the spool is about to refuse records, it gives its own bytes back.

// errNoRoom says that the index stands still, because the disk is the spool's.
var errNoRoom = errors.New("the disk has too little room for the index")

// room says whether the index may grow, and gives way where the spool has too little.
func (f *follower) room() error {
	free, err := f.o.Free()
	if err != nil {
		return err
	}
	damaged := f.o.Path + ".damaged"
	size := f.Size()
	if gives := size + sizes(damaged); free < f.o.Reserve+f.o.Reserve/4 && gives > f.o.Reserve/8 {
		if err := errors.Join(f.again(), removeAll(damaged)); err != nil {
			return err
		}
		f.gave = size
		f.told = kindOf(errNoRoom)
		f.o.Logger.Warn("the disk is nearly full: the index gave its room to the spool; records are acknowledged and delivered, searches read them one by one, and the index is rebuilt by itself once there is room: give the data directory more, or set index: off",
			"free_bytes", free, "given_bytes", gives, "rebuilt_with_free_bytes", f.wanted())
	}
	if want := f.wanted(); free < want {
		return fmt.Errorf("%w: %d MiB are free, and it goes on with %d MiB", errNoRoom, free>>20, want>>20)
	}
	f.gave = 0
	return nil
}

// wanted is how many bytes are free where the index may grow.
func (f *follower) wanted() int64 { return 2*f.o.Reserve + f.gave }
