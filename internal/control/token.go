package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"indelible/internal/disk"
)

// TokenFile holds the token that is made where none is configured.
const TokenFile = "admin.token"

// MadeToken is the token in the data directory, made and made durable at the first
// call. Only the user of the daemon may read the file.
func MadeToken(data disk.FS, dataDir string) (string, error) {
	path := filepath.Join(dataDir, TokenFile)
	b, err := os.ReadFile(path)
	if token := strings.TrimSpace(string(b)); err == nil && token != "" {
		return token, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	token := rand.Text()
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("make the admin token: %w", err)
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make the admin token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(temp, path), data.SyncDir(".")); err != nil {
		return "", fmt.Errorf("make the admin token: %w", err)
	}
	return token, nil
}
