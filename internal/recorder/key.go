package recorder

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"indelible/internal/disk"
)

// KeyFile holds the key of the credentials' HMAC, in Options.Data. Without it nobody can try out
// which credential a record speaks of.
const KeyFile = "credential.key"

const keySize = 32

// credentialKey reads the key, or makes it and makes it durable.
func credentialKey(data disk.FS) ([]byte, error) {
	f, err := data.Open(KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", KeyFile, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	key := make([]byte, keySize)
	if n, err := f.ReadAt(key, 0); n < keySize {
		return nil, fmt.Errorf("read %s: it has %d bytes instead of %d (%w): remove it, and the HMACs of credentials differ from those before", KeyFile, n, keySize, err)
	}
	return key, nil
}

// makeKey puts the key in place whole: a crash leaves it or nothing.
func makeKey(data disk.FS) ([]byte, error) {
	key, temp := make([]byte, keySize), KeyFile+".new"
	_, _ = rand.Read(key) // never fails
	if err := data.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make %s: %w", KeyFile, err)
	}
	f, err := data.Create(temp)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", KeyFile, err)
	}
	_, err = f.WriteAt(key, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = data.Rename(temp, KeyFile)
	}
	if err == nil {
		err = data.SyncDir(".")
	}
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", KeyFile, err)
	}
	return key, nil
}
