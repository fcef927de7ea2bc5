package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"indelible/internal/config"
	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/store"
)

// ProofSource is what verify, prove and reconcile read: a store that holds a
// log, the log's public key, and the checkpoints that are known from elsewhere.
type ProofSource struct {
	Store store.Store
	Base  string // what stands before _indelible/ in the store
	VKey  string
	Kept  []proof.KeptCheckpoint
	Begun bool // the data directory has begun the log, and has published no checkpoint yet
	Close func() error
}

// OpenProofSource opens a location, or the destination where location is "". The
// public key is the one in vkeyFile, or else the data directory's. The checkpoint that the
// data directory remembers is taken along where it is the destination that is looked at.
func OpenProofSource(ctx context.Context, l *config.Loaded, location, vkeyFile string) (*ProofSource, error) {
	c := l.Config
	own := location == "" || location == string(c.Destination.URL) || sameLog(location, string(c.Destination.URL))
	if location != "" {
		if _, err := config.ParseLocation(location); err != nil {
			return nil, err
		}
		c.Destination.URL = config.StoreURL(location)
	}
	e := &ProofSource{}
	var err error
	if e.VKey, err = VKey(&c, vkeyFile); err != nil {
		return nil, err
	}
	if own {
		// Before the store is read: a log that grows meanwhile is never older than this.
		if err := e.remember(c.Data); err != nil {
			return nil, err
		}
		if ours, err := VKey(&c, ""); err != nil || ours != e.VKey {
			e.Begun = false // another log is asked for
		}
	}
	dest, err := OpenDestination(ctx, &c, "", true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is nothing at %s", c.Destination.URL)
	}
	if err != nil {
		return nil, err
	}
	e.Store, e.Base, e.Close = dest.Store, dest.Layout.Base(), dest.Close
	return e, nil
}

// sameLog says whether the logs of two locations are one, however they are written.
func sameLog(a, b string) bool {
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

// remember takes the checkpoint that the data directory knows, if it is of this log.
func (e *ProofSource) remember(dataDir string) error {
	if _, err := os.Stat(dataDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	data, err := osdisk.Open(dataDir)
	if err != nil {
		return err
	}
	checkpoint, _, err := proof.LastPublished(data)
	begun := proof.Begun(data)
	if err = errors.Join(err, data.Close()); err != nil || checkpoint == nil {
		e.Begun = begun && err == nil
		return err
	}
	name, _, _ := strings.Cut(e.VKey, "+")
	if cp, err := proof.ParseCheckpoint(checkpoint); err == nil && cp.Log == name {
		e.Kept = append(e.Kept, proof.KeptCheckpoint{Name: "data directory " + dataDir, Checkpoint: checkpoint})
	}
	return nil
}
