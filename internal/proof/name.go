package proof

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"indelible/internal/disk"
)

// nameFile keeps a log's name in its data directory.
const nameFile = "log.name"

// NameError says that a data directory holds a log of another name.
type NameError struct{ Kept, Wanted string }

func (e *NameError) Error() string {
	return fmt.Sprintf("the log here is %q, not %q, and a log's name never changes", e.Kept, e.Wanted)
}

// KeepName is the name of the log in a data directory: the one kept there, or
// else, durably kept from now on, the one wanted or, where that is "", a new one
// of this host. A wanted name that is not the kept one is a *NameError: the
// log's records and checkpoints carry the old one.
func KeepName(data disk.FS, wanted string) (string, error) {
	kept, err := ReadName(data)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoName) && wanted != "":
	case err != nil:
		return "", fmt.Errorf("read the log's name: %w", err)
	case wanted != "" && wanted != kept:
		return "", &NameError{Kept: kept, Wanted: wanted}
	default:
		return kept, nil
	}
	name := wanted
	if name == "" {
		name = NewName()
	}
	if err := writeName(data, name); err != nil {
		return "", fmt.Errorf("keep the log's name: %w", err)
	}
	return name, nil
}

// errNoName says that the file is there and holds no name, as after a power cut on some file systems.
var errNoName = errors.New(nameFile + " holds no name")

// ReadName is the name kept in a data directory; fs.ErrNotExist if there is none.
func ReadName(data disk.FS) (string, error) {
	f, err := data.Open(nameFile)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1024))
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(b))
	if err := CheckName(name); err != nil {
		return "", fmt.Errorf("%w: %w: write the log's name into it, which log.vkey begins with", errNoName, err)
	}
	return name, nil
}

// writeName writes the name so that it is there whole after a crash, or not at all.
func writeName(data disk.FS, name string) error {
	const temp = nameFile + ".new"
	if err := data.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := data.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(name+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := data.Rename(temp, nameFile); err != nil {
		return err
	}
	return data.SyncDir(".")
}

// CheckName says whether a log can be named so: letters, digits, '.', '_' and
// '-', at most 200 of them.
func CheckName(name string) error {
	if name == "" || len(name) > 200 || name[0] == '.' {
		return fmt.Errorf("%q cannot name a log: want 1 to 200 letters, digits, '.', '_' or '-'", name)
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)) {
			return fmt.Errorf("%q cannot name a log: it holds %q, want letters, digits, '.', '_' or '-'", name, c)
		}
	}
	return nil
}

// NewName makes a name for a new log: the host's, and 8 random hex digits.
func NewName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "host"
	}
	clean := strings.Map(func(c rune) rune {
		if CheckName("x"+string(c)) != nil {
			return '-'
		}
		return c
	}, cut(host, 64))
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return clean + "-" + hex.EncodeToString(random[:])
}
