package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"indelible/internal/proof"
)

// commandPrefix begins a proof.key that names a program.
const commandPrefix = "command:"

// Command is the command line of the program that holds the signing key; nil if none does.
func (p *Proof) Command() []string {
	line, ok := strings.CutPrefix(p.Key.Reveal(), commandPrefix)
	if !ok {
		return nil
	}
	return strings.Fields(line)
}

// Outside says that the configuration names a signing key outside the data directory.
func (p *Proof) Outside() bool { return p.Key.IsSet() || p.KeyFile != "" }

// key refuses a key that contradicts itself.
func (l *Loaded) key() error {
	p := &l.Config.Proof
	switch {
	case strings.HasPrefix(p.Key.Reveal(), commandPrefix) && len(p.Command()) == 0:
		return l.wrong("proof.key", "proof.key: want command: and the program that signs, as in command:/usr/local/bin/sign-with-kms alias/indelible")
	case p.Key.IsSet() && p.KeyFile != "":
		return l.wrong("proof.key", "proof.key and proof.key_file both say where the signing key is: remove one of them")
	}
	return nil
}

// Secret is the signing key from outside the data directory; "" if it is the one inside, or a program's.
func (p *Proof) Secret() (string, error) {
	if p.Command() != nil {
		return "", nil
	}
	if p.Key.IsSet() || p.KeyFile == "" {
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
		return string(p.Name)
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
