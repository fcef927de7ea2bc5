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
	b, err := readFile(data, stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	s, err := decodeState(b)
	if err != nil {
		return "", nil // whoever opens the log is told of the damage
	}
	return s.head.Log, nil
}
