package proof

import (
	"errors"
	"io/fs"
	"strings"

	"indelible/internal/disk"
)

// RecoverName is the log's name as a data directory tells it: from the file
// that keeps it, or, where that is gone or holds none, from the public key or the writer's
// state. "" if nothing tells.
func RecoverName(data disk.FS) (string, error) {
	name, kept := ReadName(data)
	if kept == nil || !errors.Is(kept, fs.ErrNotExist) && !errors.Is(kept, errNoName) {
		return name, kept
	}
	public, err := readLine(data, PublicFile)
	if err != nil {
		return "", err
	}
	if name, _, _ := strings.Cut(public, "+"); CheckName(name) == nil {
		return name, nil
	}
	s, err := readState(data)
	if _, damaged := errors.AsType[*StateError](err); damaged || errors.Is(err, fs.ErrNotExist) {
		return "", nil // whoever opens the log is told of the damage
	}
	if err != nil {
		return "", err
	}
	return s.cp.Log, nil
}
