package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"syscall"

	"indelible/internal/disk"
	"indelible/internal/record"
)

const (
	tempSuffix    = ".tmp"
	damagedSuffix = ".damaged"
	sumLine       = 9 // eight hexadecimal digits and a line feed
)

// isFull reports whether the disk has no room: no space, or none of this user's quota.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// pushback turns a full disk into ErrPushback: the sender still has the record and retries.
func pushback(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", record.ErrPushback, err)
	}
	return err
}

// sumJSON encodes a small file: the CRC32C of the rest in a line of its own, then JSON.
func sumJSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	return append(fmt.Appendf(nil, "%08x\n", crc32.Checksum(b, castagnoli)), b...), nil
}

// parseJSON decodes what sumJSON encoded.
func parseJSON(b []byte, v any) error {
	var sum uint32
	if len(b) < sumLine {
		return errFormat
	}
	if _, err := fmt.Sscanf(string(b[:sumLine]), "%08x\n", &sum); err != nil || sum != crc32.Checksum(b[sumLine:], castagnoli) {
		return errFormat
	}
	return json.Unmarshal(b[sumLine:], v)
}

// replace writes a small file so that its name has the old content or the new
// one, whatever happens: temporary file, fsync, rename, fsync of the directory.
func replace(fs disk.FS, name string, data []byte) error {
	temp := name + tempSuffix
	if err := fs.Remove(temp); err != nil && !isNotExist(err) {
		return err
	}
	if err := writeNew(fs, temp, data); err != nil {
		return err
	}
	if err := fs.Rename(temp, name); err != nil {
		return err
	}
	return fs.SyncDir(path.Dir(name))
}

// writeNew makes a file with that content, durable but for its name.
func writeNew(fs disk.FS, name string, data []byte) error {
	file, err := fs.Create(name)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(data, 0); err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// syncFile makes durable what another process wrote to a file and did not sync.
func syncFile(fs disk.FS, name string) error {
	file, err := fs.OpenWrite(name)
	if err != nil {
		return err
	}
	err = file.Sync()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
