package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"indelible/internal/proof"
)

// Secret is the signing key from outside the data directory; "" if it is the one inside.
func (p *Proof) Secret() (string, error) {
	if p.Key != "" || p.KeyFile == "" {
		return p.Key.Reveal(), nil
	}
	b, err := os.ReadFile(p.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &Error{Where: "proof.key_file", Problem: fmt.Sprintf("%s is not there: \"indelible keys create %s\" makes one", p.KeyFile, p.KeyFile)}
	}
	if err != nil {
		return "", &Error{Where: "proof.key_file", Problem: err.Error()}
	}
	return string(b), nil
}

// WantedName is the name that the configuration gives the log: its own, or the one
// that a key from outside bears; "" if it gives none.
func (p *Proof) WantedName() string {
	if p.Name != "" {
		return p.Name
	}
	secret, err := p.Secret()
	if err != nil {
		return "" // said when the key is opened
	}
	key, err := proof.ParseKey(secret, "")
	if err != nil {
		return "" // a bare seed bears no name
	}
	return key.Name()
}

// Digest is a SHA-256 over the effective configuration, its secrets masked.
func (l *Loaded) Digest() string {
	h := sha256.New()
	for _, s := range l.Settings() {
		fmt.Fprintf(h, "%s=%q\n", s.Path, s.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}
