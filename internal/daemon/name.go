package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"indelible/internal/disk"
	"indelible/internal/proof"
)

// nameFile keeps the log's name from the first start on.
const nameFile = "log.name"

// logName is the name of the log in the data directory: the one kept there, or
// else, durably kept from now on, wanted or a new one of this host. A wanted
// name that is not the kept one is an error: the log's records and
// checkpoints carry the old one.
func logName(data disk.FS, wanted string) (string, error) {
	kept, err := readName(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("read the log's name: %w", err)
	case wanted != "" && wanted != kept:
		return "", &ConfigError{Where: "proof.name", Problem: fmt.Sprintf("this data directory holds the log %q, and a log's name never changes: take proof.name out, or give --data another directory for the log %q", kept, wanted)}
	default:
		return kept, nil
	}
	name := wanted
	if name == "" {
		name = proof.NewName()
	}
	if err := keepName(data, name); err != nil {
		return "", fmt.Errorf("keep the log's name: %w", err)
	}
	return name, nil
}

func readName(data disk.FS) (string, error) {
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
	if err := proof.CheckName(name); err != nil {
		return "", fmt.Errorf("%s holds no name: %w", nameFile, err)
	}
	return name, nil
}

// keepName writes the name so that it is there whole after a crash, or not at all.
func keepName(data disk.FS, name string) error {
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
