package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"indelible/internal/disk"
)

// TokenFile holds the token that is made where none is configured.
const TokenFile = "admin.token"

// MadeToken is the token in the data directory, made and made durable at the first
// call. Only the user of the daemon may read the file: rights that others have to it are taken
// away, and log says so. A token that is shorter than a made one is what a failed write left, and is replaced.
func MadeToken(data disk.FS, dataDir string, log *slog.Logger) (string, error) {
	path := filepath.Join(dataDir, TokenFile)
	made := rand.Text()
	b, err := os.ReadFile(path)
	if token := strings.TrimSpace(string(b)); err == nil && len(token) >= len(made) {
		return token, closeToOthers(path, log)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	if err := writeToken(data, path, made); err != nil {
		return "", fmt.Errorf("make the admin token: %w", err)
	}
	return made, nil
}

// closeToOthers takes the rights of others to the file away.
func closeToOthers(path string, log *slog.Logger) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read the admin token: %w", err)
	}
	if runtime.GOOS == "windows" || info.Mode()&0o077 == 0 { // Windows keeps no such rights in a mode
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("others may read the admin token, and this could not be changed: %w: remove %s, and a new one is made", err, path)
	}
	log.Warn("others could read the admin token; now they cannot. If somebody did, remove the file and restart: a new one is made",
		"file", path, "mode", fmt.Sprintf("%#o", info.Mode().Perm()))
	return nil
}

// writeToken puts the token in place, durably: the file is there whole or not at all.
func writeToken(data disk.FS, path, token string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(token + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return data.SyncDir(".")
}
