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

// CheckSigner asks the program that holds the signing key for its public half, once. asked is false where none is
// configured; same says that the key is the log's, or that the log has none yet.
func CheckSigner(ctx context.Context, c *config.Config) (asked, same bool, err error) {
	program := outsideSigner(c)
	if program == nil {
		return false, false, nil
	}
	public, err := os.ReadFile(filepath.Join(c.Data, proof.PublicFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, false, err
	}
	same, err = proof.CheckSigner(ctx, program, strings.TrimSpace(string(public)), c.Proof.MLDSA)
	return true, same, err
}

// CreateKey makes the log's key, in the data directory or in a file, and
// returns its public half. It replaces none.
func CreateKey(ctx context.Context, l *config.Loaded, name, file string) (vkey string, err error) {
	c := &l.Config
	if name == "" {
		name = string(c.Proof.Name)
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

// createKeyFile makes a key in a file of its own, which is durable, name and all, when it returns.
func createKeyFile(name, file string, also []proof.Algorithm) (vkey string, err error) {
	dir, err := osdisk.Open(filepath.Dir(file))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return writeKey(dir, name, filepath.Base(file), also)
}

func writeKey(dir disk.FS, name, file string, also []proof.Algorithm) (string, error) {
	key, err := proof.GenerateKey(name, also...)
	if err != nil {
		return "", err
	}
	f, err := dir.Create(file)
	if err != nil {
		return "", err
	}
	_, err = f.WriteAt([]byte(key.Secret()+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = dir.SyncDir(".")
	}
	if err != nil {
		return "", errors.Join(err, dir.Remove(file))
	}
	return key.Public(), nil
}

// KeepName is proof.KeepName's; its error names the setting where the configuration gives another name.
func KeepName(data disk.FS, wanted string) (string, error) {
	name, err := proof.KeepName(data, wanted)
	return name, nameMistake(err)
}
