package ingest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"indelible/internal/config"
)

// certificate is that of a listener, read again when one of its files changes: whatever
// renews it need not restart the daemon. It is safe for concurrent use.
type certificate struct {
	files config.TLS
	path  string // of the setting
	log   *slog.Logger

	mu    sync.Mutex
	read  *tls.Certificate // guarded by mu
	state string           // of the files that read is from; guarded by mu
}

// readCertificate reads it for the first time.
func readCertificate(files config.TLS, path string, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, path: path, log: log, state: stateOfFiles(files)}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of %s.tls: %w", path, err)
	}
	c.read = &cert
	return c, nil
}

// get is tls.Config.GetCertificate's. Files that do not fit each other, perhaps because
// they are being replaced, leave the certificate that was read before.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := stateOfFiles(c.files)
	if state == c.state {
		return c.read, nil
	}
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		c.log.Warn("the new certificate cannot be read; the one before is used until it can", "setting", c.path+".tls", "error", err)
		return c.read, nil
	}
	c.read, c.state = &cert, state
	c.log.Info("read the new certificate", "setting", c.path+".tls", "expires", cert.Leaf.NotAfter)
	return c.read, nil
}

// stateOfFiles changes when one of the files does.
func stateOfFiles(files config.TLS) string {
	var state strings.Builder
	for _, name := range []string{files.Cert, files.Key} {
		if info, err := os.Stat(name); err == nil {
			state.WriteString(fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size(), " "))
		}
	}
	return state.String()
}
