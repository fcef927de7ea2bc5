package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"indelible/internal/disk/osdisk"
)

// Inspect says what is known to be wrong with the log of a data directory, from a look at the
// directory alone: a *ForkedError, a *StuckError, or records of an earlier log that wait. It opens
// nothing that a running process holds. nil: nothing is known.
func Inspect(o Options) (err error) {
	if _, err := os.Stat(o.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if begun, err := o.begun(); err != nil {
		return err
	} else if begun {
		return o.cutShort()
	}
	data, err := osdisk.Open(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	f, err := remembered(data)
	if err != nil {
		return err
	}
	if f != nil && f.concerns(o.Identity) {
		return o.forked(f.Log, *f)
	}
	unfinished, err := Unfinished(o.Dir)
	for _, r := range unfinished {
		err = errors.Join(err, &StuckError{Err: fmt.Errorf("records of the log %s wait in %s", r.From, r.Dir), Rescue: o.rescueCommand()})
	}
	return err
}
