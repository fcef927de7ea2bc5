package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"indelible/internal/config"
	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/signer"
)

// VKey is the public key in a file, or the data directory's where file is "".
func VKey(c *config.Config, file string) (string, error) {
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
	if err := proof.CheckVKey(string(b)); err != nil {
		return "", &config.Error{Where: "--vkey", Problem: fmt.Sprintf("%s: %v", file, err)}
	}
	return strings.TrimSpace(string(b)), nil
}

// outsideSigner is the program that holds the signing key; nil if none does.
func outsideSigner(c *config.Config) proof.Signer {
	if words := c.Proof.Command(); words != nil {
		return signer.New(words)
	}
	return nil
}

// CreateKey makes the log's key, in the data directory or in a file, and
// returns its public half. It replaces none.
func CreateKey(ctx context.Context, l *config.Loaded, name, file string) (vkey string, err error) {
	c := &l.Config
	if name == "" {
		name = c.Proof.Name
	}
	var also []proof.Algorithm
	if c.Proof.MLDSA {
		also = append(also, proof.MLDSA44)
	}
	if file != "" {
		if name == "" {
			name = proof.NewName()
		}
		return createKeyFile(name, file, also)
	}
	if err := engine.MakeDir(c.Data); err != nil {
		return "", fmt.Errorf("make the data directory: %w (choose another with --data)", err)
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
	if name, err = KeepName(data, name); err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(c.Data, proof.PublicFile))
	fresh := c.Proof.Command() != nil && errors.Is(err, fs.ErrNotExist)
	keys, err := proof.OpenKeys(ctx, data, proof.KeySource{Name: name, Signer: outsideSigner(c), QuantumSafe: c.Proof.MLDSA})
	if err == nil && !keys.Made && !fresh {
		err = fmt.Errorf("%s has a key already (\"indelible keys show\"): \"indelible keys rotate\" changes it", c.Data)
	}
	if err != nil {
		return "", err
	}
	return keys.Key.Public(), nil
}

func createKeyFile(name, file string, also []proof.Algorithm) (string, error) {
	key, err := proof.GenerateKey(name, also...)
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

// KeepName is proof.KeepName's; its error names the setting where the configuration gives another name.
func KeepName(data disk.FS, wanted string) (string, error) {
	name, err := proof.KeepName(data, wanted)
	return name, nameMistake(err)
}
