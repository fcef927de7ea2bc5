package proof

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"indelible/internal/disk"
)

// Files of the data directory that hold keys. log.key is the secret, 0600;
// log.key.next the one that a rotation is about to change to; log.vkey the public
// key, one line; log.vkey.old the public keys before, one a line.
const (
	KeyFile    = "log.key"
	NextFile   = "log.key.next"
	PublicFile = "log.vkey"
	OldFile    = "log.vkey.old"
)

// KeySource says where the log's name and key come from.
type KeySource struct {
	Name   string // the log's name, if the configuration gives one
	Secret string // the secret from outside the data directory (a secret manager); "" is log.key
}

// Keys are a log's keys as the data directory has them.
type Keys struct {
	Key  Key
	Next Key  // zero unless a rotation was begun and not finished
	Made bool // the key was made just now
}

// OpenKeys reads the log's keys, and makes name and key at the first start:
// durable before it returns. A key that is not the one that the data directory's
// public key belongs to is refused, because a log changes its key by rotation only.
func OpenKeys(d disk.FS, from KeySource) (Keys, error) {
	k, err := openKeys(d, from)
	if err != nil {
		return Keys{}, fmt.Errorf("open the log's key: %w", err)
	}
	return k, nil
}

func openKeys(d disk.FS, from KeySource) (Keys, error) {
	public, err := readLine(d, PublicFile)
	if err != nil {
		return Keys{}, err
	}
	name, _, _ := strings.Cut(public, "+")
	if name != "" && from.Name != "" && name != from.Name {
		return Keys{}, fmt.Errorf("the configuration names the log %s, but this data directory belongs to log %s", from.Name, name)
	}
	if name == "" {
		name = from.Name
	}
	secret := from.Secret
	if secret == "" {
		if secret, err = readLine(d, KeyFile); err != nil {
			return Keys{}, err
		}
	}
	var k Keys
	switch {
	case secret != "":
		if name == "" && !strings.HasPrefix(secret, "PRIVATE+KEY+") {
			name = NewName()
		}
		k.Key, err = ParseKey(secret, name)
	case public != "":
		err = fmt.Errorf("%s is gone: the log %s can be verified for ever, but grow no more: put the key back from its copy", KeyFile, name)
	default:
		if name == "" {
			name = NewName()
		}
		k.Made = true
		if k.Key, err = GenerateKey(name); err == nil {
			err = writeFile(d, KeyFile, []byte(k.Key.Secret()+"\n"))
		}
	}
	if err != nil {
		return Keys{}, err
	}
	if next, err := readLine(d, NextFile); err != nil {
		return Keys{}, err
	} else if next != "" {
		if k.Next, err = ParseKey(next, k.Key.Name()); err != nil {
			return Keys{}, fmt.Errorf("%s: %w", NextFile, err)
		}
	}
	if public != "" && !k.Next.zero() && k.Key.Public() == k.Next.Public() {
		err := finish(d, &k) // the change was cut short behind its middle
		return k, err
	}
	switch {
	case public == "":
		return k, writeFile(d, PublicFile, []byte(k.Key.Public()+"\n"))
	case public != k.Key.Public():
		return Keys{}, fmt.Errorf("the key given is %s, but the log's is %s: a log changes its key by rotation only", k.Key, public)
	}
	return k, nil
}

// BeginRotation makes the next key, durable, so that Log.Rotate can be told of
// it. A rotation that was begun before is taken up again.
func BeginRotation(d disk.FS, k *Keys) error {
	if !k.Next.zero() {
		return nil
	}
	next, err := GenerateKey(k.Key.Name())
	if err == nil {
		err = writeFile(d, NextFile, []byte(next.Secret()+"\n"))
	}
	if err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	k.Next = next
	return nil
}

// FinishRotation puts the next key into the place of the old one, once the log
// has changed to it. Each step can be done again after a crash.
func FinishRotation(d disk.FS, k *Keys) error {
	old, err := readFile(d, OldFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	if line := k.Key.Public() + "\n"; !strings.Contains(string(old), line) {
		if err := writeFile(d, OldFile, append(old, line...)); err != nil {
			return fmt.Errorf("rotate the log's key: %w", err)
		}
	}
	if err := writeFile(d, KeyFile, []byte(k.Next.Secret()+"\n")); err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	if err := finish(d, k); err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	return nil
}

// finish is the end of a rotation, behind the change of log.key.
func finish(d disk.FS, k *Keys) error {
	if err := writeFile(d, PublicFile, []byte(k.Next.Public()+"\n")); err != nil {
		return err
	}
	if err := errors.Join(d.Remove(NextFile), d.SyncDir(".")); err != nil {
		return err
	}
	k.Key, k.Next = k.Next, Key{}
	return nil
}

// readLine is a small file's content without the space around it; "" if there is none.
func readLine(d disk.FS, name string) (string, error) {
	b, err := readFile(d, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), denied(name, err)
}
