package proof

import (
	"context"
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
	// Signer holds the key outside this machine, once the log has one of its keys; nil: none does. It is
	// asked for the key where the log has none yet, and at a change of key.
	Signer Signer
	// QuantumSafe has keys that are made here sign with ML-DSA-44 as well.
	QuantumSafe bool
}

// Keys are a log's keys as the data directory has them.
type Keys struct {
	Key  Key
	Next Key  // zero unless a rotation was begun and not finished
	Made bool // the key was made just now
	from KeySource
}

// ErrSameKey says that a signer outside has no other key yet than the one that the log has.
var ErrSameKey = errors.New("the program of proof.key still gives the key that the log has: have it give a new one, and keep the old one in it until the change is done")

// OpenKeys reads the log's keys, and makes name and key at the first start:
// durable before it returns. A key that is not the one that the data directory's
// public key belongs to is refused, because a log changes its key by rotation only.
func OpenKeys(ctx context.Context, d disk.FS, from KeySource) (Keys, error) {
	k, err := openKeys(ctx, d, from)
	if err != nil {
		return Keys{}, fmt.Errorf("open the log's key: %w", err)
	}
	return k, nil
}

func openKeys(ctx context.Context, d disk.FS, from KeySource) (Keys, error) {
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
	k := Keys{from: from}
	if k.Key, k.Made, err = openKey(ctx, d, from, name, public); err != nil {
		return Keys{}, err
	}
	if k.Next, err = openNext(d, from.Signer, k.Key.Name()); err != nil {
		return Keys{}, err
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

// openKey is the key that the log of this name signs with, whose public half is known unless the log is new.
func openKey(ctx context.Context, d disk.FS, from KeySource, name, public string) (k Key, made bool, err error) {
	secret := from.Secret
	if secret == "" {
		if secret, err = readLine(d, KeyFile); err != nil {
			return Key{}, false, err
		}
	}
	if name == "" && !strings.HasPrefix(secret, privatePrefix) {
		name = NewName()
	}
	if secret != "" {
		if k, err = ParseKey(secret, name); err != nil || from.Signer == nil || k.Public() == public || public == "" {
			return k, false, err // with a signer outside: the log has not changed to that one's key yet
		}
	}
	switch {
	case from.Signer != nil && public != "":
		p, err := parsePublic(public)
		return Key{public: p, signer: from.Signer}, false, err
	case from.Signer != nil:
		k, err = outsideKey(ctx, from.Signer, name, from.QuantumSafe)
		return k, false, err
	case public != "":
		return Key{}, false, fmt.Errorf("%s is gone: the log %s can be verified for ever, but grow no more: put the key back from its copy, or, if a program outside holds it, name that in proof.key", KeyFile, name)
	}
	if k, err = GenerateKey(name, also(from.QuantumSafe)...); err == nil {
		err = writeFile(d, KeyFile, []byte(k.Secret()+"\n"))
	}
	return k, true, err
}

func also(quantumSafe bool) []Algorithm {
	if quantumSafe {
		return []Algorithm{MLDSA44}
	}
	return nil
}

// openNext is the key to which a rotation was begun; zero if none was.
func openNext(d disk.FS, signer Signer, name string) (Key, error) {
	next, err := readLine(d, NextFile)
	if err != nil || next == "" {
		return Key{}, err
	}
	if strings.HasPrefix(next, privatePrefix) {
		k, err := ParseKey(next, name)
		if err != nil {
			return Key{}, fmt.Errorf("%s: %w", NextFile, err)
		}
		return k, nil
	}
	p, err := parsePublic(next)
	if err == nil && signer == nil {
		err = errors.New("a change to a key outside was begun: name the program that holds it in proof.key again")
	}
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", NextFile, err)
	}
	return Key{public: p, signer: signer}, nil
}

// BeginRotation makes the next key, durable, or takes it from the signer outside, so that Log.Rotate can be told of
// it. A rotation that was begun before is taken up again.
func BeginRotation(ctx context.Context, d disk.FS, k *Keys) error {
	if !k.Next.zero() {
		return nil
	}
	next, line, err := nextKey(ctx, k)
	if err == nil {
		err = writeFile(d, NextFile, []byte(line+"\n"))
	}
	if err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	k.Next = next
	return nil
}

func nextKey(ctx context.Context, k *Keys) (next Key, line string, err error) {
	if k.from.Signer == nil {
		next, err = GenerateKey(k.Key.Name(), also(k.from.QuantumSafe || k.Key.QuantumSafe())...)
		return next, next.Secret(), err
	}
	if next, err = outsideKey(ctx, k.from.Signer, k.Key.Name(), k.from.QuantumSafe); err == nil && next.Public() == k.Key.Public() {
		err = ErrSameKey
	}
	return next, next.Public(), err
}

// FinishRotation puts the next key into the place of the old one, once the log
// has changed to it. Each step can be done again after a crash.
func FinishRotation(d disk.FS, k *Keys) error {
	if err := keepOld(d, k); err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	if k.Next.signer == nil {
		if err := writeFile(d, KeyFile, []byte(k.Next.Secret()+"\n")); err != nil {
			return fmt.Errorf("rotate the log's key: %w", err)
		}
	}
	if err := finish(d, k); err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	return nil
}

// keepOld adds the public half of the old key to those before.
func keepOld(d disk.FS, k *Keys) error {
	old, err := readFile(d, OldFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line := k.Key.Public() + "\n"
	if strings.Contains(string(old), line) {
		return nil
	}
	return writeFile(d, OldFile, append(old, line...))
}

// finish is the end of a rotation. The secret of an old key goes once the public file names a key outside.
func finish(d disk.FS, k *Keys) error {
	if err := writeFile(d, PublicFile, []byte(k.Next.Public()+"\n")); err != nil {
		return err
	}
	if k.Next.signer != nil {
		if err := d.Remove(KeyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
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
