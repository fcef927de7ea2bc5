package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"indelible/internal/config"
	"indelible/internal/disk/osdisk"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/store"
)

// Evidence is what verify, prove and reconcile look at: a store that holds a
// log, the log's public key, and the heads that are known from elsewhere.
type Evidence struct {
	Store store.Store
	Base  string // what stands before _indelible/ in the store
	VKey  string
	Kept  []proof.KeptHead
	Close func() error
}

// OpenEvidence opens a location, or the destination where location is "". The
// public key is the one in vkeyFile, or else the data directory's. The head that the
// data directory remembers is taken along where it is the destination that is looked at.
func OpenEvidence(ctx context.Context, l *config.Loaded, location, vkeyFile string) (*Evidence, error) {
	c := l.Config
	own := location == "" || location == c.Destination.URL || samePlace(location, c.Destination.URL)
	if location != "" {
		if _, err := config.ParseLocation(location); err != nil {
			return nil, err
		}
		c.Destination.URL = location
	}
	e := &Evidence{}
	var err error
	if e.VKey, err = ReadVKey(&c, vkeyFile); err != nil {
		return nil, err
	}
	if own {
		// Before the store is read: a log that grows meanwhile is never older than this.
		if err := e.remember(c.Data); err != nil {
			return nil, err
		}
	}
	dest, err := openDestination(ctx, &c, "", true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is nothing at %s", c.Destination.URL)
	}
	if err != nil {
		return nil, err
	}
	e.Store, e.Base, e.Close = dest.Store, dest.Layout.Base(), dest.Close
	return e, nil
}

// samePlace says whether the logs of two locations lie in one place, however it is written.
func samePlace(a, b string) bool {
	la, err := config.ParseLocation(a)
	if err != nil {
		return false
	}
	lb, err := config.ParseLocation(b)
	if err != nil || la.Bucket != lb.Bucket || logPrefix(la) != logPrefix(lb) {
		return false
	}
	if la.Bucket != "" {
		return true
	}
	sa, err := os.Stat(la.Dir)
	if err != nil {
		return false
	}
	sb, err := os.Stat(lb.Dir)
	return err == nil && os.SameFile(sa, sb)
}

// logPrefix is what stands before _indelible/: the prefix before its first placeholder.
func logPrefix(l config.Location) string {
	base, _, _ := strings.Cut(l.Prefix, "{")
	return strings.Trim(base, "/")
}

// remember takes the head that the data directory knows, if it is of this log.
func (e *Evidence) remember(dataDir string) error {
	if _, err := os.Stat(dataDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	data, err := osdisk.Open(dataDir)
	if err != nil {
		return err
	}
	checkpoint, _, err := proof.LastPublished(data)
	if err = errors.Join(err, data.Close()); err != nil || checkpoint == nil {
		return err
	}
	name, _, _ := strings.Cut(e.VKey, "+")
	if head, err := proof.ParseHead(checkpoint); err == nil && head.Log == name {
		e.Kept = append(e.Kept, proof.KeptHead{Name: "data directory " + dataDir, Checkpoint: checkpoint})
	}
	return nil
}

// ReadVKey is the public key in a file, or the data directory's where file is "".
func ReadVKey(c *config.Config, file string) (string, error) {
	if file == "" {
		own := filepath.Join(c.Data, proof.PublicFile)
		b, err := os.ReadFile(own)
		if errors.Is(err, fs.ErrNotExist) {
			return "", &config.Error{Where: "--vkey", Problem: fmt.Sprintf("say with which public key to verify: --vkey FILE (%s of the data directory that wrote the log; there is none in %s)", proof.PublicFile, c.Data)}
		}
		return strings.TrimSpace(string(b)), err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", &config.Error{Where: "--vkey", Problem: err.Error()}
	}
	return strings.TrimSpace(string(b)), nil
}

// CreateKey makes the log's key, in the data directory or in a file, and
// returns its public half. It replaces none.
func CreateKey(l *config.Loaded, name, file string) (vkey string, err error) {
	c := &l.Config
	if name == "" {
		name = c.Proof.Name
	}
	if file != "" {
		if name == "" {
			name = proof.NewName()
		}
		return createKeyFile(name, file)
	}
	if err := engine.MakeDir(c.Data); err != nil {
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	data, err := osdisk.Open(c.Data)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	release, err := engine.Lock(data, c.Data)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, release()) }()
	if name, err = logName(data, name); err != nil {
		return "", err
	}
	keys, err := proof.OpenKeys(data, proof.KeySource{Name: name})
	if err == nil && !keys.Made {
		err = fmt.Errorf("%s has a key already (\"indelible keys show\"): \"indelible keys rotate\" changes it", c.Data)
	}
	if err != nil {
		return "", err
	}
	return keys.Key.Public(), nil
}

func createKeyFile(name, file string) (string, error) {
	key, err := proof.GenerateKey(name)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(key.Secret() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file))
	}
	return key.Public(), nil
}
